//! Log lines of a workload, as they come.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;

use crate::error::Error;
use crate::request::Client;

/// A line longer than this is a fault of the server.
const LONGEST_LINE: usize = 1 << 20;

/// Which log lines.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Whether to wait for more.
    pub follow: bool,
    /// At most this many of the last lines.
    pub tail: Option<u64>,
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Only lines of this instance.
    pub instance: Option<String>,
    /// Only lines of this container.
    pub container: Option<String>,
}

/// One line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// `stdout` or `stderr`.
    #[serde(default)]
    pub stream: String,
    /// The instance that wrote it.
    #[serde(default)]
    pub instance: String,
    /// The container that wrote it.
    #[serde(default)]
    pub container: String,
    /// The line, without its end.
    pub text: String,
}

/// The lines of a log, one after the other.
pub struct LogStream {
    pieces: BoxStream<'static, Result<Bytes, Error>>,
    rest: BytesMut,
    ended: bool,
}

impl LogStream {
    /// The next line as the server sent it (a JSON object), or `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next_raw(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let mut line = self.rest.split_to(end + 1);
                line.truncate(end);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(line.freeze()));
            }
            if self.rest.len() > LONGEST_LINE {
                return Err(Error::BadReply { status: 200, detail: "a log line without an end".to_owned() });
            }
            if self.ended {
                let last = self.rest.split().freeze();
                return Ok((!last.trim_ascii().is_empty()).then_some(last));
            }
            match self.pieces.next().await {
                Some(piece) => self.rest.extend_from_slice(&piece?),
                None => self.ended = true,
            }
        }
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks or the line is not one.
    pub async fn next(&mut self) -> Result<Option<LogLine>, Error> {
        let Some(raw) = self.next_raw().await? else { return Ok(None) };
        let line = serde_json::from_slice(&raw)
            .map_err(|error| Error::BadReply { status: 200, detail: format!("not a log line: {error}") })?;
        Ok(Some(line))
    }
}

impl Client {
    /// Log lines of a workload.
    ///
    /// # Errors
    /// As every request.
    pub async fn logs(&self, workload: &str, options: &LogOptions) -> Result<LogStream, Error> {
        let mut query = Vec::new();
        query.extend(options.follow.then(|| ("follow", "true".to_owned())));
        query.extend(options.tail.map(|tail| ("tail", tail.to_string())));
        query.extend(options.since.map(|since| ("since", since.to_string())));
        query.extend(options.instance.clone().map(|instance| ("instance", instance)));
        query.extend(options.container.clone().map(|container| ("container", container)));
        let path = ["api", "workloads", workload, "logs"];
        let response = self.stream(&path, &query, "application/x-ndjson").await?;
        let client = self.clone();
        let pieces = response.bytes_stream().map(move |piece| piece.map_err(|error| client.transport(error)));
        Ok(LogStream { pieces: pieces.boxed(), rest: BytesMut::new(), ended: false })
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use futures::StreamExt;

    use super::LogStream;

    fn stream(pieces: &[&'static str]) -> LogStream {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        LogStream { pieces: futures::stream::iter(pieces).boxed(), rest: BytesMut::new(), ended: false }
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_the_pieces_are() {
        let mut lines = stream(&["{\"text\":", "\"a\"}\n\n{\"te", "xt\":\"b\"}\n{\"text\":\"c\"}"]);
        let mut texts = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            texts.push(line.text);
        }
        assert_eq!(texts, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_is_no_log_line_is_an_error() {
        assert!(stream(&["hello\n"]).next().await.is_err());
    }
}
