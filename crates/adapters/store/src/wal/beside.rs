//! Syncs beside each other, for a disk that takes long for one (WAL-1).
//!
//! A sync makes safe what was written before it began, whatever other syncs do meanwhile. On a disk that answers after
//! milliseconds, what is written while a sync is under way need not wait for its end: another one begins at once, and
//! the processors work for some callers while the disk works for others.
//!
//! - What is written is called safe in the order in which it was written.
//! - A disk that failed to write something says so once to every open file description (`errseq_t` in Linux). So each
//!   of the threads here has one of its own, opened before what it is to sync is written.
//! - After one sync that failed nothing is called safe any more.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::job::Job;
use crate::disk::copy_of;

/// Syncs under way at once.
pub(crate) const AT_ONCE: usize = 4;

/// Makes safe what was written to a file; one for each thread.
pub(crate) type Sync = Box<dyn Fn() -> io::Result<()> + Send>;
/// Hears how long a sync took.
type Heard = Box<dyn Fn(Duration) + Send + std::marker::Sync>;

/// What was written and is not known to be safe.
struct Turn {
    number: u64,
    /// Where it ends in its segment.
    end: u64,
    jobs: Vec<Job>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were written.
    turns: VecDeque<Turn>,
    /// The last turn whose sync has begun.
    begun: u64,
    /// The last turn that was taken in.
    last: u64,
    /// Up to where the segment is safe.
    safe: u64,
    failed: Option<io::Error>,
    /// What each thread syncs with.
    syncs: Vec<Option<Sync>>,
    /// How often that was changed.
    turned: u64,
    closed: bool,
}

struct Inner {
    state: Mutex<State>,
    /// Something is to be synced, or the end.
    work: Condvar,
    /// A turn is safe, or will never be.
    progress: Condvar,
    heard: Heard,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that sync. They end, with all that is under way, when this is dropped.
pub(crate) struct Beside {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

impl Beside {
    pub(crate) fn start(heard: impl Fn(Duration) + Send + std::marker::Sync + 'static) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            heard: Box::new(heard),
        });
        let mut beside = Self { inner, threads: Vec::new() };
        for number in 0..AT_ONCE {
            let inner = Arc::clone(&beside.inner);
            let thread = std::thread::Builder::new().name("univrs-store-sync".to_owned());
            beside.threads.push(thread.spawn(move || run(&inner, number))?);
        }
        Ok(beside)
    }

    /// Says what to sync from now on, up to where it is safe. No turn may be under way; syncs that nobody waits for any
    /// more, since later ones came back before them, may.
    pub(crate) fn turn_to(&self, syncs: Vec<Sync>, safe: u64) {
        let mut state = self.inner.state();
        state.turned += 1;
        state.syncs = syncs.into_iter().map(Some).collect();
        state.safe = safe;
    }

    /// Waits until another sync may begin. Answers up to where the segment is safe.
    pub(crate) fn room(&self) -> io::Result<u64> {
        self.until(AT_ONCE - 1)
    }

    /// Waits until nothing is under way. Answers up to where the segment is safe.
    pub(crate) fn drain(&self) -> io::Result<u64> {
        self.until(0)
    }

