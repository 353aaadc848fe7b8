//! Node RPC: many requests, answers and streams at once over one connection.
//!
//! It runs over anything that reads and writes bytes in order; TCP today, mutual TLS around it for a cluster. A
//! [`Dial`] makes connections and [`serve()`] answers on them, so that neither knows about addresses or certificates.
//!
//! # On the wire
//!
//! The side that dialled sends a `Hello` and gets a welcome or a refusal. Then both send frames:
//!
//! ```text
//! length: u32 │ kind: u8 │ id: u64 │ body         big endian; the length counts everything behind itself
//! ```
//!
//! The one that dialled asks and the other answers; ids are chosen by the asker and never reused on a connection.
//! `Call` is answered by one `Answer`, `Open` by `Item`s and an `End`; the first byte of both says which service is
//! asked. Answers come in any order. Bodies are postcard, and belong to the services: [`MemberService`] carries what
//! members say to each other, [`StoreService`] what [`RemoteStore`] asks on behalf of a client.
//!
//! # What holds it together
//!
//! - **WIRE-1** No side keeps an unbounded amount for the other: requests in flight, frames waiting to be written and
//!   items of a stream that nobody read yet are bounded, and a side that has reached a bound stops reading.
//! - **WIRE-2** A frame above the agreed size, of an unknown kind, or out of place ends the connection with a reason.
//! - **WIRE-3** A request that was certainly not sent fails differently from one that may have been acted on.
//! - **WIRE-4** A connection over which nothing came for [`PATIENCE`] is dead, and everything waiting on it fails.
//!
//! Frames that wait for the same connection are written at once: throughput comes from there.

mod asker;
mod caller;
mod connection;
mod dial;
mod frame;
mod hello;
mod members;
mod outbox;
mod remote;
mod serve;
mod service;
mod session;
mod words;

pub use caller::Caller;
pub use connection::CallError;
pub use dial::{Dial, Io, TcpDial};
pub use hello::{NEWEST_VERSION, OLDEST_VERSION};
pub use members::{MemberService, WireTransport};
pub use remote::{RemoteOptions, RemoteStore};
pub use serve::{Limits, Services, serve};
pub use service::StoreService;
pub use session::{Refused, Service};

use std::io;
use std::sync::Arc;
use std::time::Duration;

use univrs_ports::store::ClusterId;

/// The largest frame that is accepted by default: far above the largest transaction, and above what the log hands to
/// replication at once.
pub const MAX_FRAME: u32 = 64 << 20;
/// Without anything to say, the side that dialled shows this often that it lives.
pub const PING_EVERY: Duration = Duration::from_secs(3);
/// A connection over which nothing came for this long is dead.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// What a stream may send before it is read: about so many bytes, and one item more.
pub(crate) const WINDOW: u32 = 1 << 20;
/// Frames waiting to be written, in bytes, above which nothing more is taken on.
pub(crate) const HIGH_WATER: usize = 4 << 20;

/// Which service a request is for. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(pub u8);

impl Channel {
    /// What the members that replicate the store say to each other.
    pub const MEMBERS: Channel = Channel(0);
    /// What clients ask of the store.
    pub const STORE: Channel = Channel(1);
    /// What nodes ask of validators: certificates, secrets, and to let a machine in.
    pub const CLUSTER: Channel = Channel(2);
}

/// Why a connection could not be made, or ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WireError {
    /// Reading or writing failed.
    #[error("the connection failed")]
    Io(#[source] Arc<io::Error>),
    /// The other side closed the connection.
    #[error("the other side closed the connection")]
    Ended,
    /// Nothing came for too long.
    #[error("the other side was silent for {} s", PATIENCE.as_secs())]
    Silent,
    /// This side closed the connection.
    #[error("the connection was closed here")]
    Closed,
    /// What answered does not speak this protocol.
    #[error("what answered is not a node of Univrs; is the address right?")]
    NotOurs,
    /// No common version.
    #[error(
        "the other side speaks versions {oldest} to {newest} of the node protocol, this program {} to {}; run versions next to each other",
        OLDEST_VERSION,
        NEWEST_VERSION
    )]
    Version {
        /// The oldest version of the other side.
        oldest: u16,
        /// The newest version of the other side.
        newest: u16,
    },
    /// The other side belongs to another cluster.
    #[error("the other side belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// The cluster of this side.
        expected: ClusterId,
        /// The cluster of the other side.
        found: ClusterId,
    },
    /// A frame is larger than agreed.
    #[error("a frame of {size} bytes is larger than the agreed {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: u32,
    },
    /// The other side broke the protocol.
    #[error("the other side broke the protocol: {0}")]
    Broken(&'static str),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => WireError::Ended,
            _ => WireError::Io(Arc::new(error)),
        }
    }
}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(source) => io::Error::new(source.kind(), WireError::Io(source)),
            WireError::Ended => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            WireError::Silent => io::Error::new(io::ErrorKind::TimedOut, error),
            other => io::Error::other(other),
        }
    }
}
