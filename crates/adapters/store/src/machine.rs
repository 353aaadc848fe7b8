//! The state machine as openraft sees it: a replica in memory, snapshots in files.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use univrs_ports::store::{
    ClusterId, Command, Error, LeaseTable, Machine, Replica, Response, Result, SUPPORTED_FEATURE_LEVEL,
};

use crate::directory::Directory;
use crate::snapshot::{self, Position, SnapshotFile};
use crate::types::{Answers, Entry, LogId, RaftSnapshotMeta, StoredMembership, Types, VersionedCommand};
use crate::wal;

/// How often a snapshot is tried again on a full disk.
const RETRY: Duration = Duration::from_secs(2);

type Snapshot = openraft::type_config::alias::SnapshotOf<Types, SnapshotFile>;

/// What the store reads while openraft writes.
#[derive(Clone)]
pub(crate) struct Applied {
    pub(crate) replica: Replica<Position>,
    /// The index of the last applied entry.
    pub(crate) index: watch::Sender<u64>,
    /// When leases run out; looked at by the leader only.
    pub(crate) leases: Arc<Mutex<LeaseTable>>,
    /// Rung when a lease was granted.
    pub(crate) granted: Arc<Notify>,
}

impl Applied {
    pub(crate) fn new(history_bytes: usize) -> Self {
        Self {
            replica: Replica::new(Position::default(), history_bytes),
            index: watch::Sender::new(0),
            leases: Arc::default(),
            granted: Arc::default(),
        }
    }
}

/// The state machine: applies entries, builds and installs snapshots.
pub(crate) struct StateMachine {
    applied: Applied,
    directory: Arc<Directory>,
    current: Arc<Mutex<Option<(RaftSnapshotMeta, SnapshotFile)>>>,
    wal: Arc<wal::Shared>,
}

impl StateMachine {
    /// Loads the newest snapshot, if there is one. Blocks.
    pub(crate) fn open(directory: Arc<Directory>, applied: Applied, wal: Arc<wal::Shared>) -> Result<Self> {
        let mut current = None;
        if let Some(path) = snapshot::newest(&directory.snapshots())? {
            let file = SnapshotFile::open(path)?;
            let (machine, position) = snapshot::read(&file, Some(directory.cluster))?;
            check_level(&machine, &file.path)?;
            current = Some((position.meta(), file));
            applied.index.send_replace(position.last.map_or(0, |last| last.index));
            applied.replica.install(machine, position);
        }
        Ok(Self { applied, directory, current: Arc::new(Mutex::new(current)), wal })
    }

