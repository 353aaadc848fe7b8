//! Asking the nodes of a store until one answers: which node to use, what may be asked again, and when to give up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;
use univrs_ports::store::{Consistency, Error, KeyValue, Page, Prefix, RangeOut, Result, Revision};

use super::connection::{CallError, Connection, Incoming};
use super::dial::{Connections, Lane};
use super::remote::RemoteOptions;
use super::words::{Answer, Ask, Here, Open, Piece};
use super::{Channel, WireError};

/// How long to wait before the next node is tried.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// How long making a connection may take before the next node is tried.
const DIAL: Duration = Duration::from_secs(2);

/// Whether a question may be asked twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It changes nothing.
    Safe,
    /// It changes something once, however often it is asked.
    Once,
    /// It would change something twice.
    Never,
}

impl Again {
    /// Whether a question without an answer may have changed something.
    fn writes(self) -> bool {
        self != Again::Safe
    }
}

pub(super) struct Asker {
    pub(super) options: RemoteOptions,
    connections: Connections,
    /// Which of the nodes is tried next.
    current: AtomicUsize,
    /// The connection in use.
    using: Mutex<Option<Connection>>,
    /// Held while a connection is looked for, so that only one request looks.
    looking: tokio::sync::Mutex<()>,
    revision: AtomicU64,
}

pub(super) fn unavailable(reason: &'static str, may_have_committed: bool) -> Error {
    Error::Unavailable { reason, may_have_committed }
}

pub(super) fn unfit() -> Error {
    unavailable("the answer does not fit the question", true)
}

impl Asker {
    pub(super) fn new(options: RemoteOptions) -> Self {
        Self {
            connections: Connections::new(Arc::clone(&options.dial), options.cluster),
            options,
            current: AtomicUsize::new(0),
            using: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            revision: AtomicU64::new(0),
        }
    }

    /// Remembers how far the store is.
    pub(super) fn note(&self, revision: Revision) {
        self.revision.fetch_max(revision.0, Ordering::AcqRel);
    }

