//! The write-ahead log of the store: segmented files, one sync for many entries.
//!
//! Invariants:
//!
//! - **WAL-1** openraft hears that an entry or a vote is stored only after a successful `fdatasync` that
//!   covers it. Everything that waits while a sync runs shares the next one; where a sync is slow, the next one begins
//!   beside it.
//! - **WAL-2** On start, an unfinished write at the end is cut with a warning; damage to anything that had
//!   been safe on disk refuses to start and names file and offset. See [`record`] for how they are told apart.
//! - **WAL-3** The log never has holes: entries, truncations and purges are records in one order.
//! - **WAL-4** Room is reserved ahead of the writes. When that fails, the log says it is full and new
//!   proposals are refused, while what is already on its way still fits. Nothing is given up; the log goes
//!   on when there is room.
//!
//! Zeros lie ahead of the last record while the log is open, so that a sync changes no more than bytes of the file.
//!
//! Vote, committed and purged positions live in the same files; each segment starts with a checkpoint of
//! them, so that older segments can be deleted after a snapshot.

mod beside;
mod create;
mod job;
pub(crate) mod record;
mod recover;
mod state;
mod writer;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, TryStreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::{Notify, oneshot};
use univrs_ports::store::Result;

use self::job::Job;
use self::record::SegmentId;
use self::state::{LogView, Place, entry_size};
use self::writer::Writer;
use crate::directory::Directory;
use crate::disk::{Space, io_error};
use crate::types::{Entry, LogId, Types, Vote};

/// From here on a disk is taken for one that hangs: so many bytes of entries wait for it, and for so long. Less than that is
/// a burst of large writes.
const HANGING: (usize, Duration) = (16 << 20, Duration::from_secs(3));
/// Bytes of entries that are read, or sent to a follower, at once.
const READ_BYTES: usize = 1 << 20;

/// How the log uses the disk and the memory.
#[derive(Clone)]
pub(crate) struct WalOptions {
    /// Locked as long as the log is in use.
    pub(crate) directory: Arc<Directory>,
    pub(crate) segment_bytes: u64,
    pub(crate) cache_bytes: usize,
    pub(crate) reserve_bytes: u64,
    pub(crate) snapshot_bytes: u64,
    pub(crate) space: Arc<dyn Space>,
    /// From here on a sync takes so long that another one is begun beside it.
    pub(crate) slow: Duration,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    /// Bytes of the entries in them.
    bytes: usize,
    /// Since when the first of them waits.
    since: Option<Instant>,
    closed: bool,
    failed: Option<String>,
}

impl Queue {
    fn take(&mut self) -> Vec<Job> {
        (self.bytes, self.since) = (0, None);
        std::mem::take(&mut self.jobs)
    }
}

