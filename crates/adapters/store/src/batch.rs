//! Many commands, one log entry. While an entry is on its way, commands gather for the next; that is what
//! makes the store fast under load without making it slow when idle.
//!
//! A batch goes to openraft when this node leads, and to the leader otherwise. What certainly had no effect
//! is tried again until the deadline; what may have had one is tried again only if its transaction carries
//! a request id, which makes repetition safe (STORE-5). Transactions that are forwarded get one here when they come
//! without, so that callers at other nodes do not notice the death of a leader but by the time it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use univrs_ports::store::{Command, Error, MemberId, RequestId, Response, Result, SUPPORTED_FEATURE_LEVEL};

use crate::message::{Answer, Question};
use crate::network::AskError;
use crate::node::{Core, LEADER_PAUSE, Leader, write_error};
use crate::types::{self, Proposal, VersionedCommand};

/// Commands waiting for the batcher before callers have to wait.
const QUEUE: usize = 4096;
/// Most commands in one log entry.
const BATCH_COMMANDS: usize = 512;
/// Most bytes in one log entry, unless one command alone is larger.
pub(crate) const BATCH_BYTES: usize = 4 << 20;
/// Log entries on their way at once.
pub(crate) const IN_FLIGHT: usize = 2;
/// How long a small batch waits for the larger one before it: about as long as a slow disk syncs, and little beside the
/// way to another region.
const MERGE: Duration = Duration::from_millis(5);
/// Batches of up to this many are given request ids on their way to another member: so many answers of one client are
/// remembered for all batches in flight. Larger ones come from those who fill a store, and send again what failed.
const NAMED: usize = 64;
/// Encoding adds this much per command at most, apart from keys and values.
const COMMAND_OVERHEAD: usize = 64;

/// A command with its caller.
struct Waiting {
    command: Command,
    reply: oneshot::Sender<Result<Response>>,
}

/// The way in for commands.
#[derive(Clone)]
pub(crate) struct Batcher {
    queue: mpsc::Sender<Waiting>,
}

impl Batcher {
    /// Starts the batcher's task.
    pub(crate) fn start(core: Arc<Core>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(run(core, waiting));
        Self { queue }
    }

    /// Queues a command and waits for its response.
    pub(crate) async fn submit(&self, command: Command) -> Result<Response> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Waiting { command, reply }).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// A batch that was sent on its way.
struct Sent {
    commands: usize,
    at: Instant,
    /// Says when the batch was answered.
    answered: oneshot::Receiver<()>,
}

/// A batch in the making.
#[derive(Default)]
struct Gathering {
    batch: Vec<Waiting>,
    bytes: usize,
    /// What does not fit and opens the next batch.
    held: Option<Waiting>,
}

impl Gathering {
    fn add(&mut self, next: Waiting) {
        let bytes = self.bytes + cost(&next.command);
        if bytes > BATCH_BYTES && !self.batch.is_empty() {
            self.held = Some(next);
        } else {
            self.bytes = bytes;
            self.batch.push(next);
        }
    }

    fn is_full(&self) -> bool {
        self.held.is_some() || self.batch.len() >= BATCH_COMMANDS
    }

    /// Waits for more before the next sync: while the batch before is under way and larger, since to send a small one
    /// after it would part the callers into two halves that take turns with the disk for ever, at half the rate.
    async fn wait_for(&mut self, before: &mut Sent, waiting: &mut mpsc::Receiver<Waiting>) {
        let mut late = std::pin::pin!(tokio::time::sleep_until(before.at + MERGE));
        while !self.is_full() && self.batch.len() < before.commands {
            tokio::select! {
                _answered = &mut before.answered => return,
                () = &mut late => return,
                next = waiting.recv() => match next {
                    Some(next) => self.add(next),
                    None => return,
                },
            }
        }
    }

    /// Waits for half of the callers where a sync is slow, as `sync` tells, and syncs run beside each other: the
    /// processors work for one half while the disk works for the other. Waits for a part of that time at most.
    async fn wait_for_half(&mut self, crowd: usize, sync: Duration, waiting: &mut mpsc::Receiver<Waiting>) {
        let mut late = std::pin::pin!(tokio::time::sleep((sync / 4).min(MERGE)));
        while !self.is_full() && self.batch.len() * 2 < crowd {
            tokio::select! {
                () = &mut late => return,
                next = waiting.recv() => match next {
                    Some(next) => self.add(next),
                    None => return,
                },
            }
        }
    }
}

/// Request ids for transactions that come without one.
struct Names {
    client: u128,
    next: AtomicU64,
}