    fn until(&self, most: usize) -> io::Result<u64> {
        let mut state = self.inner.state();
        while state.failed.is_none() && state.turns.len() > most {
            state = self.inner.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failed.as_ref().map_or(Ok(state.safe), |error| Err(copy_of(error)))
    }

    /// Syncs what was written up to `end`, and then answers the jobs.
    pub(crate) fn begin(&self, end: u64, jobs: Vec<Job>) {
        let mut state = self.inner.state();
        if let Some(error) = &state.failed {
            jobs.into_iter().for_each(|job| job.fail(error));
            return;
        }
        state.last += 1;
        let number = state.last;
        state.turns.push_back(Turn { number, end, jobs });
        drop(state);
        self.inner.work.notify_one();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.inner.state().closed = true;
        self.inner.work.notify_all();
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

fn run(inner: &Inner, thread: usize) {
    let mut state = inner.state();
    loop {
        if state.begun == state.last || state.failed.is_some() {
            if state.closed {
                return;
            }
            state = inner.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        // Everything that is written by now: a thread that woke late does the work of others as well.
        let upto = state.last;
        let Some(sync) = state.syncs.get_mut(thread).and_then(Option::take) else { return };
        state.begun = upto;
        let turned = state.turned;
        drop(state);
        let begun = Instant::now();
        let synced = sync();
        let took = begun.elapsed();
        state = inner.state();
        // It may be of a file that is no longer written to.
        if state.turned == turned
            && let Some(slot) = state.syncs.get_mut(thread)
        {
            *slot = Some(sync);
        }
        match synced {
            Ok(()) if state.failed.is_none() => {
                (inner.heard)(took);
                while state.turns.front().is_some_and(|turn| turn.number <= upto)
                    && let Some(turn) = state.turns.pop_front()
                {
                    state.safe = turn.end;
                    turn.jobs.into_iter().for_each(Job::stored);
                }
            }
            Ok(()) => {}
            Err(error) => {
                for turn in std::mem::take(&mut state.turns) {
                    turn.jobs.into_iter().for_each(|job| job.fail(&error));
                }
                state.failed = Some(error);
            }
        }
        inner.progress.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use openraft::storage::IOFlushed;
    use openraft::type_config::TypeConfigExt;

    use super::*;
    use crate::types::Types;

    type Stored = tokio::sync::oneshot::Receiver<io::Result<()>>;

    /// A thread's sync that waits to be let go, and what lets it go with its outcome.
    fn held(begun: &mpsc::Sender<usize>, number: usize) -> (Sync, mpsc::Sender<io::Result<()>>) {
        let (release, released) = mpsc::channel();
        let begun = begun.clone();
        let sync = move || {
            begun.send(number).unwrap();
            released.recv().unwrap()
        };
        (Box::new(sync), release)
    }

    /// A vote: its answer can be looked at without a runtime.
    fn job() -> (Job, Stored) {
        let (done, stored) = tokio::sync::oneshot::channel();
        (Job::Vote { payload: Vec::new(), done }, stored)
    }

    /// What lets syncs go comes first: it ends before the threads that wait for it, whatever becomes of a test.
    struct Bench {
        releases: Vec<mpsc::Sender<io::Result<()>>>,
        begun: mpsc::Receiver<usize>,
        beside: Beside,
    }

    impl Bench {
        /// Two jobs up to 100 and 200, each with a sync that has begun: which thread's, and the job's answer.
        fn two_under_way(&self) -> [(usize, Stored); 2] {
            [100, 200].map(|end| {
                let (job, stored) = job();
                self.beside.begin(end, vec![job]);
                (self.begun.recv().unwrap(), stored)
            })
        }
    }

    fn bench() -> Bench {
        let (sender, begun) = mpsc::channel();
        let (syncs, releases) = (0..AT_ONCE).map(|number| held(&sender, number)).unzip();
        let beside = Beside::start(|_| {}).unwrap();
        beside.turn_to(syncs, 64);
        Bench { beside, releases, begun }
    }

    #[test]
    fn a_later_sync_makes_safe_what_was_written_before() {
        let bench = bench();
        let [(early, mut first_stored), (late, mut second_stored)] = bench.two_under_way();
        assert!(first_stored.try_recv().is_err() && second_stored.try_recv().is_err());
        bench.releases[late].send(Ok(())).unwrap();
        assert_eq!(bench.beside.drain().unwrap(), 200);
        first_stored.try_recv().unwrap().unwrap();
        second_stored.try_recv().unwrap().unwrap();
        bench.releases[early].send(Ok(())).unwrap();
    }

    #[test]
    fn an_earlier_sync_says_nothing_of_what_came_after_it_began() {
        let bench = bench();
        let [(early, mut first_stored), (late, mut second_stored)] = bench.two_under_way();
        bench.releases[early].send(Ok(())).unwrap();
        while first_stored.try_recv().is_err() {
            std::thread::yield_now();
        }
        assert!(second_stored.try_recv().is_err());
        assert_eq!(bench.beside.room().unwrap(), 100);
        bench.releases[late].send(Ok(())).unwrap();
        assert_eq!(bench.beside.drain().unwrap(), 200);
        second_stored.try_recv().unwrap().unwrap();
    }

    #[test]
    fn a_sync_that_comes_back_late_is_not_used_for_the_next_file() {
        let bench = bench();
        let [(early, _first), (late, _second)] = bench.two_under_way();
        bench.releases[late].send(Ok(())).unwrap();
        assert_eq!(bench.beside.drain().unwrap(), 200);

        let (sender, begun) = mpsc::channel();
        let (syncs, releases): (_, Vec<_>) = (0..AT_ONCE).map(|number| held(&sender, number)).unzip();
        bench.beside.turn_to(syncs, 64);
        bench.releases[early].send(Ok(())).unwrap();
        let stored: Vec<Stored> = (1..=AT_ONCE as u64)
            .map(|turn| {
                let (job, stored) = job();
                bench.beside.begin(64 + turn, vec![job]);
                // Each by one of the new files.
                begun.recv_timeout(Duration::from_secs(10)).unwrap();
                stored
            })
            .collect();
        assert!(bench.begun.try_recv().is_err(), "the old file is synced for what is in the new one");
        releases.iter().for_each(|release| release.send(Ok(())).unwrap());
        bench.beside.drain().unwrap();
        stored.into_iter().for_each(|stored| stored.blocking_recv().unwrap().unwrap());
    }

    #[test]
    fn after_a_failure_nothing_is_safe() {
        let bench = bench();
        let [(early, mut first_stored), (late, mut second_stored)] = bench.two_under_way();
        bench.releases[early].send(Err(io::Error::other("the disk is broken"))).unwrap();
        while first_stored.try_recv().is_err() {
            std::thread::yield_now();
        }
        bench.releases[late].send(Ok(())).unwrap();
        assert!(bench.beside.drain().unwrap_err().to_string().contains("the disk is broken"));
        second_stored.try_recv().unwrap().unwrap_err();
        let (third, mut third_stored) = job();
        bench.beside.begin(300, vec![third]);
        third_stored.try_recv().unwrap().unwrap_err();
    }

    #[test]
    fn entries_are_answered_too() {
        let bench = bench();
        let (done, stored) = Types::oneshot();
        let entries = Job::Entries { entries: Vec::new(), done: IOFlushed::signal(done) };
        bench.beside.begin(100, vec![entries]);
        let early = bench.begun.recv().unwrap();
        bench.releases[early].send(Ok(())).unwrap();
        assert_eq!(bench.beside.drain().unwrap(), 100);
        stored.blocking_recv().unwrap().unwrap();
    }
}
