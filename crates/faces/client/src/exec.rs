//! Commands inside a running instance: one WebSocket whose frames start with their channel.

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::error::Error;
use crate::request::Client;
use crate::socket::{Socket, broken};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const EXIT: u8 = 3;
const RESIZE: u8 = 4;

/// What to execute, and where.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The instance; any running one when absent.
    pub instance: Option<String>,
    /// The container; the first when absent.
    pub container: Option<String>,
    /// Whether the command gets a terminal.
    pub tty: bool,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// A command under way.
pub struct Exec {
    socket: Socket,
    server: String,
}

/// The side that feeds a command.
pub struct ExecInput {
    sink: SplitSink<Socket, Message>,
    server: String,
}

/// The side that listens to a command.
pub struct ExecOutputs {
    stream: SplitStream<Socket>,
    server: String,
}

/// What a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecOutput {
    /// Bytes of its standard output (with a terminal: of everything).
    Stdout(Bytes),
    /// Bytes of its standard error.
    Stderr(Bytes),
    /// It ended with this code; nothing follows.
    Exit(i32),
}

#[derive(Deserialize)]
struct ExitFrame {
    code: i32,
}

impl Exec {
    /// Both sides, to be used at the same time.
    pub fn split(self) -> (ExecInput, ExecOutputs) {
        let (sink, stream) = self.socket.split();
        (ExecInput { sink, server: self.server.clone() }, ExecOutputs { stream, server: self.server })
    }
}

impl ExecInput {
    /// Bytes for the command's standard input.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.frame(STDIN, bytes).await
    }

    /// The end of the command's standard input.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn end(&mut self) -> Result<(), Error> {
        self.frame(STDIN, &[]).await
    }

    /// The size of the terminal.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn resize(&mut self, columns: u16, rows: u16) -> Result<(), Error> {
        self.frame(RESIZE, json!({"cols": columns, "rows": rows}).to_string().as_bytes()).await
    }

    async fn frame(&mut self, channel: u8, bytes: &[u8]) -> Result<(), Error> {
        let mut frame = BytesMut::with_capacity(bytes.len() + 1);
        frame.put_u8(channel);
        frame.extend_from_slice(bytes);
        self.sink.send(Message::Binary(frame.freeze())).await.map_err(|error| broken(&self.server, error))
    }
}

impl ExecOutputs {
    /// What the command says next.
    ///
    /// # Errors
    /// When the connection breaks before the command has ended.
    pub async fn next(&mut self) -> Result<ExecOutput, Error> {
        loop {
            let message = match self.stream.next().await {
                Some(message) => message.map_err(|error| broken(&self.server, error))?,
                None => return Err(ended("the connection")),
            };
            match message {
                Message::Binary(frame) => {
                    if let Some(output) = read_frame(&frame)? {
                        return Ok(output);
                    }
                }
                Message::Close(reason) => {
                    return Err(match reason {
                        Some(reason) if !reason.reason.is_empty() => ended(&reason.reason),
                        Some(_) | None => ended("the connection"),
                    });
                }
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

fn ended(what: &str) -> Error {
    Error::BadReply { status: 0, detail: format!("{what} ended before the command did") }
}

fn read_frame(frame: &Bytes) -> Result<Option<ExecOutput>, Error> {
    let Some(channel) = frame.first() else { return Ok(None) };
    let bytes = frame.slice(1..);
    match *channel {
        STDOUT => Ok(Some(ExecOutput::Stdout(bytes))),
        STDERR => Ok(Some(ExecOutput::Stderr(bytes))),
        EXIT => {
            let exit: ExitFrame = serde_json::from_slice(&bytes).map_err(|error| Error::BadReply {
                status: 0,
                detail: format!("not an exit code: {error}"),
            })?;
            Ok(Some(ExecOutput::Exit(exit.code)))
        }
        // Channels that this client does not know carry nothing that it needs.
        _ => Ok(None),
    }
}

impl Client {
    /// Executes a command in an instance of a workload.
    ///
    /// # Errors
    /// As every request.
    pub async fn exec(&self, workload: &str, options: &ExecOptions) -> Result<Exec, Error> {
        let mut query = vec![("tty", options.tty.to_string())];
        query.extend(options.instance.clone().map(|instance| ("instance", instance)));
        query.extend(options.container.clone().map(|container| ("container", container)));
        query.extend(options.command.iter().map(|part| ("command", part.clone())));
        let socket = self.socket(&["api", "workloads", workload, "exec"], &query).await?;
        Ok(Exec { socket, server: self.server().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{ExecOutput, read_frame};

    #[test]
    fn frames_start_with_their_channel() {
        let read = |frame: &'static [u8]| read_frame(&Bytes::from_static(frame));
        assert_eq!(read(b"\x01hi").unwrap(), Some(ExecOutput::Stdout(Bytes::from_static(b"hi"))));
        assert_eq!(read(b"\x02oh").unwrap(), Some(ExecOutput::Stderr(Bytes::from_static(b"oh"))));
        assert_eq!(read(b"\x03{\"code\":7}").unwrap(), Some(ExecOutput::Exit(7)));
        assert_eq!(read(b"\x09x").unwrap(), None);
        assert_eq!(read(b"").unwrap(), None);
        assert!(read(b"\x03x").is_err());
    }
}
