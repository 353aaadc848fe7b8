//! Opening the store and the [`StateStore`] it fulfils.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use openraft::impls::BasicNode;
use openraft::vote::RaftLeaderId;
use openraft::{Config, Membership, Raft, RaftTypeConfig, SnapshotPolicy};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{
    ClusterId, Command, Consistency, Error, Key, LeaseGrant, LeaseId, Limits, Machine, MemberId, Page,
    Prefix, RangeOut, Result, Revision, SnapshotMeta, StateStore, StoredValue, Txn, TxnOutcome, WatchStream,
    check_ttl,
};

use crate::batch::{BATCH_BYTES, Batcher, IN_FLIGHT};
use crate::directory::Directory;
use crate::disk::{FileSystemSpace, Space};
use crate::leases;
use crate::machine::{Applied, StateMachine};
use crate::network::Peers;
use crate::node::Core;
use crate::serve::Service;
use crate::snapshot::{self, Position, SnapshotFile};
use crate::ticking;
use crate::transport::{NoTransport, PeerHandler, Transport};
use crate::types::{LogId, StoredMembership, Types};
use crate::wal::{Wal, WalOptions};

/// How long closing waits for the directory to be let go of.
const RELEASE: Duration = Duration::from_secs(10);
/// How long a single voter may take to elect itself and to take up its log. Longer than a request: a slow disk makes a
/// start late, and there is nobody else to turn to.
const OPENING: Duration = Duration::from_secs(120);

/// How long to wait for a snapshot before looking again whether one is due.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(60);

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// Where the data is. Created when it does not exist.
    pub dir: PathBuf,
    /// The number of this node among the members. Never reuse the number of a member that lost its data.
    pub node_id: MemberId,
    /// The cluster. Needed to join one; checked when the directory has data.
    pub cluster_id: Option<ClusterId>,
    /// Creates a new cluster with this node as its only voter, when the directory is empty.
    pub bootstrap: bool,
    /// Where other members reach this node; goes into the membership at bootstrap.
    pub address: String,
    /// How frames reach other members.
    pub transport: Arc<dyn Transport>,
    /// How often the leader shows that it lives.
    pub heartbeat: Duration,
    /// A voter without a sign of life of the leader calls an election after two and a quarter to two and a half times this:
    /// the leader's lease, and then a wait of its own that is drawn by lot, so that seldom two call at once. Votes must
    /// come back within it, so that it is above the longest round trip.
    pub election_timeout: Duration,
    /// How long a request may take before it fails as unavailable.
    pub request_timeout: Duration,
    /// A snapshot is written when the log has grown by this many bytes since the last one.
    pub snapshot_bytes: u64,
    /// About how many bytes of log stay for members that are a little behind.
    pub keep_log_bytes: u64,
    /// A log file is closed when it has this many bytes.
    pub segment_bytes: u64,
    /// New entries kept in memory.
    pub log_cache_bytes: usize,
    /// Changes kept in memory for watchers.
    pub history_bytes: usize,
    /// Where room for the log comes from.
    pub space: Arc<dyn Space>,
    /// From here on a sync of the log takes so long that another one begins beside it, and that it is worth waiting for
    /// half of the callers.
    pub slow_sync: Duration,
}

impl Options {
    /// Sensible values for one machine, or several near each other. A single node needs nothing else but
    /// `bootstrap`.
    pub fn new(dir: impl Into<PathBuf>, node_id: MemberId) -> Self {
        Self {
            dir: dir.into(),
            node_id,
            cluster_id: None,
            bootstrap: false,
            address: String::new(),
            transport: Arc::new(NoTransport),
            heartbeat: Duration::from_millis(100),
            election_timeout: Duration::from_millis(400),
            request_timeout: Duration::from_secs(5),
            snapshot_bytes: 64 << 20,
            keep_log_bytes: 16 << 20,
            segment_bytes: 16 << 20,
            log_cache_bytes: 8 << 20,
            history_bytes: 8 << 20,
            space: Arc::new(FileSystemSpace),
            slow_sync: Duration::from_millis(1),
        }
    }

