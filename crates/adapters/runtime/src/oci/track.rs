//! Keeping hold of running containers: connections to their shims, from this run of the daemon or an earlier one.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use univrs_ports::runtime::{ContainerId, ContainerPhase, Exit, RuntimeError};

use super::{Inner, failed};
use crate::record::{self, Started};
use crate::shim::{Reply, Request};
use crate::{layout, sys, teardown};

/// How often it is looked whether a shim has ended.
const LOOK: Duration = Duration::from_millis(5);
/// How long the remains of a container that lost its shim may resist.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a shim that an earlier run of the daemon started may still take to make its container.
const UNFINISHED: Duration = Duration::from_secs(60);

/// A connection to the shim of a running container.
#[derive(Clone)]
pub(super) struct Tracked {
    requests: mpsc::Sender<Request>,
    ended: watch::Receiver<Option<Exit>>,
}

impl Inner {
    /// Finds the containers of an earlier run of the daemon, once.
    pub(super) async fn adopt(self: &Arc<Self>) {
        self.adopted
            .get_or_init(|| async {
                let ids = self.layout.instances().into_iter().flat_map(|one| self.layout.containers_of(&one));
                futures::future::join_all(ids.map(|id| self.adopt_one(id))).await;
            })
            .await;
    }

    async fn adopt_one(self: &Arc<Self>, id: ContainerId) {
        let dir = self.layout.container(&id);
        if dir.join(layout::EXIT).exists() {
            return;
        }
        if dir.join(layout::STATE).exists() {
            self.follow(&id).await;
        } else if is_locked(&dir) {
            // Its start was asked for by a daemon that is gone; it is taken over when it is done.
            let inner = Arc::clone(self);
            tokio::spawn(async move { inner.settle(&id).await });
        }
        // Without a state and a shim nothing ran; what is there goes with the next start.
    }

    /// Waits for a start that a daemon left unfinished, and takes the container over.
    pub(super) async fn settle(self: &Arc<Self>, id: &ContainerId) {
        let dir = self.layout.container(id);
        let has_state = || dir.join(layout::STATE).exists();
        if has_state() || !is_locked(&dir) {
            return;
        }
        let until = Instant::now() + UNFINISHED;
        while Instant::now() < until && is_locked(&dir) && !has_state() {
            tokio::time::sleep(LOOK).await;
        }
        if has_state() && self.tracked(id).is_none() {
            self.follow(id).await;
        }
    }