impl Names {
    fn give(&self, batch: &mut [Waiting]) {
        if batch.len() > NAMED {
            return;
        }
        for waiting in batch {
            if let Command::Txn(txn) = &mut waiting.command
                && txn.request.is_none()
            {
                let sequence = self.next.fetch_add(1, Ordering::Relaxed);
                txn.request = Some(RequestId { client: self.client, sequence });
            }
        }
    }
}

async fn run(core: Arc<Core>, mut waiting: mpsc::Receiver<Waiting>) {
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    let names = Arc::new(Names { client: rand::random(), next: AtomicU64::new(0) });
    let mut held: Option<Waiting> = None;
    let mut before: Option<Sent> = None;
    // How many commands are under way, and how many there were at once of late.
    let (under_way, mut crowd) = (Arc::new(AtomicUsize::new(0)), 0_usize);
    loop {
        let first = match held.take() {
            Some(first) => first,
            None => tokio::select! {
                first = waiting.recv() => match first {
                    Some(first) => first,
                    None => return,
                },
                () = core.shutdown.cancelled() => return,
            },
        };
        let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else { return };
        let mut gathering = Gathering::default();
        gathering.add(first);
        if core.wal.is_slow() {
            gathering.wait_for_half(crowd, core.wal.sync_time(), &mut waiting).await;
        } else if let Some(before) = &mut before {
            gathering.wait_for(before, &mut waiting).await;
        }
        // Whoever is ready to write as well gets a place in the same entry: an entry costs more than a command.
        tokio::task::yield_now().await;
        while !gathering.is_full()
            && let Ok(next) = waiting.try_recv()
        {
            gathering.add(next);
        }
        let batch = gathering.batch;
        held = gathering.held;
        let (done, answered) = oneshot::channel();
        let commands = batch.len();
        let sent = under_way.fetch_add(commands, Ordering::Relaxed) + commands;
        crowd = sent.max(crowd - crowd.div_ceil(8));
        before = Some(Sent { commands, at: Instant::now(), answered });
        let (core, names, under_way) = (Arc::clone(&core), Arc::clone(&names), Arc::clone(&under_way));
        tokio::spawn(async move {
            deliver(&core, &names, batch).await;
            under_way.fetch_sub(commands, Ordering::Relaxed);
            drop(permit);
            // The batcher may have ended.
            let _unheard = done.send(());
        });
    }
}

fn cost(command: &Command) -> usize {
    command.size() + COMMAND_OVERHEAD
}

/// Sees a batch through to an answer for every caller.
async fn deliver(core: &Core, names: &Names, mut batch: Vec<Waiting>) {
    let deadline = Instant::now() + core.timeout;
    batch = refuse_unknown(core, batch);
    // Whether one attempt may have taken effect, whatever later ones say of themselves.
    let mut doubt = false;
    while !batch.is_empty() {
        if !matches!(core.leader(), Leader::Here) {
            names.give(&mut batch);
        }
        let commands: Vec<&Command> = batch.iter().map(|waiting| &waiting.command).collect();
        let room = commands.iter().map(|command| cost(command)).sum();
        let outcome = match types::encode(commands, room) {
            Ok(proposal) => attempt(core, proposal, batch.len(), deadline).await,
            Err(_) => Err(Error::TooLarge { what: "batch", size: 0, limit: 0 }),
        };
        let error = match outcome {
            Ok(answers) => {
                for (waiting, answer) in batch.into_iter().zip(answers) {
                    let _caller_gone = waiting.reply.send(answer);
                }
                return;
            }
            Err(error) => error,
        };
        doubt |= matches!(error, Error::Unavailable { may_have_committed: true, .. });
        batch = keep_retryable(core, batch, if doubt { error.in_doubt() } else { error }, deadline);
        if !batch.is_empty() {
            tokio::time::sleep(LEADER_PAUSE).await;
        }
    }
}

/// Answers the commands that not every member understands.
fn refuse_unknown(core: &Core, batch: Vec<Waiting>) -> Vec<Waiting> {
    let current = core.applied.replica.read(|machine, _| machine.feature_level());
    let (known, unknown): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| {
        let level_known = !matches!(
            waiting.command,
            Command::RaiseFeatureLevel { level } if level > SUPPORTED_FEATURE_LEVEL
        );
        waiting.command.required_level() <= current && level_known
    });
    for waiting in unknown {
        let needed = match waiting.command {
            Command::RaiseFeatureLevel { level } => level,
            other => other.required_level(),
        };
        let _caller_gone = waiting.reply.send(Err(Error::FeatureLevel { needed, current }));
    }
    known
}

