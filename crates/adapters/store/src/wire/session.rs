//! The side that answers: one task per connection, which reads, works on many requests at once, and writes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::connection::cost;
use super::frame::{self, Frame, FrameReader, Kind};
use super::serve::Services;
use super::{Channel, HIGH_WATER, PATIENCE, WINDOW, WireError};

/// Streams on one connection.
const MOST_STREAMS: usize = 1024;

/// Why a service does not act on a request. The words go to the other side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Answers the requests of one channel. What goes wrong with a request it understands is part of its own answers.
pub trait Service: Send + Sync + 'static {
    /// Answers one question.
    fn call(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Refused>>;

    /// Answers with items until the stream ends or the asker loses interest.
    ///
    /// # Errors
    /// When the service has no streams, or not this one.
    fn open(&self, body: Bytes) -> Result<BoxStream<'static, Bytes>, Refused>;
}

/// A stream that is being sent.
struct Sending {
    /// How many bytes the other side still takes; below one after an item that used up the rest.
    window: i64,
    /// The stream, while it waits for the other side to take more.
    paused: Option<BoxStream<'static, Bytes>>,
    abort: Option<AbortHandle>,
}

/// What a piece of work came to.
enum Done {
    Answer(u64, Result<Bytes, Refused>),
    Item(u64, Option<Bytes>, BoxStream<'static, Bytes>),
    /// A stream that was cancelled.
    Nothing,
}

pub(crate) struct Session<S> {
    reader: FrameReader<S>,
    services: Arc<Services>,
    /// The largest frame that the other side accepts.
    limit: u32,
    in_flight: usize,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    calls: usize,
    streams: HashMap<u64, Sending>,
    out: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(crate) fn new(reader: FrameReader<S>, services: Arc<Services>, limit: u32, in_flight: usize) -> Self {
        Self {
            reader,
            services,
            limit,
            in_flight,
            work: FuturesUnordered::new(),
            calls: 0,
            streams: HashMap::new(),
            out: BytesMut::new(),
        }
    }

    /// Works until the other side closes the connection.
    pub(crate) async fn run(mut self) -> Result<(), WireError> {
        // One timer for all frames: it is set anew only when it went off too early.
        let mut heard = Instant::now();
        let mut silent = std::pin::pin!(tokio::time::sleep_until(heard + PATIENCE));
        loop {
            // What is ready now goes out in one write.
            while self.out.len() < HIGH_WATER {
                if let Some(frame) = self.room().then(|| self.reader.ready()).transpose()?.flatten() {
                    self.take_in(frame)?;
                } else if let Some(Some(done)) = self.work.next().now_or_never() {
                    self.put_out(done)?;
                } else {
                    break;
                }
            }
            if !self.out.is_empty() {
                self.write().await?;
                continue;
            }
            let room = self.room();
            tokio::select! {
                Some(done) = self.work.next(), if !self.work.is_empty() => self.put_out(done)?,
                read = self.reader.next(), if room => match read? {
                    Some(frame) => {
                        heard = Instant::now();
                        self.take_in(frame)?;
                    }
                    None => return Ok(()),
                },
                // A side that waits for answers asks for a sign of life as well, so silence is never patience.
                () = &mut silent => match heard + PATIENCE {
                    due if due > Instant::now() || !room => {
                        silent.as_mut().reset(due.max(Instant::now() + PATIENCE / 2));
                    }
                    _ => return Err(WireError::Silent),
                },
            }
        }
    }

    /// Whether another request may be taken on (WIRE-1). Calls end by themselves, so reading goes on in time.
    fn room(&self) -> bool {
        self.calls < self.in_flight
    }

    async fn write(&mut self) -> Result<(), WireError> {
        let io = &mut self.reader.io;
        let write = async {
            io.write_all(&self.out).await?;
            io.flush().await
        };
        tokio::time::timeout(PATIENCE, write).await.map_err(|_| WireError::Silent)??;
        self.out.clear();
        Ok(())
    }

    fn put(&mut self, kind: Kind, id: u64, body: &[u8]) -> Result<(), WireError> {
        frame::put(&mut self.out, self.limit, kind, id, &[body])
    }

