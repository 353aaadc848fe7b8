//! The REST and WebSocket client: every method is one request of the public API.
//!
//! Replies keep the server's own bytes ([`Reply::body`]), so that what a program prints as JSON is exactly what
//! the server said, and are decoded only on demand ([`Reply::value`]).

mod audit;
mod backup;
mod certificates;
mod cluster;
mod error;
mod events;
mod exec;
mod images;
mod join_tokens;
mod logs;
mod nodes;
mod operations;
mod orgs;
mod plans;
mod raw;
mod request;
mod resources;
mod secrets;
mod socket;
mod tokens;
mod tunnel;
mod types;
mod volumes;
mod watching;
mod workloads;

pub use error::{Error, Problem};
pub use events::{EventFollower, Message};
pub use exec::{Exec, ExecInput, ExecOptions, ExecOutput, ExecOutputs};
pub use logs::{LogLine, LogOptions, LogStream};
pub use raw::{RawReply, RawRequest};
pub use request::{Client, ClientOptions, Page, Reply};
pub use socket::Socket;
pub use tunnel::pump;
pub use types::{Accepted, AuditRecord, BlobState, Change, Image, List, Plan};