/// Answers the callers whose commands must not be sent again, returns the others.
fn keep_retryable(core: &Core, batch: Vec<Waiting>, error: Error, deadline: Instant) -> Vec<Waiting> {
    let ambiguous = matches!(error, Error::Unavailable { may_have_committed: true, .. });
    let retry = matches!(error, Error::NotLeader { .. } | Error::Unavailable { .. });
    let late = Instant::now() >= deadline || core.is_closed();
    let (again, done): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|waiting| retry && !late && (!ambiguous || is_repeatable(&waiting.command)));
    for waiting in done {
        let _caller_gone = waiting.reply.send(Err(copy(&error)));
    }
    again
}

fn is_repeatable(command: &Command) -> bool {
    match command {
        Command::Txn(txn) => txn.request.is_some(),
        Command::ExpireLeases { .. } | Command::RaiseFeatureLevel { .. } => true,
        Command::GrantLease { .. } | Command::RevokeLease { .. } => false,
    }
}

fn copy(error: &Error) -> Error {
    match error {
        Error::NotLeader { leader } => Error::NotLeader { leader: *leader },
        Error::Unavailable { reason, may_have_committed } => {
            Error::Unavailable { reason, may_have_committed: *may_have_committed }
        }
        Error::DiskFull => Error::DiskFull,
        Error::TooLarge { what, size, limit } => Error::TooLarge { what, size: *size, limit: *limit },
        Error::FeatureLevel { needed, current } => Error::FeatureLevel { needed: *needed, current: *current },
        _ => Error::Closed,
    }
}

/// One try. An error speaks for the whole batch.
async fn attempt(
    core: &Core,
    proposal: Proposal,
    count: usize,
    deadline: Instant,
) -> Result<Vec<Result<Response>>> {
    match core.leader() {
        Leader::Here => Ok(propose(core, proposal, deadline).await?.into_iter().map(Ok).collect()),
        Leader::At(leader, address) => {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match core.ask_leader(leader, &address, Question::Forward(proposal), left).await {
                Ok(Answer::Forwarded(answers)) if answers.len() == count => Ok(answers
                    .into_iter()
                    .map(|answer| answer.map_err(|r| r.into_error(core.cluster, leader)))
                    .collect()),
                Ok(_) => Err(lost()),
                Err(AskError::Refused(error)) => Err(error),
                Err(error) if error.is_ambiguous() => Err(lost()),
                Err(_) => Err(Error::NotLeader { leader: Some(leader) }),
            }
        }
        Leader::Unknown if core.is_closed() => Err(Error::Closed),
        Leader::Unknown => {
            Err(Error::Unavailable { reason: "there is no leader", may_have_committed: false })
        }
    }
}

fn lost() -> Error {
    Error::Unavailable { reason: "the leader did not answer", may_have_committed: true }
}

/// Proposes on the leader, which is this node.
pub(crate) async fn propose(core: &Core, proposal: Proposal, deadline: Instant) -> Result<Vec<Response>> {
    if core.wal.is_full() {
        return Err(Error::DiskFull);
    }
    if core.wal.hangs() {
        return Err(Error::Unavailable { reason: "the disk of the leader hangs", may_have_committed: false });
    }
    match tokio::time::timeout_at(deadline, core.raft.client_write(proposal)).await {
        Ok(Ok(written)) => Ok(written.data.0),
        Ok(Err(error)) => Err(write_error(error)),
        Err(_) => {
            Err(Error::Unavailable { reason: "no quorum stored the write in time", may_have_committed: true })
        }
    }
}

/// Answers a batch that another member forwarded: proposes it if this node leads, and refuses otherwise.
pub(crate) async fn propose_forwarded(core: &Core, proposal: Proposal) -> Result<Vec<Response>> {
    match core.leader() {
        Leader::Here => {}
        Leader::At(leader, _) => return Err(Error::NotLeader { leader: Some(leader) }),
        Leader::Unknown => return Err(Error::NotLeader { leader: None }),
    }
    let VersionedCommand::V1(commands) = VersionedCommand::decode(&proposal)
        .map_err(|_| Error::FeatureLevel { needed: u32::MAX, current: SUPPORTED_FEATURE_LEVEL })?;
    let current = core.applied.replica.read(|machine, _| machine.feature_level());
    if let Some(needed) =
        commands.iter().map(Command::required_level).max().filter(|needed| *needed > current)
    {
        return Err(Error::FeatureLevel { needed, current });
    }
    propose(core, proposal, Instant::now() + core.timeout).await
}

/// The member a request should go to, when it must not be sent elsewhere.
pub(crate) fn leader_or_error(core: &Core) -> Result<Option<(MemberId, String)>> {
    match core.leader() {
        Leader::Here => Ok(None),
        Leader::At(leader, address) => Ok(Some((leader, address))),
        Leader::Unknown if core.is_closed() => Err(Error::Closed),
        Leader::Unknown => Err(Error::NotLeader { leader: None }),
    }
}
