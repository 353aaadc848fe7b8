//! One node of a store, served over the wire until killed: `serve <directory> <id> <address> [<id>=<address> …]`.
//!
//! The node with id 1 makes the cluster and takes in the others it is told of; the others wait for that. Says `ready`
//! on its standard output when the cluster is complete. For measurements: without encryption, on one machine.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{ClusterAdmin, ClusterId, Error, MemberId};
use univrs_store::wire::{
    Channel, Limits, MemberService, Services, StoreService, TcpDial, WireTransport, serve,
};
use univrs_store::{Options, RaftStore};

const CLUSTER: ClusterId = ClusterId(0xbe7c);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let id = MemberId(arguments.next().ok_or("which id?")?.parse()?);
    let address = arguments.next().ok_or("which address?")?;
    let options = Options {
        cluster_id: Some(CLUSTER),
        bootstrap: id.0 == 1,
        address: address.clone(),
        transport: Arc::new(WireTransport::new(Arc::new(TcpDial), Some(CLUSTER))),
        ..Options::new(dir, id)
    };
    let store = RaftStore::open(options).await?;
    let members = Arc::new(MemberService::new(store.peer_handler()));
    let clients = Arc::new(StoreService::new(Arc::new(store.clone()), Some(Arc::new(store.clone()))));
    let services = Services::new(CLUSTER, id, Limits::default())
        .with(Channel::MEMBERS, members)
        .with(Channel::STORE, clients);
    let listener = TcpListener::bind(&address).await?;
    let serving = tokio::spawn(serve(listener, services, CancellationToken::new()));
    for other in arguments {
        let (id, address) = other.split_once('=').ok_or("<id>=<address>")?;
        take_in(&store, MemberId(id.parse()?), address).await?;
    }
    writeln!(std::io::stdout(), "ready")?;
    serving.await?;
    Ok(())
}

async fn take_in(store: &RaftStore, id: MemberId, address: &str) -> Result<(), Error> {
    store.add_learner(id, address.to_owned()).await?;
    loop {
        match store.promote(id).await {
            Err(Error::NotCaughtUp { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            done => return done,
        }
    }
}