/// What the log's handles and its writing thread share. Lock order: view before queue, never nested.
pub(crate) struct Shared {
    view: Mutex<LogView>,
    queue: Mutex<Queue>,
    wake: Condvar,
    full: AtomicBool,
    /// How long a sync takes, in microseconds, averaged over the last few.
    sync_micros: AtomicU64,
    /// How many syncs there were since the log was opened, and how long they took together, in microseconds.
    syncs: AtomicU64,
    syncing_micros: AtomicU64,
    /// Rung when the log has grown enough for a snapshot.
    grown: Notify,
    snapshot_bytes: u64,
    slow: Duration,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, LogView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, job: Job) {
        let mut queue = self.queue();
        if let Some(reason) = &queue.failed {
            job.fail(&io::Error::other(reason.clone()));
            return;
        }
        queue.bytes += job.size();
        queue.since.get_or_insert_with(Instant::now);
        queue.jobs.push(job);
        drop(queue);
        self.wake.notify_one();
    }

    /// Answers everything that waits, and all that comes later, with the error.
    fn fail(&self, error: &io::Error) {
        let mut queue = self.queue();
        queue.failed = Some(error.to_string());
        for job in queue.take() {
            job.fail(error);
        }
    }

    /// Whether new proposals must be refused for want of space.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Whether new proposals must be refused because the disk does not take in what waits for it. Others may store
    /// them, so that nothing else would keep the memory from filling.
    pub(crate) fn hangs(&self) -> bool {
        let queue = self.queue();
        queue.bytes >= HANGING.0 && queue.since.is_some_and(|since| since.elapsed() >= HANGING.1)
    }

    /// How long a sync takes here, about.
    pub(crate) fn sync_time(&self) -> Duration {
        Duration::from_micros(self.sync_micros.load(Ordering::Relaxed))
    }

    /// Whether a sync takes so long that others run beside it.
    pub(crate) fn is_slow(&self) -> bool {
        self.sync_time() >= self.slow
    }

    /// How many syncs there were since the log was opened, and how long they took together.
    pub(crate) fn syncs(&self) -> (u64, Duration) {
        let took = self.syncing_micros.load(Ordering::Relaxed);
        (self.syncs.load(Ordering::Relaxed), Duration::from_micros(took))
    }

    fn synced(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let known = self.sync_micros.load(Ordering::Relaxed);
        // Never called twice at a time. One odd sync in eight changes little.
        let average = if known == 0 { took } else { known - known / 8 + took / 8 };
        self.sync_micros.store(average, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.syncing_micros.fetch_add(took, Ordering::Relaxed);
    }

    /// Whether nothing more will be written.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue().closed
    }

    /// Waits until a snapshot is due.
    pub(crate) async fn snapshot_due(&self) {
        loop {
            let notified = self.grown.notified();
            if self.view().bytes_since_snapshot >= self.snapshot_bytes {
                return;
            }
            notified.await;
        }
    }

    /// Starts counting anew; called when a snapshot begins.
    pub(crate) fn snapshot_begins(&self) {
        self.view().bytes_since_snapshot = 0;
    }

    /// The last index to purge so that about `keep` bytes of whole segments stay before `snapshot`.
    pub(crate) fn purge_up_to(&self, snapshot: u64, keep: u64) -> Option<u64> {
        let view = self.view();
        let mut kept = 0;
        let mut oldest_kept = None;
        for (sequence, segment) in view.segments.iter().rev() {
            if kept > keep {
                break;
            }
            kept += segment.file.metadata().map_or(0, |metadata| metadata.len());
            oldest_kept = Some(*sequence);
        }
        let before = view.segments.range(..oldest_kept?).next_back()?.1.max_index?;
        Some(before.min(snapshot))
    }
}

/// The log as openraft sees it.
pub(crate) struct Wal {
    shared: Arc<Shared>,
    next_ticket: u64,
    thread: Option<JoinHandle<()>>,
}

