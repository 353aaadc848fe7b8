//! Logs as a stream: the engine keeps one log for each attempt, and this joins them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use univrs_ports::runtime::{ContainerId, LogLine, LogQuery, RuntimeError};

use super::Inner;
use super::engine::{NOT_FOUND, unless};
use super::lines::Joiner;

/// How often it is looked whether a further attempt has been started.
const LOOK: Duration = Duration::from_millis(300);
/// How many lines wait for a slow reader.
const WAITING: usize = 256;

/// The reader is gone: nobody wants more.
struct Gone;

/// Where lines go.
struct Sink {
    lines: mpsc::Sender<Result<LogLine, RuntimeError>>,
    since: Option<Timestamp>,
    /// When the last line was written, to go on after an interruption.
    last: Option<Timestamp>,
}

impl Sink {
    async fn put(&mut self, line: LogLine) -> Result<(), Gone> {
        self.last = self.last.max(Some(line.at));
        if self.since.is_some_and(|since| line.at < since) {
            return Ok(());
        }
        self.lines.send(Ok(line)).await.map_err(|_| Gone)
    }
}

/// One attempt's log in the engine.
#[derive(Clone)]
struct Source {
    attempt: u32,
    docker: String,
}

pub(super) async fn read(
    inner: Arc<Inner>,
    id: &ContainerId,
    query: LogQuery,
) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
    let id = id.clone();
    let sources = inner.sources(&id).await?;
    if sources.is_empty() {
        return Err(RuntimeError::NotFound { id: id.to_string() });
    }
    let (lines, wanted) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut sink = Sink { lines, since: query.since, last: None };
        // When the reader is gone, so is the interest in what went wrong.
        if let Ok(Err(error)) = inner.pour(&id, sources, query, &mut sink).await {
            let _ = sink.lines.send(Err(error)).await;
        }
    });
    Ok(ReceiverStream::new(wanted).boxed())
}

impl Inner {
    /// The logs of a container, the earliest first.
    async fn sources(&self, id: &ContainerId) -> Result<Vec<Source>, RuntimeError> {
        let attempts = self.attempts(id).await?.into_iter().rev().filter(|(_, found)| !found.unborn);
        Ok(attempts.map(|(attempt, found)| Source { attempt, docker: found.docker }).collect())
    }

    /// Writes what the query asks for into `sink`, until it ends or the reader is gone.
    async fn pour(
        &self,
        id: &ContainerId,
        sources: Vec<Source>,
        query: LogQuery,
        sink: &mut Sink,
    ) -> Result<Result<(), RuntimeError>, Gone> {
        let mut sources = VecDeque::from(sources);
        // A follower stays with the last one.
        let followed = if query.follow { sources.pop_back() } else { None };
        let (earlier, skip) = match query.tail {
            None => (None, Skip::Nothing),
            Some(wanted) => {
                let (mut lines, skip) = match &followed {
                    Some(last) => match self.last_lines(id, last, wanted).await {
                        Ok(end) => {
                            sink.last = end.at;
                            (end.lines, end.skip)
                        }
                        Err(error) => return Ok(Err(error)),
                    },
                    None => (VecDeque::new(), Skip::Nothing),
                };
                // Those of the last one come by themselves.
                let of_followed = lines.len();
                while let Some(source) = sources.pop_back().filter(|_| lines.len() < wanted) {
                    match self.last_lines(id, &source, wanted - lines.len()).await {
                        Ok(end) => end.lines.into_iter().rev().for_each(|line| lines.push_front(line)),
                        Err(error) => return Ok(Err(error)),
                    }
                }
                lines.truncate(lines.len() - of_followed);
                sources.clear();
                (Some(lines), skip)
            }
        };
        for line in earlier.into_iter().flatten() {
            sink.put(line).await?;
        }
        for source in sources {
            if let Err(error) = self.pour_one(id, &source.docker, false, Skip::Nothing, sink).await? {
                return Ok(Err(error));
            }
        }
        match followed {
            Some(last) => self.follow(id, last, skip, sink).await,
            None => Ok(Ok(())),
        }
    }