    fn raft_config(&self, cluster: ClusterId) -> Result<Config> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
        let election = millis(self.election_timeout);
        Config {
            cluster_name: cluster.to_string(),
            heartbeat_interval: millis(self.heartbeat),
            // The lease is as long as the longest wait, and comes before it.
            election_timeout_min: election,
            election_timeout_max: (election + election / 4).max(election + 1),
            enable_pre_vote: Some(true),
            // A leader that was killed must be elected anew. The library would let it go on in its old term, though
            // its followers may have acknowledged what it had not written yet: it would overwrite that, and read
            // what was true before. `tests/store/history` found both.
            enable_leader_restore: Some(false),
            // By bytes, in `housekeeping`.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            max_payload_entries: 1024,
            install_snapshot_timeout: 60_000,
            backoff: "100ms".to_owned(),
            // Smaller queues than openraft's defaults, which reserve memory for 65 536 messages.
            api_channel_size: Some(1024),
            notification_channel_size: Some(4096),
            state_machine_channel_size: Some(256),
            ..Config::default()
        }
        .validate()
        .map_err(|error| Error::Membership { reason: error.to_string() })
    }
}

/// The replicated store. Clones share it; [`RaftStore::close`] ends it.
#[derive(Clone)]
pub struct RaftStore {
    pub(crate) core: Arc<Core>,
    pub(crate) batcher: Batcher,
    service: Arc<Service>,
    _last: Arc<LastHandle>,
}

/// Stops the store when the last handle to it is gone.
struct LastHandle(CancellationToken);

impl Drop for LastHandle {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl RaftStore {
    /// Opens the store: checks the directory, reads snapshot and log back, and starts.
    ///
    /// A single voter is ready to serve when this returns. A member of several may still be looking for
    /// the leader.
    pub async fn open(options: Options) -> Result<Self> {
        let setup = options.clone();
        let opened = tokio::task::spawn_blocking(move || open_files(&setup)).await;
        let (directory, log, machine, applied) = opened.map_err(|_| Error::Closed)??;
        let peers = Peers { cluster: directory.cluster, transport: Arc::clone(&options.transport) };
        let config = options.raft_config(directory.cluster)?;
        let shared_log = log.shared();
        let raft = Raft::new(options.node_id.0, Arc::new(config), peers.clone(), log, machine)
            .await
            .map_err(|error| stopped(&error))?;
        if directory.founder && !raft.is_initialized().await.map_err(|error| stopped(&error))? {
            let node = BasicNode { addr: options.address.clone() };
            raft.initialize(BTreeMap::from([(options.node_id.0, node)]))
                .await
                .map_err(|error| Error::Membership { reason: error.to_string() })?;
        }
        let core = Arc::new(Core {
            raft,
            applied,
            wal: shared_log,
            peers,
            member: options.node_id,
            cluster: directory.cluster,
            timeout: options.request_timeout,
            lease_term: AtomicU64::new(0),
            shutdown: CancellationToken::new(),
            directory: Arc::downgrade(&directory),
        });
        let batcher = Batcher::start(Arc::clone(&core));
        tokio::spawn(leases::run(Arc::clone(&core), batcher.clone()));
        tokio::spawn(ticking::run(Arc::clone(&core)));
        tokio::spawn(stop_when_told(Arc::clone(&core)));
        tokio::spawn(housekeeping(Arc::clone(&core), options.keep_log_bytes));
        let connected = Arc::clone(&core);
        tokio::spawn(async move { connected.stay_connected().await });
        let service = Arc::new(Service::new(Arc::clone(&core), directory.snapshots()));
        drop(directory);
        let last = Arc::new(LastHandle(core.shutdown.clone()));
        let store = Self { core, batcher, service, _last: last };
        if store.is_single_voter().await? {
            // Nobody else can be elected, so there is nothing to wait for.
            store.core.raft.trigger().elect(false).await.map_err(|error| stopped(&error))?;
            store.core.linearize_within(OPENING.max(options.request_timeout)).await?;
        }
        Ok(store)
    }