    /// The newest revision seen in an answer.
    pub(super) fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    fn using(&self) -> MutexGuard<'_, Option<Connection>> {
        self.using.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self) -> Option<Connection> {
        self.using().as_ref().filter(|connection| connection.is_usable()).cloned()
    }

    /// The connection to use now.
    async fn connection(&self) -> Result<Connection, WireError> {
        if let Some(connection) = self.usable() {
            return Ok(connection);
        }
        let _looking = self.looking.lock().await;
        if let Some(connection) = self.usable() {
            return Ok(connection);
        }
        let nodes = &self.options.nodes;
        let at = self.current.load(Ordering::Relaxed) % nodes.len().max(1);
        let connection = self.dial(nodes.get(at).ok_or(WireError::Closed)?).await?;
        let connection = match self.options.to_leader {
            true => self.leading(&connection).await.unwrap_or(connection),
            false => connection,
        };
        *self.using() = Some(connection.clone());
        Ok(connection)
    }

    /// A connection to the leader that a node names, when it is another node and can be reached from here.
    async fn leading(&self, connection: &Connection) -> Option<Connection> {
        let question = encode(&Ask::Where).ok()?;
        let answer = call(connection, &question, Instant::now() + DIAL).await.ok()?;
        match decode(&answer).ok()? {
            Answer::Here(Here { leader: Some((leader, address)), member, .. }) if leader != member => {
                self.dial(&address).await.ok()
            }
            _ => None,
        }
    }

    async fn dial(&self, address: &str) -> Result<Connection, WireError> {
        let connected = tokio::time::timeout(DIAL, self.connections.get(address, Lane::Small)).await;
        connected.unwrap_or(Err(WireError::Silent))
    }

    /// Turns to the next node.
    fn turn(&self) {
        *self.using() = None;
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks until there is an answer, or time is up.
    pub(super) async fn ask(&self, ask: &Ask, again: Again) -> Result<Answer> {
        let body = encode(ask)?;
        let deadline = Instant::now() + self.options.timeout;
        // Whether one attempt may have changed something, whatever later ones say.
        let mut doubt = false;
        loop {
            let error = match self.attempt(&body, deadline, again, &mut doubt).await {
                Ok(Answer::Fault(fault)) => fault.into_error(again.writes()),
                Ok(answer) => return Ok(answer),
                Err(error) if doubt => return Err(error.in_doubt()),
                Err(error) => return Err(error),
            };
            // The node has tried for long already; another may see more.
            let retry = match &error {
                Error::NotLeader { .. } => true,
                Error::Unavailable { may_have_committed, .. } => {
                    doubt |= again.writes() && *may_have_committed;
                    !may_have_committed || again != Again::Never
                }
                _ => false,
            };
            if !retry || Instant::now() + PAUSE >= deadline {
                return Err(if doubt { error.in_doubt() } else { error });
            }
            self.turn();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks one node after the other until one gets the question. Sets `doubt` when one may have acted on it without
    /// an answer.
    async fn attempt(
        &self,
        body: &[u8],
        deadline: Instant,
        again: Again,
        doubt: &mut bool,
    ) -> Result<Answer> {
        loop {
            let failed = match self.connection().await {
                Err(error) => CallError::NotSent(error),
                Ok(connection) => {
                    let heard = connection.heard();
                    match call(&connection, body, deadline).await {
                        Ok(answer) => return decode(&answer),
                        Err(error) => {
                            if connection.heard() == heard {
                                connection.retire();
                            }
                            error
                        }
                    }
                }
            };
            let late = Instant::now() + PAUSE >= deadline;
            match failed {
                CallError::NotSent(WireError::OtherCluster { expected, found }) => {
                    return Err(Error::OtherCluster { expected, found });
                }
                CallError::NotSent(error) if late => {
                    tracing::warn!(%error, "no node of the store can be reached");
                    return Err(unavailable("no node of the store can be reached", false));
                }
                CallError::Lost(_) => {
                    *doubt |= again.writes();
                    if late || again == Again::Never {
                        return Err(unavailable("the connection to the store was lost", again.writes()));
                    }
                }
                CallError::Refused(reason) => {
                    tracing::warn!(reason, "a node of the store refused a request");
                    return Err(unavailable("the node refused the request", false));
                }
                CallError::NotSent(_) => {}
            }
            self.turn();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Opens a stream and waits for its first piece.
    pub(super) async fn open(&self, open: &Open) -> Result<(Incoming, Piece)> {
        let body = encode(open)?;
        let deadline = Instant::now() + self.options.timeout;
        loop {
            let opened = async {
                let connection = self.connection().await.map_err(CallError::NotSent)?;
                let mut stream = connection.open_stream(Channel::STORE, &body).await?;
                let first = stream.next().await.unwrap_or(Err(CallError::Lost(WireError::Ended)))?;
                Ok::<_, CallError>((stream, first))
            };
            let error = match tokio::time::timeout_at(deadline, opened).await {
                Ok(Ok((stream, first))) => match decode_piece(&first)? {
                    Piece::Fault(fault) => fault.into_error(false),
                    piece => return Ok((stream, piece)),
                },
                Ok(Err(CallError::NotSent(WireError::OtherCluster { expected, found }))) => {
                    return Err(Error::OtherCluster { expected, found });
                }
                Ok(Err(_)) | Err(_) => unavailable("no node of the store can be reached", false),
            };
            if !error.is_retryable() || Instant::now() + PAUSE >= deadline {
                return Err(error);
            }
            self.turn();
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(super) async fn range(
        &self,
        prefix: &Prefix,
        page: &Page,
        consistency: Consistency,
    ) -> Result<RangeOut> {
        let open = Open::Range { prefix: prefix.clone(), page: page.clone(), consistency };
        let (mut stream, mut piece) = self.open(&open).await?;
        let mut items: Vec<KeyValue> = Vec::new();
        loop {
            match piece {
                Piece::Items(more) => items.extend(more),
                Piece::RangeEnd { revision, next } => {
                    self.note(revision);
                    return Ok(RangeOut { items, revision, next });
                }
                _ => return Err(unfit()),
            }
            piece = self.next_piece(&mut stream).await?;
        }
    }

    pub(super) async fn next_piece(&self, stream: &mut Incoming) -> Result<Piece> {
        let lost = || unavailable("the connection to the store was lost", false);
        match tokio::time::timeout(self.options.timeout, stream.next()).await {
            Ok(Some(Ok(body))) => match decode_piece(&body)? {
                Piece::Fault(fault) => Err(fault.into_error(false)),
                piece => Ok(piece),
            },
            Ok(Some(Err(_)) | None) | Err(_) => Err(lost()),
        }
    }
}

fn encode<T: Serialize>(question: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(question).map_err(|_| unavailable("the question cannot be encoded", false))
}

async fn call(connection: &Connection, body: &[u8], deadline: Instant) -> Result<Bytes, CallError> {
    let answered = tokio::time::timeout_at(deadline, connection.call(Channel::STORE, body)).await;
    answered.unwrap_or(Err(CallError::Lost(WireError::Silent)))
}

fn decode(body: &Bytes) -> Result<Answer> {
    postcard::from_bytes(body).map_err(|_| unfit())
}

pub(super) fn decode_piece(body: &Bytes) -> Result<Piece> {
    postcard::from_bytes(body).map_err(|_| unfit())
}