    fn service(&self, body: &mut Bytes) -> Result<Arc<dyn Service>, Refused> {
        let channel = body.try_get_u8().map(Channel);
        let known = channel.ok().and_then(|channel| self.services.get(channel));
        known.ok_or_else(|| Refused("this node does not offer that service".to_owned()))
    }

    fn take_in(&mut self, mut frame: Frame) -> Result<(), WireError> {
        let id = frame.id;
        match frame.kind {
            Kind::Call => match self.service(&mut frame.body) {
                Ok(service) => {
                    self.calls += 1;
                    let answer = service.call(frame.body);
                    self.work.push(answer.map(move |answer| Done::Answer(id, answer)).boxed());
                }
                Err(refused) => self.put(Kind::Refused, id, refused.0.as_bytes())?,
            },
            Kind::Open => {
                if self.streams.contains_key(&id) {
                    return Err(WireError::Broken("the id of a stream is used twice"));
                }
                let opened = match self.streams.len() {
                    MOST_STREAMS.. => {
                        Err(Refused("there are too many streams on this connection".to_owned()))
                    }
                    _ => self.service(&mut frame.body).and_then(|service| service.open(frame.body)),
                };
                match opened {
                    Ok(stream) => {
                        let sending = Sending { window: i64::from(WINDOW), paused: None, abort: None };
                        self.streams.insert(id, sending);
                        self.go_on(id, stream);
                    }
                    Err(refused) => self.put(Kind::Refused, id, refused.0.as_bytes())?,
                }
            }
            Kind::Credit => {
                let credit =
                    frame.body.try_get_u32().map_err(|_| WireError::Broken("a credit is no number"))?;
                // A stream that has ended by itself is not there any more.
                if let Some(sending) = self.streams.get_mut(&id) {
                    sending.window = sending.window.saturating_add(i64::from(credit));
                    if sending.window > 0
                        && let Some(stream) = sending.paused.take()
                    {
                        self.go_on(id, stream);
                    }
                }
            }
            Kind::Cancel => {
                if let Some(Sending { abort: Some(abort), .. }) = self.streams.remove(&id) {
                    abort.abort();
                }
            }
            Kind::Ping => self.put(Kind::Pong, 0, &[])?,
            _ => return Err(WireError::Broken("a frame of this kind does not come from this side")),
        }
        Ok(())
    }

    /// Waits for the next item of a stream, beside all else.
    fn go_on(&mut self, id: u64, mut stream: BoxStream<'static, Bytes>) {
        let (abort, registration) = AbortHandle::new_pair();
        if let Some(sending) = self.streams.get_mut(&id) {
            sending.abort = Some(abort);
        }
        let next = async move {
            let item = stream.next().await;
            Done::Item(id, item, stream)
        };
        let next = Abortable::new(next, registration).map(|done| done.unwrap_or(Done::Nothing));
        self.work.push(next.boxed());
    }

    fn put_out(&mut self, done: Done) -> Result<(), WireError> {
        match done {
            Done::Answer(id, answer) => {
                self.calls -= 1;
                match answer {
                    Ok(body) if frame::size(body.len()) > self.limit as usize => {
                        self.put(Kind::Refused, id, b"the answer is larger than a frame may be")
                    }
                    Ok(body) => self.put(Kind::Answer, id, &body),
                    Err(refused) => self.put(Kind::Refused, id, refused.0.as_bytes()),
                }
            }
            Done::Item(id, Some(body), stream) => {
                let Some(sending) = self.streams.get_mut(&id) else { return Ok(()) };
                sending.window -= i64::from(cost(&body));
                if sending.window > 0 {
                    self.go_on(id, stream);
                } else {
                    sending.paused = Some(stream);
                }
                self.put(Kind::Item, id, &body)
            }
            Done::Item(id, None, _) => {
                if self.streams.remove(&id).is_none() {
                    return Ok(());
                }
                self.put(Kind::End, id, &[])
            }
            Done::Nothing => Ok(()),
        }
    }
}
