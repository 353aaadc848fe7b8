//! The side that asks: many calls and streams at once over one connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use univrs_ports::store::ClusterId;

use super::frame::{self, Frame, FrameReader, Kind};
use super::hello;
use super::outbox::Outbox;
use super::{Channel, MAX_FRAME, PATIENCE, PING_EVERY, WINDOW, WireError};

/// The most requests in flight on one connection, whatever the other side offers.
const MOST_IN_FLIGHT: u32 = 4096;

/// How long a caller waits at least before it may blame the connection: longer than any round trip.
const SILENT_CALL: Duration = Duration::from_millis(600);

/// How often it is looked whether the other side still shows life.
const LOOK: Duration = Duration::from_secs(1);
/// How long a connection that let a caller down may be silent, asked at every look, before it is dead.
const LAST_CHANCE: Duration = Duration::from_secs(3);

/// Why a request got no answer (WIRE-3).
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was certainly not acted on.
    #[error("the request was not sent")]
    NotSent(#[source] WireError),
    /// It may have been acted on.
    #[error("the connection ended before the answer came")]
    Lost(#[source] WireError),
    /// The other side refused to act on it.
    #[error("the other side refused: {0}")]
    Refused(String),
}

type Reply = Result<Bytes, CallError>;

/// A stream that is being received.
struct Receiving {
    items: mpsc::UnboundedSender<Reply>,
    /// How many bytes the other side may still send; below one after an item that used up the rest.
    window: i64,
}

/// What waits for the other side.
#[derive(Default)]
struct Waiting {
    last_id: u64,
    calls: HashMap<u64, oneshot::Sender<Reply>>,
    streams: HashMap<u64, Receiving>,
    /// Why the connection ended, once it has.
    ended: Option<WireError>,
}

struct Shared {
    outbox: Outbox,
    waiting: Mutex<Waiting>,
    in_flight: Semaphore,
    /// The largest frame that the other side accepts.
    limit: u32,
    /// Counts what came in.
    heard: AtomicU64,
    /// The same as `ended` in `waiting`, to look at without a lock.
    closed: AtomicBool,
    retired: AtomicBool,
    stop: CancellationToken,
}

/// A connection. Clones share it; it is closed when the last one and the last stream on it are gone.
#[derive(Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    _last: Arc<DropGuard>,
}