    /// Connects to the shim of a container that was started; records the end of one that has none.
    pub(super) async fn follow(self: &Arc<Self>, id: &ContainerId) {
        let dir = self.layout.container(id);
        let Ok(stream) = connect(&dir).await else { return self.lost(id).await };
        let (requests, inbox) = mpsc::channel(8);
        let (ended, receiver) = watch::channel(None);
        let tracked = Tracked { requests, ended: receiver };
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), tracked);
        let (inner, id) = (Arc::clone(self), id.clone());
        tokio::spawn(async move {
            if !talk(stream, inbox).await {
                inner.lost(&id).await;
            } else {
                // Nobody listens when the daemon only lists.
                let _ = inner.endings.send(id.clone());
            }
            // From the record, so that all sources agree.
            ended.send_replace(inner.recorded_end(&id));
            let mut tracked = inner.tracked.lock().unwrap_or_else(PoisonError::into_inner);
            if tracked.get(&id).is_some_and(|one| one.ended.same_channel(&ended.subscribe())) {
                tracked.remove(&id);
            }
        });
    }

    /// Deals with a container whose shim does not answer: it has ended, or its shim was killed.
    async fn lost(self: &Arc<Self>, id: &ContainerId) {
        let dir = self.layout.container(id);
        // A shim that is about to end has written how the container ended before it closes anything.
        if let Err(error) = self.wait_unlocked(id, PATIENCE).await {
            tracing::error!(container = %id, %error, "its shim neither answers nor ends");
        }
        if self.recorded_end(id).is_none() {
            let (inner, id) = (Arc::clone(self), id.clone());
            let buried = tokio::task::spawn_blocking(move || inner.bury(&id, &dir)).await;
            if let Ok(Err(problem)) = buried {
                tracing::error!(problem, "a container without a shim left something behind");
            }
        }
        // Nobody listens when the daemon only lists.
        let _ = self.endings.send(id.clone());
    }

    /// Ends a container whose shim is gone. Nobody can know its exit code any more.
    fn bury(&self, id: &ContainerId, dir: &Path) -> Result<(), String> {
        let started: Option<Started> =
            record::read(&dir.join(layout::STATE)).map_err(|error| error.to_string())?;
        let Some(started) = started else { return Ok(()) };
        tracing::warn!(container = %id, "its shim is gone; the container is ended");
        if started.runs() {
            // Its end is the end of everything in its process namespace.
            let _ = sys::send_signal(started.pid, Signal::SIGKILL as i32);
        }
        let group = self.layout.cgroup(id);
        self.cgroups.kill(&group);
        let until = std::time::Instant::now() + PATIENCE;
        while started.runs() && std::time::Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        if started.runs() {
            return Err(format!("{id} still runs after it was killed"));
        }
        let exit = Exit { code: None, out_of_memory: false, at: Timestamp::now() };
        record::write_durably(&dir.join(layout::EXIT), &exit).map_err(|error| error.to_string())?;
        teardown::release(dir, &self.cgroups, &group, PATIENCE)
    }

    fn recorded_end(&self, id: &ContainerId) -> Option<Exit> {
        match self.state(id) {
            Ok(Some(state)) => match state.phase {
                ContainerPhase::Exited(exit) => Some(exit),
                ContainerPhase::Running => None,
            },
            _ => None,
        }
    }

    fn tracked(&self, id: &ContainerId) -> Option<Tracked> {
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Has the shim send a signal.
    pub(super) async fn send_signal(&self, id: &ContainerId, number: i32) -> Result<(), RuntimeError> {
        let ended = || RuntimeError::NotRunning { id: id.to_string() };
        let tracked = self.tracked(id).ok_or_else(ended)?;
        tracked.requests.send(Request::Signal(number)).await.map_err(|_| ended())
    }

    /// Waits for a container's end, at most so long. `None` when it still runs or never ran.
    pub(super) async fn wait_ended(
        &self,
        id: &ContainerId,
        limit: Duration,
    ) -> Result<Option<Exit>, RuntimeError> {
        if let Some(mut tracked) = self.tracked(id) {
            // An error means that the task that followed it is done: the record tells the rest.
            let _ = tokio::time::timeout(limit, tracked.ended.wait_for(Option::is_some)).await;
        }
        Ok(self.recorded_end(id))
    }

    /// Waits until the shim has ended, and with it all that it may still do.
    pub(super) async fn wait_unlocked(&self, id: &ContainerId, limit: Duration) -> Result<(), RuntimeError> {
        let dir = self.layout.container(id);
        let until = Instant::now() + limit;
        while is_locked(&dir) {
            if Instant::now() >= until {
                return Err(failed(id, "wait for its shim")(format!(
                    "it is still busy after {} s",
                    limit.as_secs()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Passes requests on until the container ends. Answers whether the shim said how.
async fn talk(stream: UnixStream, mut requests: mpsc::Receiver<Request>) -> bool {
    let (input, mut output) = stream.into_split();
    let mut lines = BufReader::new(input).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => {
                    if let Some(Reply::Ended(_)) = Reply::parse(&line) {
                        return true;
                    }
                }
                Ok(None) | Err(_) => return false,
            },
            Some(request) = requests.recv() => {
                // A shim that cannot be written to is about to close; that is read next.
                let _ = output.write_all(request.line().as_bytes()).await;
            }
        }
    }
}

/// Connects to the control socket in `dir`, however long the path is: sockets take 108 bytes at most.
async fn connect(dir: &Path) -> std::io::Result<UnixStream> {
    let dir =
        File::options().read(true).custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_PATH).open(dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), layout::CONTROL)).await
}

/// Whether a shim works in `dir`.
fn is_locked(dir: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(dir.join(layout::LOCK)) else { return false };
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
}