    /// Follows a log, and those of later attempts, until the sandbox is closed.
    async fn follow(
        &self,
        id: &ContainerId,
        first: Source,
        skip: Skip,
        sink: &mut Sink,
    ) -> Result<Result<(), RuntimeError>, Gone> {
        let (mut source, mut skip) = (first, skip);
        loop {
            let read = self.pour_one(id, &source.docker, true, skip, sink).await?;
            // The engine may have gone away, and what it said last may have been lost with the connection.
            let read = match read {
                Ok(()) => self.pour_one(id, &source.docker, false, sink.seen(), sink).await?,
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                return Ok(Err(error));
            }
            loop {
                if sink.lines.is_closed() {
                    return Err(Gone);
                }
                let sources = match self.sources(id).await {
                    Ok(sources) => sources,
                    Err(error) => return Ok(Err(error)),
                };
                if sources.is_empty() {
                    return Ok(Ok(()));
                }
                if let Some(next) = sources.iter().find(|one| one.attempt > source.attempt) {
                    (source, skip) = (next.clone(), Skip::Nothing);
                    break;
                }
                if self.runs(id, &source).await {
                    skip = sink.seen();
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn runs(&self, id: &ContainerId, source: &Source) -> bool {
        let found = self.look(id, &source.docker).await;
        found.is_ok_and(|found| found.as_ref().and_then(super::state::pid).is_some())
    }

    /// Writes one log into `sink`.
    async fn pour_one(
        &self,
        id: &ContainerId,
        docker: &str,
        follow: bool,
        skip: Skip,
        sink: &mut Sink,
    ) -> Result<Result<(), RuntimeError>, Gone> {
        let options = LogsOptionsBuilder::new().follow(follow).stdout(true).stderr(true).timestamps(true);
        let since = match skip {
            Skip::UpTo(last) => Some(last),
            Skip::Nothing | Skip::AllBut(_) => sink.since,
        };
        // Docker takes whole seconds; the rest is left out here.
        let options = match since.and_then(|since| i32::try_from(since.as_second()).ok()) {
            Some(since) => options.since(since),
            None => options,
        };
        let options = match skip {
            Skip::AllBut(messages) => options.tail(&messages.to_string()),
            Skip::Nothing | Skip::UpTo(_) => options.tail("all"),
        };
        let mut messages = std::pin::pin!(self.engine.docker().logs(docker, Some(options.build())));
        let mut joiner = Joiner::default();
        // The first message is there to tell whether the next one begins a line.
        let mut in_doubt = matches!(skip, Skip::AllBut(_));
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = sink.lines.closed() => return Err(Gone),
            };
            let message = match message {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    // Removed while it was read: its sandbox is being closed.
                    let ended = unless::<()>(&[NOT_FOUND], Err(error));
                    return Ok(ended.map(drop).map_err(self.engine.failed(id, "read its log")));
                }
            };
            if in_doubt {
                in_doubt = !Joiner::ends_line(&message);
                continue;
            }
            if let Some(line) = joiner.add(&message).filter(|line| !skip.covers(line)) {
                sink.put(line).await?;
            }
        }
        if !follow {
            for line in joiner.rest().filter(|line| !skip.covers(line)).collect::<Vec<_>>() {
                sink.put(line).await?;
            }
        }
        Ok(Ok(()))
    }

    /// The last lines of one log.
    async fn last_lines(
        &self,
        id: &ContainerId,
        source: &Source,
        wanted: usize,
    ) -> Result<End, RuntimeError> {
        // One more, to tell whether the next one begins a line.
        let enough = wanted.saturating_add(1);
        let read = |tail: String| {
            let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).tail(&tail);
            self.messages(id, &source.docker, options.build())
        };
        let messages = read(enough.to_string()).await?;
        let at = lines_of(&messages, 1).back().map(|line| line.at);
        if messages.len() < enough {
            return Ok(End { lines: lines_of(&messages, wanted), at, skip: Skip::Nothing });
        }
        let lines = if messages.iter().all(Joiner::ends_line) {
            lines_of(&messages[1..], wanted)
        } else {
            // Long lines came in parts: only the whole log tells where they begin.
            lines_of(&read("all".to_owned()).await?, wanted)
        };
        Ok(End { lines, at, skip: Skip::AllBut(enough) })
    }

    async fn messages(
        &self,
        id: &ContainerId,
        docker: &str,
        options: LogsOptions,
    ) -> Result<Vec<LogOutput>, RuntimeError> {
        let messages = self.engine.docker().logs(docker, Some(options)).try_collect().await;
        let messages = unless(&[NOT_FOUND], messages).map_err(self.engine.failed(id, "read its log"))?;
        Ok(messages.unwrap_or_default())
    }
}

impl Sink {
    /// What was written already.
    fn seen(&self) -> Skip {
        self.last.map_or(Skip::Nothing, Skip::UpTo)
    }
}

/// The last lines of a log.
struct End {
    lines: VecDeque<LogLine>,
    /// When the last one was written.
    at: Option<Timestamp>,
    /// What a follower leaves out to begin with them.
    skip: Skip,
}

/// Which part of a log is left out.
#[derive(Clone, Copy)]
enum Skip {
    Nothing,
    /// What was written up to then.
    UpTo(Timestamp),
    /// All but the last so many messages, the first of which only tells where the second begins.
    AllBut(usize),
}

impl Skip {
    fn covers(self, line: &LogLine) -> bool {
        matches!(self, Self::UpTo(last) if line.at <= last)
    }
}

/// The last lines of these messages.
fn lines_of(messages: &[LogOutput], wanted: usize) -> VecDeque<LogLine> {
    let mut joiner = Joiner::default();
    let mut lines: VecDeque<LogLine> = VecDeque::new();
    for message in messages {
        lines.extend(joiner.add(message));
        while lines.len() > wanted {
            lines.pop_front();
        }
    }
    lines.extend(joiner.rest());
    while lines.len() > wanted {
        lines.pop_front();
    }
    lines
}