impl Wal {
    /// Opens the log in its directory and reads it back. Blocks.
    pub(crate) fn open(options: WalOptions) -> Result<Self> {
        let (cluster, member) = (options.directory.cluster, options.directory.member);
        let id = SegmentId { cluster, member, sequence: 0 };
        let dir = options.directory.log();
        let recovered = recover::recover(&dir, id)?;
        let shared = Arc::new(Shared {
            view: Mutex::new(recovered.view),
            queue: Mutex::default(),
            wake: Condvar::new(),
            full: AtomicBool::new(false),
            sync_micros: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            syncing_micros: AtomicU64::new(0),
            grown: Notify::new(),
            snapshot_bytes: options.snapshot_bytes,
            slow: options.slow,
        });
        let writer = Writer::open(options, Arc::clone(&shared), id, recovered.tail)?;
        let thread = std::thread::Builder::new()
            .name("univrs-store-log".to_owned())
            .spawn(move || writer.run())
            .map_err(io_error("start the writer of", dir))?;
        Ok(Self { shared, next_ticket: 0, thread: Some(thread) })
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl RaftLogStorage<Types> for Wal {
    type LogReader = WalReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let view = self.shared.view();
        Ok(LogState { last_purged_log_id: view.purged, last_log_id: view.last })
    }

    async fn get_log_reader(&mut self) -> WalReader {
        WalReader { shared: self.shared() }
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let payload = postcard::to_stdvec(vote).map_err(io::Error::other)?;
        self.shared.view().vote = Some(*vote);
        let (done, stored) = oneshot::channel();
        self.shared.submit(Job::Vote { payload, done });
        stored.await.map_err(|_| io::Error::other("the log is closed"))?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let payload = postcard::to_stdvec(&committed).map_err(io::Error::other)?;
        self.shared.view().committed = committed;
        self.shared.submit(Job::Committed { payload });
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let view = self.shared.view();
        // The hint may be older or newer than what else survived; it never goes beyond the log.
        Ok(view.committed.min(view.last))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut jobs = Vec::new();
        for entry in entries {
            let mut payload = Vec::with_capacity(entry_size(&entry) + 32);
            payload.extend_from_slice(&entry.index().to_le_bytes());
            let payload = postcard::to_extend(&entry, payload).map_err(io::Error::other)?;
            self.next_ticket += 1;
            jobs.push((entry.index(), self.next_ticket, payload));
            let pushed = self.shared.view().push(self.next_ticket, entry, Place::default());
            pushed.map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        }
        self.shared.submit(Job::Entries { entries: jobs, done: callback });
        if self.shared.view().bytes_since_snapshot >= self.shared.snapshot_bytes {
            self.shared.grown.notify_one();
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |log_id| log_id.index + 1);
        self.shared.view().truncate(from, last);
        self.shared.submit(Job::Truncate { from });
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.shared.view().purge(upto);
        self.shared.submit(Job::Purge { upto });
        Ok(())
    }
}

/// Reads entries, from memory when they are new and from disk otherwise.
#[derive(Clone)]
pub(crate) struct WalReader {
    shared: Arc<Shared>,
}

/// Entries to read: those on disk come before those in memory.
struct Plan {
    on_disk: Vec<(Arc<std::fs::File>, Place)>,
    cached: VecDeque<Entry>,
}

impl WalReader {
    fn plan(&self, start: u64, end: u64, limit: Option<usize>) -> io::Result<Plan> {
        let view = self.shared.view();
        let (start, end) = (start.max(view.first), end.min(view.next()));
        let mut plan = Plan { on_disk: Vec::new(), cached: VecDeque::new() };
        let mut bytes = 0;
        for index in start..end {
            if limit.is_some_and(|limit| bytes >= limit) {
                break;
            }
            if let Some(cached) = view.cached(index) {
                bytes += cached.size;
                plan.cached.push_back(cached.entry.clone());
                continue;
            }
            let place = usize::try_from(index - view.first).ok().and_then(|slot| view.places.get(slot));
            let found = place.and_then(|place| Some((view.segments.get(&place.segment)?, *place)));
            let (segment, place) = found.ok_or_else(|| io::Error::other(format!("entry {index} is lost")))?;
            plan.on_disk.push((Arc::clone(&segment.file), place));
        }
        Ok(plan)
    }

    async fn read(&self, start: u64, end: u64, limit: Option<usize>) -> io::Result<Vec<Entry>> {
        let Plan { on_disk, cached } = self.plan(start, end, limit)?;
        if on_disk.is_empty() {
            return Ok(cached.into());
        }
        let planned = on_disk.len();
        let mut entries = tokio::task::spawn_blocking(move || {
            let mut entries = Vec::new();
            let mut bytes = 0;
            for (file, place) in on_disk {
                let entry = recover::read_entry(&file, place)
                    .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
                bytes += entry_size(&entry);
                entries.push(entry);
                if limit.is_some_and(|limit| bytes >= limit) {
                    break;
                }
            }
            Ok::<_, io::Error>(entries)
        })
        .await
        .map_err(io::Error::other)??;
        if entries.len() == planned {
            entries.extend(cached);
        }
        Ok(entries)
    }
}

impl RaftLogReader<Types> for WalReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        self.read(start, end, None).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.view().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, Some(READ_BYTES)).await
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        chunks(self.clone(), bounds(&range))
            .map_ok(|chunk| futures::stream::iter(chunk).map(Ok))
            .try_flatten()
            .boxed()
    }
}

/// The entries of a range, a bounded amount at a time.
fn chunks(
    reader: WalReader,
    range: (u64, u64),
) -> impl Stream<Item = io::Result<Vec<Entry>>> + Send + 'static {
    futures::stream::try_unfold((reader, range), |(reader, (start, end))| async move {
        if start >= end {
            return Ok(None);
        }
        let chunk = reader.read(start, end, Some(READ_BYTES)).await?;
        Ok(chunk.last().map(Entry::index).map(|last| (chunk, (reader, (last + 1, end)))))
    })
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end + 1,
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
