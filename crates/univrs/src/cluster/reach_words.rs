//! What is said on a connection that reaches into an instance: first which, then whether, then its bytes.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use univrs_model::Timestamp;
use univrs_model::ids::NodeId;
use univrs_ports::node_access::AccessError;
use univrs_ports::runtime::{ContainerId, LogLine, RuntimeError};

/// The largest piece of a stream.
pub(super) const PIECE: usize = 32 << 10;
/// The largest word.
pub(super) const LARGEST: u32 = 1 << 20;

/// What is wanted.
#[derive(Serialize, Deserialize)]
pub(super) enum Wanted {
    /// Lines, as [`Line`]s.
    Logs { id: ContainerId, tail: Option<usize>, since: Option<Timestamp>, follow: bool },
    /// A command, as pieces.
    Exec { id: ContainerId, command: Vec<String>, env: BTreeMap<String, String>, tty: bool },
    /// A TCP connection, as it is.
    Connect { address: String, port: u16 },
}

/// Whether it can be had.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Go,
    No(Fault),
}

/// A line of a log, or the end of it.
#[derive(Serialize, Deserialize)]
pub(super) enum Line {
    Line(LogLine),
    Failed(Fault),
    End,
}

/// Why something in an instance cannot be had.
#[derive(Serialize, Deserialize)]
pub(super) enum Fault {
    NotFound { id: String },
    NotRunning { id: String },
    Refused { id: String, reason: String },
    Failed { id: String, reason: String },
    Unreachable { reason: String },
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::NotFound { id } => Self::NotFound { id },
            RuntimeError::NotRunning { id } => Self::NotRunning { id },
            RuntimeError::Refused { id, reason } => Self::Refused { id, reason },
            RuntimeError::Failed { id, step, reason } => {
                Self::Failed { id, reason: format!("failed to {step}: {reason}") }
            }
            RuntimeError::Unusable { reason, .. } => Self::Failed { id: String::new(), reason },
        }
    }
}

impl From<AccessError> for Fault {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Unreachable { reason, .. } => Self::Unreachable { reason },
            AccessError::Runtime(error) => error.into(),
        }
    }
}

impl Fault {
    pub(super) fn into_runtime(self) -> RuntimeError {
        match self {
            Self::NotFound { id } => RuntimeError::NotFound { id },
            Self::NotRunning { id } => RuntimeError::NotRunning { id },
            Self::Refused { id, reason } => RuntimeError::Refused { id, reason },
            Self::Failed { id, reason } => RuntimeError::Failed { id, step: "answer on its node", reason },
            Self::Unreachable { reason } => {
                RuntimeError::Failed { id: String::new(), step: "be reached", reason }
            }
        }
    }

    pub(super) fn into_access(self, node: &NodeId) -> AccessError {
        match self {
            Self::Unreachable { reason } => AccessError::Unreachable { node: node.clone(), reason },
            other => AccessError::Runtime(other.into_runtime()),
        }
    }
}

/// What a piece of a command's conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Standard input; empty at its end.
    Stdin = 0,
    /// Columns and rows of the terminal.
    Resize = 1,
    /// Standard output; empty at its end.
    Stdout = 2,
    /// Standard error; empty at its end.
    Stderr = 3,
    /// The exit code: the last piece.
    Exit = 4,
    /// The command's end could not be learned: the last piece.
    Fault = 5,
}

impl Kind {
    fn of(number: u8) -> io::Result<Self> {
        [Self::Stdin, Self::Resize, Self::Stdout, Self::Stderr, Self::Exit, Self::Fault]
            .into_iter()
            .find(|kind| *kind as u8 == number)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a piece of an unknown kind"))
    }
}

/// Writes a piece.
pub(super) async fn write_piece(
    io: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    body: &[u8],
) -> io::Result<()> {
    let mut piece = Vec::with_capacity(body.len() + 5);
    piece.push(kind as u8);
    piece.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    piece.extend_from_slice(body);
    io.write_all(&piece).await?;
    io.flush().await
}

/// Reads a piece.
pub(super) async fn read_piece(io: &mut (impl AsyncRead + Unpin)) -> io::Result<(Kind, Vec<u8>)> {
    let kind = Kind::of(io.read_u8().await?)?;
    let length = io.read_u32().await? as usize;
    if length > LARGEST as usize {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a piece is too large"));
    }
    let mut body = vec![0; length];
    io.read_exact(&mut body).await?;
    Ok((kind, body))
}