    /// The number of this node among the members.
    pub fn member_id(&self) -> MemberId {
        self.core.member
    }

    /// The cluster that the data belongs to.
    pub fn cluster_id(&self) -> ClusterId {
        self.core.cluster
    }

    /// What answers the frames of other members.
    pub fn peer_handler(&self) -> Arc<dyn PeerHandler> {
        Arc::<Service>::clone(&self.service)
    }

    /// A hash of the local state: equal on all members at the same revision.
    pub fn digest(&self) -> u64 {
        self.core.applied.replica.view().0.digest()
    }

    /// Stops and waits for it. What was acknowledged is safe already. Watches end.
    ///
    /// Dropping the last handle stops the store as well, a little later.
    pub async fn close(&self) {
        stop(&self.core).await;
    }

    async fn is_single_voter(&self) -> Result<bool> {
        let member = self.core.member.0;
        // By the raft state itself: the metrics follow it a little later.
        let alone = self.core.raft.with_raft_state(move |state| {
            let mut voters = state.membership_state.effective().voter_ids();
            voters.next() == Some(member) && voters.next().is_none()
        });
        alone.await.map_err(|error| stopped(&error))
    }

    async fn settle(&self, consistency: Consistency) -> Result<()> {
        match consistency {
            Consistency::Linearizable => self.core.linearize().await,
            Consistency::Local { min_revision: None } => Ok(()),
            Consistency::Local { min_revision: Some(revision) } => {
                self.core.applied.replica.wait_for(revision, self.core.timeout).await
            }
        }
    }
}

async fn stop_when_told(core: Arc<Core>) {
    core.shutdown.cancelled().await;
    stop(&core).await;
}

async fn stop(core: &Core) {
    core.shutdown.cancel();
    core.applied.replica.close();
    if let Err(error) = core.raft.shutdown().await {
        tracing::warn!(%error, "the store did not stop cleanly");
    }
    // The last tasks of openraft, or a snapshot in the making, may outlive it by a moment.
    let released = async {
        while core.directory.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(RELEASE, released).await.is_err() {
        tracing::warn!("the directory of the store is still in use after closing it");
    }
}

fn stopped(error: &(dyn std::error::Error + 'static)) -> Error {
    tracing::error!(error, "the store could not be started");
    Error::Closed
}

fn open_files(options: &Options) -> Result<(Arc<Directory>, Wal, StateMachine, Applied)> {
    let directory = Directory::open(&options.dir, options.node_id, options.cluster_id, options.bootstrap)?;
    let directory = Arc::new(directory);
    let log = Wal::open(WalOptions {
        directory: Arc::clone(&directory),
        segment_bytes: options.segment_bytes,
        cache_bytes: options.log_cache_bytes,
        // What may be on its way when the disk fills: the batches in flight, and small change.
        reserve_bytes: (BATCH_BYTES * (IN_FLIGHT + 1)) as u64,
        snapshot_bytes: options.snapshot_bytes,
        space: Arc::clone(&options.space),
        slow: options.slow_sync,
    })?;
    let applied = Applied::new(options.history_bytes);
    let machine = StateMachine::open(Arc::clone(&directory), applied.clone(), log.shared())?;
    Ok((directory, log, machine, applied))
}

/// Writes snapshots when the log has grown, and lets go of the log they cover.
async fn housekeeping(core: Arc<Core>, keep_log_bytes: u64) {
    loop {
        tokio::select! {
            () = core.shutdown.cancelled() => return,
            () = core.wal.snapshot_due() => {}
        }
        core.wal.snapshot_begins();
        let mut progress = core.raft.watch_snapshot_progress();
        let before = progress.get();
        if core.raft.trigger().snapshot().await.is_err() {
            return;
        }
        tokio::select! {
            () = core.shutdown.cancelled() => return,
            () = tokio::time::sleep(SNAPSHOT_PATIENCE) => {}
            done = progress.wait_until(|covered| *covered > before) => {
                let Ok(Some(covered)) = done else { continue };
                if let Some(upto) = core.wal.purge_up_to(covered.index, keep_log_bytes)
                    && core.raft.trigger().purge_log(upto).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl StateStore for RaftStore {
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Option<StoredValue>> {
        self.settle(consistency).await?;
        Ok(self.core.applied.replica.get(key))
    }

    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut> {
        self.settle(consistency).await?;
        Ok(self.core.applied.replica.range(prefix, &page))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        txn.validate(&Limits::DEFAULT)?;
        self.batcher.submit(Command::Txn(txn)).await?.into_txn()
    }

    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        self.core.applied.replica.watch(prefix, from)
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant> {
        check_ttl(ttl)?;
        self.batcher.submit(Command::GrantLease { ttl }).await?.into_grant()
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        leases::keep_alive(&self.core, lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.batcher.submit(Command::RevokeLease { lease }).await?.into_revoked()
    }

    async fn snapshot(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta> {
        let (machine, position) = self.core.applied.replica.view();
        let mut encoder = snapshot::encode(&machine, self.core.cluster, position);
        let mut bytes = 0;
        let failed = |source| Error::SnapshotWrite { source };
        while let Some(piece) = encoder.next_piece().map_err(failed)? {
            writer.write_all(&piece).await.map_err(failed)?;
            bytes += piece.len() as u64;
        }
        writer.flush().await.map_err(failed)?;
        Ok(SnapshotMeta { revision: machine.revision(), keys: machine.len() as u64, bytes })
    }

    fn revision(&self) -> Revision {
        self.core.applied.replica.revision()
    }
}

/// Makes a new cluster of one voter from a snapshot, in an empty directory. Returns the new cluster's id: `cluster`,
/// which no other history may have, or a random one.
///
/// Keys, revisions, leases and remembered requests are those of the snapshot. Members of the old cluster are
/// not: they must join anew, with empty directories. Blocks.
pub fn restore(
    snapshot_file: &Path,
    dir: &Path,
    node_id: MemberId,
    address: String,
    cluster: Option<ClusterId>,
) -> Result<ClusterId> {
    if exists(dir) {
        return Err(Error::Membership { reason: format!("{} already has a store", dir.display()) });
    }
    let (machine, _) = snapshot::read(&SnapshotFile::open(snapshot_file.to_owned())?, None)?;
    let directory = Directory::open(dir, node_id, cluster, true)?;
    // Before the first entry that the new cluster writes.
    let leader = <Types as RaftTypeConfig>::LeaderId::new(0, node_id.0).to_committed();
    let last = Some(LogId::new(leader, 1));
    let nodes = BTreeMap::from([(node_id.0, BasicNode { addr: address })]);
    let membership = Membership::new(vec![BTreeSet::from([node_id.0])], nodes)
        .map_err(|error| Error::Membership { reason: error.to_string() })?;
    let position = Position { last, membership: StoredMembership::new(last, membership) };
    snapshot::write(&directory.snapshots(), &machine, directory.cluster, position)?;
    Ok(directory.cluster)
}

/// The state that a snapshot file holds, every part of it checked. Blocks.
///
/// # Errors
/// [`Error::Corrupt`] with the place of the damage, [`Error::NewerFormat`] for one of a later version.
pub fn read_snapshot(file: &Path) -> Result<Machine> {
    Ok(snapshot::read(&SnapshotFile::open(file.to_owned())?, None)?.0)
}

/// Whether a directory has a store, without opening it.
pub fn exists(dir: &Path) -> bool {
    dir.join("FORMAT").exists()
}
