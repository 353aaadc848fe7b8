//! The first steps of the daemon: the port of nodes, membership, and the way to the state.

use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use univrs_cli::UpArgs;
use univrs_model::Timestamp;

use crate::cluster::address;
use crate::cluster::asking::Asking;
use crate::cluster::dial::NodeDial;
use crate::cluster::directory::Directory;
use crate::cluster::port::Offers;
use crate::cluster::programs::NodePrograms;
use crate::cluster::trust::Trust;
use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};
use crate::program::copies::Copies;
use crate::up::{standing, state};

/// This machine as a member, before it has read the state.
pub(super) struct Member {
    pub(super) standing: Standing,
    /// What is served to other nodes.
    pub(super) peers: Arc<Offers>,
    pub(super) state: state::Opened,
    /// Where other nodes are told to reach it.
    pub(super) address: Option<String>,
    /// Where they come in.
    pub(super) port: Option<TcpListener>,
}

/// Takes the port, becomes a member if this machine is none, and opens the state.
pub(super) async fn begin(
    args: &UpArgs,
    dir: &DataDir,
    identity: &mut Identity,
    now: Timestamp,
    copies: Arc<Copies>,
) -> Result<Member, Failure> {
    let directory = Arc::new(Directory::open(dir.members()));
    let trust = Arc::new(Trust::open(dir.trust(), Arc::clone(&directory))?);
    let port = standing::listen(args, identity, directory.len() > 1).await?;
    let listening = port.as_ref().and_then(|port| port.local_addr().ok());
    let standing = standing::settle(args, dir, identity, &trust, listening, now).await?;
    let towards = args.join.first().map(String::as_str);
    let address =
        listening.map(|listening| address::advertised(args.advertise.as_deref(), listening, towards));
    let dial = Arc::new(NodeDial::new(Arc::clone(&trust), identity.node.clone()));
    let cluster = state::store_id(identity);
    let asking =
        Arc::new(Asking::new(Arc::clone(&dial), cluster, Arc::clone(&directory), identity.node.clone()));
    let opened = state::open(dir, identity, &standing, &dial).await?;
    let store = OnceLock::new();
    if let Some(copy) = &opened.copy {
        // A new lock takes its value.
        drop(store.set(copy.clone()));
    }
    let node = identity.node.clone();
    let programs = NodePrograms::new(node.clone(), copies, Arc::clone(&dial), Arc::clone(&asking));
    let peers = Arc::new(Offers {
        node,
        cluster,
        trust,
        dial,
        asking,
        store,
        programs: Arc::new(programs),
        api: OnceLock::new(),
        images: OnceLock::new(),
        late: OnceLock::new(),
    });
    Ok(Member { standing, peers, state: opened, address, port })
}