impl Connection {
    /// Greets the other side and starts.
    pub(crate) async fn open<S>(io: S, cluster: Option<ClusterId>) -> Result<Self, WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (reader, welcome) = hello::greet(io, MAX_FRAME, cluster).await?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            outbox: Outbox::default(),
            waiting: Mutex::default(),
            in_flight: Semaphore::new(welcome.in_flight.clamp(1, MOST_IN_FLIGHT) as usize),
            limit: welcome.max_frame,
            heard: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            stop: stop.clone(),
        });
        let (reader, writer) = reader.split();
        tokio::spawn(run(Arc::clone(&shared), reader, writer));
        Ok(Self { shared, _last: Arc::new(stop.drop_guard()) })
    }

    /// Whether nothing can be asked any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Lets new requests go elsewhere. What waits on this connection goes on waiting.
    pub(crate) fn retire(&self) {
        self.shared.retired.store(true, Ordering::Relaxed);
    }

    /// Whether new requests should use it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_closed() && !self.shared.retired.load(Ordering::Relaxed)
    }

    /// A count that grows with everything that comes in: unchanged means that the other side is silent.
    pub(crate) fn heard(&self) -> u64 {
        self.shared.heard.load(Ordering::Relaxed)
    }

    /// One question, one answer. The caller bounds the time.
    pub(crate) async fn call(&self, channel: Channel, body: &[u8]) -> Result<Bytes, CallError> {
        let shared = &*self.shared;
        // Never closed: the connection's end shows in `waiting`.
        let _place = shared.in_flight.acquire().await;
        shared.outbox.room().await;
        let (reply, answer) = oneshot::channel();
        let id = shared.enter(|waiting, id| drop(waiting.calls.insert(id, reply)))?;
        let _forget = Forget { shared, id, asked: Instant::now(), heard: self.heard() };
        let put =
            shared.outbox.push(|out| frame::put(out, shared.limit, Kind::Call, id, &[&[channel.0], body]));
        put.map_err(CallError::NotSent)?;
        answer.await.unwrap_or_else(|_| Err(CallError::Lost(shared.ending())))
    }

    /// One question, any number of items. Nothing comes faster than it is read.
    pub(crate) async fn open_stream(&self, channel: Channel, body: &[u8]) -> Result<Incoming, CallError> {
        let shared = &*self.shared;
        shared.outbox.room().await;
        let (items, receiver) = mpsc::unbounded_channel();
        let id = shared.enter(|waiting, id| {
            waiting.streams.insert(id, Receiving { items, window: i64::from(WINDOW) });
        })?;
        let incoming = Incoming { connection: self.clone(), id, items: receiver, read: 0 };
        let put =
            shared.outbox.push(|out| frame::put(out, shared.limit, Kind::Open, id, &[&[channel.0], body]));
        put.map_err(CallError::NotSent)?;
        Ok(incoming)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> WireError {
        self.waiting().ended.clone().unwrap_or(WireError::Closed)
    }

    /// Takes the next id and registers what waits under it.
    fn enter(&self, register: impl FnOnce(&mut Waiting, u64)) -> Result<u64, CallError> {
        let mut waiting = self.waiting();
        if let Some(ended) = &waiting.ended {
            return Err(CallError::NotSent(ended.clone()));
        }
        waiting.last_id += 1;
        let id = waiting.last_id;
        register(&mut waiting, id);
        Ok(id)
    }

    fn take_in(&self, frame: Frame) -> Result<(), WireError> {
        let mut waiting = self.waiting();
        match frame.kind {
            // A caller that gave up is not there any more.
            Kind::Answer => {
                if let Some(reply) = waiting.calls.remove(&frame.id) {
                    let _caller_gone = reply.send(Ok(frame.body));
                }
            }
            Kind::Refused => {
                let refused = CallError::Refused(String::from_utf8_lossy(&frame.body).into_owned());
                if let Some(reply) = waiting.calls.remove(&frame.id) {
                    let _caller_gone = reply.send(Err(refused));
                } else if let Some(stream) = waiting.streams.remove(&frame.id) {
                    let _reader_gone = stream.items.send(Err(refused));
                }
            }
            Kind::Item => {
                if let Some(stream) = waiting.streams.get_mut(&frame.id) {
                    if stream.window <= 0 {
                        return Err(WireError::Broken("a stream sent more than it was let"));
                    }
                    stream.window -= i64::from(cost(&frame.body));
                    let _reader_gone = stream.items.send(Ok(frame.body));
                }
            }
            Kind::End => drop(waiting.streams.remove(&frame.id)),
            Kind::Pong => {}
            _ => return Err(WireError::Broken("a frame of this kind does not come from this side")),
        }
        Ok(())
    }

    /// Fails everything that waits.
    fn end(&self, error: &WireError) {
        let (calls, streams) = {
            let mut waiting = self.waiting();
            waiting.ended = Some(error.clone());
            self.closed.store(true, Ordering::Release);
            (std::mem::take(&mut waiting.calls), std::mem::take(&mut waiting.streams))
        };
        for (_, reply) in calls {
            let _caller_gone = reply.send(Err(CallError::Lost(error.clone())));
        }
        for (_, stream) in streams {
            let _reader_gone = stream.items.send(Err(CallError::Lost(error.clone())));
        }
    }
}

/// What an item counts against the window: never nothing, so that empty items are bounded as well.
pub(super) fn cost(body: &Bytes) -> u32 {
    u32::try_from(frame::size(body.len())).unwrap_or(u32::MAX)
}

async fn run<S>(shared: Arc<Shared>, reader: FrameReader<ReadHalf<S>>, writer: WriteHalf<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let error = tokio::select! {
        () = shared.stop.cancelled() => WireError::Closed,
        error = shared.outbox.write_to(writer) => error,
        error = read(&shared, reader) => error,
    };
    tracing::debug!(error = %error, "a connection to another node ended");
    shared.end(&error);
}

/// Takes frames in until the connection ends. Asks for a sign of life in long silences.
async fn read<R: AsyncRead + Unpin>(shared: &Shared, mut reader: FrameReader<R>) -> WireError {
    // One timer for all frames: it goes off whatever comes, and then looks at how long nothing did.
    let mut check = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
    let mut heard = Instant::now();
    let mut asked = heard;
    loop {
        let frame = tokio::select! {
            frame = reader.next() => frame,
            _ = check.tick() => {
                let (patience, every) = match shared.retired.load(Ordering::Relaxed) {
                    true => (LAST_CHANCE, LOOK),
                    false => (PATIENCE, PING_EVERY),
                };
                if heard.elapsed() >= patience && asked > heard {
                    return WireError::Silent;
                }
                if heard.elapsed() >= every / 2 && asked.elapsed() >= every {
                    asked = Instant::now();
                    let put = shared.outbox.push(|out| frame::put(out, shared.limit, Kind::Ping, 0, &[]));
                    if let Err(error) = put {
                        return error;
                    }
                }
                continue;
            }
        };
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => return WireError::Ended,
            Err(error) => return error,
        };
        heard = Instant::now();
        shared.heard.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = shared.take_in(frame) {
            return error;
        }
    }
}

