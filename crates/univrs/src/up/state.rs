//! The replicated state: a copy of it on nodes that hold one, or that of the validators.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use univrs_control::{ClusterRecord, Mirror};
use univrs_model::ids::OrgId;
use univrs_model::keys;
use univrs_model::member::holds_state;
use univrs_model::name::Name;
use univrs_model::org::Org;
use univrs_ports::store::{
    ClusterAdmin, ClusterId, ClusterStatus, Consistency, Error, Key, MemberId, Role, StateStore, Txn,
};
use univrs_store::wire::{RemoteOptions, RemoteStore, WireTransport};
use univrs_store::{Options, RaftStore};

use crate::cluster::dial::{ANY_VALIDATOR, NodeDial};
use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};

/// Pause between looks at a state that is not there yet.
const RETRY: Duration = Duration::from_millis(100);
/// How often a person is told what is waited for.
const TELL: Duration = Duration::from_secs(10);
/// How long handing over the lead may take before this node stops anyway.
const HAND_OVER: Duration = Duration::from_secs(3);

/// The state as this node has it.
pub(super) struct Opened {
    pub(super) store: Arc<dyn StateStore>,
    /// The copy, on a node that holds one.
    pub(super) copy: Option<RaftStore>,
}

/// The cluster's id as the store has it: the letters of the text as a number.
pub(crate) fn store_id(identity: &Identity) -> ClusterId {
    let letters = identity.cluster.as_str().bytes().skip(univrs_model::ids::ClusterId::PREFIX.len());
    ClusterId(letters.fold(0, |number, letter| (number << 8) | u128::from(letter)))
}

/// Opens the state: as the only voter on a new founder, as a follower on who joined.
///
/// # Errors
/// [`Failure::StateMissing`] when the state was made once and is not there: beginning anew would end every container,
/// and a number among the members is never used twice.
pub(super) async fn open(
    dir: &DataDir,
    identity: &mut Identity,
    standing: &Standing,
    dial: &Arc<NodeDial>,
) -> Result<Opened, Failure> {
    if !holds_state(&standing.roles) && standing.joined {
        let store: Arc<dyn StateStore> = Arc::new(connect(identity, dial).await?);
        return Ok(Opened { store, copy: None });
    }
    if identity.founded && !univrs_store::exists(&dir.store()) {
        return Err(Failure::StateMissing { path: dir.store() });
    }
    let cluster = store_id(identity);
    let options = Options {
        cluster_id: Some(cluster),
        bootstrap: !standing.joined && !identity.founded,
        address: identity.node.to_string(),
        transport: Arc::new(WireTransport::new(Arc::clone(dial) as _, Some(cluster))),
        ..Options::new(dir.store(), MemberId(standing.member.unwrap_or(1)))
    };
    let copy = RaftStore::open(options).await?;
    if !identity.founded {
        identity.founded = true;
        dir.write_identity(identity)?;
    }
    Ok(Opened { store: Arc::new(copy.clone()), copy: Some(copy) })
}

/// Connects to the validators, however long that takes.
async fn connect(identity: &Identity, dial: &Arc<NodeDial>) -> Result<RemoteStore, Failure> {
    let mut waiting = Waiting::begin();
    loop {
        let options = RemoteOptions {
            nodes: vec![ANY_VALIDATOR.to_owned()],
            dial: Arc::clone(dial) as _,
            cluster: Some(store_id(identity)),
            timeout: Duration::from_secs(10),
            to_leader: true,
        };
        match RemoteStore::connect(options).await {
            Ok(store) => return Ok(store),
            Err(error @ Error::OtherCluster { .. }) => return Err(error.into()),
            Err(error) => waiting.on(&error.to_string()).await,
        }
    }
}

/// Returns once this node has the state. A founder writes down what it begins with.
pub(super) async fn ready(
    store: &dyn StateStore,
    identity: &Identity,
    standing: &Standing,
) -> Result<(), Failure> {
    let own = Key::new(keys::member(&identity.node))?;
    let cluster = Key::new(keys::CLUSTER)?;
    let wanted = if standing.joined { &own } else { &cluster };
    let mut waiting = Waiting::begin();
    loop {
        let why = match store.get(wanted, Consistency::LOCAL).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if standing.joined => "the members have not sent it yet".to_owned(),
            Ok(None) => match write_cluster(store, identity).await {
                Ok(()) => continue,
                Err(Failure::Store(error)) if error.is_retryable() => error.to_string(),
                Err(failure) => return Err(failure),
            },
            Err(error) if error.is_retryable() => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        waiting.on(&why).await;
    }
}

struct Waiting {
    tell: Instant,
}

impl Waiting {
    fn begin() -> Self {
        Self { tell: Instant::now() + TELL / 4 }
    }

    async fn on(&mut self, why: &str) {
        if Instant::now() >= self.tell {
            tracing::warn!(
                why,
                "waiting for the state of the cluster; a majority of its validators must be up"
            );
            self.tell = Instant::now() + TELL;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Records the cluster's identity and the organisation that everyone has in the state, once.
async fn write_cluster(store: &dyn StateStore, identity: &Identity) -> Result<(), Failure> {
    let name = Name::default_org();
    let org_at = keys::organisation(&name);
    let org = Org { id: OrgId::from_bits(rand::random()), name, created_at: identity.created_at, tier: None };
    // What is there already makes the guard fail, and nothing is written.
    create(store, &org_at, &org).await?;
    let record = ClusterRecord { id: identity.cluster.clone(), created_at: identity.created_at };
    create(store, keys::CLUSTER, &record).await
}

async fn create<T: Serialize>(store: &dyn StateStore, at: &str, value: &T) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| Failure::DataDir { path: at.into(), reason: error.to_string() })?;
    store.txn(Txn::create(Key::new(at)?, bytes)).await?;
    Ok(())
}

/// Hands the lead to another voter that can be heard, if this node has it: nobody waits for an election then.
pub(super) async fn hand_over(copy: &RaftStore, mirror: &Mirror) {
    let Some(status) = settled(copy).await else { return };
    if status.leader != Some(status.member) {
        return;
    }
    let state = mirror.state();
    let heard = |id: MemberId| {
        let member = state.members.values().find(|member| member.member == Some(id.0));
        member.is_some_and(|member| state.nodes_alive.contains(&member.node))
    };
    let others =
        status.members.iter().filter(|member| member.id != status.member && member.role == Role::Voter);
    let nearest = others.filter(|member| heard(member.id)).max_by_key(|member| member.matched);
    let Some(next) = nearest.map(|member| member.id) else { return };
    match tokio::time::timeout(HAND_OVER, copy.transfer_leader(next)).await {
        Ok(Ok(())) => tracing::info!(to = next.0, "handed the lead over"),
        Ok(Err(error)) => tracing::warn!(%error, "the lead could not be handed over"),
        Err(_) => tracing::warn!("the lead could not be handed over in time"),
    }
}

/// How the copy sees the cluster, once no change of the voters is half done: half done, it needs this node as well.
async fn settled(copy: &RaftStore) -> Option<ClusterStatus> {
    let begun = Instant::now();
    loop {
        let status = copy.status().await.ok()?;
        if !status.changing || begun.elapsed() > HAND_OVER {
            return Some(status);
        }
        tokio::time::sleep(RETRY).await;
    }
}