    fn apply_entry(&self, entry: Entry) -> io::Result<Answers> {
        let log_id = entry.log_id();
        let (commands, membership) = match entry.payload {
            EntryPayload::Blank => (Vec::new(), None),
            EntryPayload::Normal(proposal) => {
                let command = VersionedCommand::decode(&proposal).map_err(|error| {
                    let text = format!("log entry {log_id} is not understood by this version: {error}");
                    io::Error::new(io::ErrorKind::InvalidData, text)
                })?;
                (command.into_commands(), None)
            }
            EntryPayload::Membership(membership) => (Vec::new(), Some(membership)),
        };
        for command in &commands {
            if let Command::RaiseFeatureLevel { level } = command
                && *level > SUPPORTED_FEATURE_LEVEL
            {
                let text = format!("the cluster moved to feature level {level}, newer than this version");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        }
        let answers = self.applied.replica.apply(commands, |position| {
            position.last = Some(log_id);
            if let Some(membership) = membership {
                position.membership = StoredMembership::new(Some(log_id), membership);
            }
        });
        self.note_leases(&answers);
        self.applied.index.send_replace(log_id.index);
        Ok(Answers(answers))
    }

    /// Starts the clocks of new leases. The clocks decide what the leader proposes, never what apply does.
    fn note_leases(&self, answers: &[Response]) {
        for answer in answers {
            if let Response::Granted(grant) = answer {
                let mut leases = self.applied.leases.lock().unwrap_or_else(PoisonError::into_inner);
                leases.keep_alive(Instant::now(), *grant);
                self.applied.granted.notify_one();
            }
        }
    }
}

/// A snapshot by a newer cluster must not be served by an older program.
fn check_level(machine: &Machine, path: &Path) -> Result<()> {
    let found = machine.feature_level();
    if found > SUPPORTED_FEATURE_LEVEL {
        return Err(Error::NewerFormat { path: path.to_owned(), found, supported: SUPPORTED_FEATURE_LEVEL });
    }
    Ok(())
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok(self.applied.replica.read(|_, position| (position.last, position.membership.clone())))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let answers = self.apply_entry(entry)?;
            if let Some(responder) = responder {
                responder.send(answers);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.wal.snapshot_begins();
        let (machine, position) = self.applied.replica.view();
        Builder {
            machine,
            position,
            directory: Arc::clone(&self.directory),
            wal: Arc::clone(&self.wal),
            current: Arc::clone(&self.current),
        }
    }

    async fn install_snapshot(&mut self, meta: &RaftSnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        let (dir, cluster) = (self.directory.snapshots(), self.directory.cluster);
        let installed = tokio::task::spawn_blocking(move || install(&dir, cluster, snapshot)).await;
        let (machine, position, file) = installed.map_err(io::Error::other)?.map_err(into_io)?;
        tracing::info!(revision = %machine.revision(), "installed a snapshot");
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((meta.clone(), file));
        let index = position.last.map_or(0, |last| last.index);
        self.applied.replica.install(machine, position);
        self.applied.index.send_replace(index);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(current.clone().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Reads a received snapshot and keeps it as the newest file.
fn install(
    dir: &Path,
    cluster: ClusterId,
    received: SnapshotFile,
) -> Result<(Machine, Position, SnapshotFile)> {
    let (machine, position) = snapshot::read(&received, Some(cluster))?;
    check_level(&machine, &received.path)?;
    let path = dir.join(snapshot::file_name(&position));
    if received.path == path {
        return Ok((machine, position, received));
    }
    if received.path.parent() == Some(dir)
        && received.path.extension().is_some_and(|extension| extension == "tmp")
    {
        return Ok((machine, position, snapshot::adopt(dir, &received.path, &path)?));
    }
    let file = snapshot::write(dir, &machine, cluster, position.clone())?;
    Ok((machine, position, file))
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io { source, .. } => source,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

/// Writes a copy of the state, taken in constant time, to a file in the background.
pub(crate) struct Builder {
    machine: Machine,
    position: Position,
    directory: Arc<Directory>,
    wal: Arc<wal::Shared>,
    current: Arc<Mutex<Option<(RaftSnapshotMeta, SnapshotFile)>>>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let meta = self.position.meta();
        let snapshot = loop {
            let (dir, cluster) = (self.directory.snapshots(), self.directory.cluster);
            let (machine, position) = (self.machine.clone(), self.position.clone());
            let written =
                tokio::task::spawn_blocking(move || snapshot::write(&dir, &machine, cluster, position)).await;
            match written.map_err(io::Error::other)? {
                Ok(file) => break file,
                // A failure would stop the store; a full disk must not.
                Err(Error::Io { source, path, .. })
                    if crate::disk::is_full(&source) && !self.wal.is_closed() =>
                {
                    tracing::warn!(path = %path.display(), "no space left for a snapshot, trying again");
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(into_io(error)),
            }
        };
        tracing::info!(path = %snapshot.path.display(), bytes = snapshot.bytes, "wrote a snapshot");
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|(newest, _)| newest.last_log_id <= meta.last_log_id) {
            *current = Some((meta.clone(), snapshot.clone()));
        }
        Ok(Snapshot { meta, snapshot })
    }
}