/// Forgets a call whose caller gave up. When nothing at all came meanwhile, the next one goes over a new connection: the
/// other machine may have died without a word, and callers with little patience would be let down until [`PATIENCE`].
struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
    asked: Instant,
    /// What had come in when it was asked.
    heard: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let given_up = self.shared.waiting().calls.remove(&self.id).is_some();
        let silent = self.shared.heard.load(Ordering::Relaxed) == self.heard;
        if given_up && silent && self.asked.elapsed() >= SILENT_CALL {
            self.shared.retired.store(true, Ordering::Relaxed);
        }
    }
}

/// The items of a stream. Dropping it ends the stream.
pub(crate) struct Incoming {
    connection: Connection,
    id: u64,
    items: mpsc::UnboundedReceiver<Reply>,
    /// Bytes read since the other side was last told.
    read: u32,
}

impl Incoming {
    /// The next item; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        let item = self.items.recv().await?;
        if let Ok(body) = &item {
            self.read = self.read.saturating_add(cost(body));
            if self.read >= WINDOW / 2 {
                self.give_credit();
            }
        }
        Some(item)
    }

    fn give_credit(&mut self) {
        let shared = &self.connection.shared;
        let mut waiting = shared.waiting();
        let Some(stream) = waiting.streams.get_mut(&self.id) else { return };
        stream.window += i64::from(self.read);
        drop(waiting);
        let credit = std::mem::take(&mut self.read).to_be_bytes();
        // A frame of four bytes is never too large.
        let _sent =
            shared.outbox.push(|out| frame::put(out, shared.limit, Kind::Credit, self.id, &[&credit]));
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let shared = &self.connection.shared;
        if shared.waiting().streams.remove(&self.id).is_some() {
            let _sent = shared.outbox.push(|out| frame::put(out, shared.limit, Kind::Cancel, self.id, &[]));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use futures::future::BoxFuture;
    use futures::stream::BoxStream;
    use futures::{FutureExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
    use tokio::sync::watch;
    use tokio::time::{Instant, timeout};
    use univrs_ports::store::{ClusterId, MemberId};

    use super::{CallError, Connection, LAST_CHANCE, SILENT_CALL};
    use crate::wire::{Channel, Limits, Refused, Service, Services, WireError};

    /// Says yes to questions that have an answer, and has streams of nothing.
    struct Yes;

    impl Service for Yes {
        fn call(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Refused>> {
            match &*body {
                b"never" => futures::future::pending().boxed(),
                _ => futures::future::ready(Ok(Bytes::from_static(b"yes"))).boxed(),
            }
        }

        fn open(&self, _: Bytes) -> Result<BoxStream<'static, Bytes>, Refused> {
            Ok(futures::stream::pending().boxed())
        }
    }

    /// Carries bytes until the line is cut; then they are lost, and nobody is told.
    async fn carry(
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        cut: watch::Receiver<bool>,
    ) {
        let mut buffer = vec![0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if !*cut.borrow() {
                to.write_all(&buffer[..read]).await.unwrap();
            }
        }
    }

    async fn connected() -> (Connection, watch::Sender<bool>) {
        let ((near, line), (far, there)) = (tokio::io::duplex(4096), tokio::io::duplex(4096));
        let (cut, cutting) = watch::channel(false);
        let ((from_near, to_near), (from_far, to_far)) = (tokio::io::split(line), tokio::io::split(far));
        tokio::spawn(carry(from_near, to_far, cutting.clone()));
        tokio::spawn(carry(from_far, to_near, cutting));
        let services = Services::new(ClusterId(1), MemberId(1), Limits::default());
        let services = Arc::new(services.with(Channel::STORE, Arc::new(Yes)));
        tokio::spawn(async move { services.answer(there).await });
        (Connection::open(near, Some(ClusterId(1))).await.unwrap(), cut)
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_died_without_a_word_lets_few_callers_down() {
        let (connection, cut) = connected().await;
        let mut stream = connection.open_stream(Channel::STORE, b"").await.unwrap();
        assert_eq!(connection.call(Channel::STORE, b"a").await.unwrap(), "yes");
        cut.send(true).unwrap();
        let died = Instant::now();
        let little = Duration::from_secs(1);
        assert!(little > SILENT_CALL);
        assert!(timeout(little, connection.call(Channel::STORE, b"b")).await.is_err());
        assert!(!connection.is_usable(), "the next caller takes a new connection");
        // Who only listens learns it soon after, and long before silence alone would have told.
        let told = stream.next().await.unwrap();
        assert!(matches!(told, Err(CallError::Lost(WireError::Silent))), "{told:?}");
        assert!(died.elapsed() <= LAST_CHANCE + 2 * little, "after {:?}", died.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_is_only_slow_keeps_its_streams() {
        let (connection, _line) = connected().await;
        let mut stream = connection.open_stream(Channel::STORE, b"").await.unwrap();
        assert!(timeout(Duration::from_secs(2), connection.call(Channel::STORE, b"never")).await.is_err());
        assert!(timeout(Duration::from_secs(60), stream.next()).await.is_err(), "nothing ended");
    }
}
