//! What can go wrong in the encrypted network.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What can go wrong in the encrypted network.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The key file cannot be read or written, or is no key.
    #[error("the key in {} cannot be used: {reason}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The UDP port is not free.
    #[error("cannot listen on UDP {address}")]
    Port {
        /// The address and port.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel or the library refused a step.
    #[error("failed to {step}: {reason}")]
    Step {
        /// What was being done.
        step: String,
        /// The answer.
        reason: String,
    },
}

/// A refused step.
pub(crate) fn failed(step: impl Into<String>, reason: impl std::fmt::Display) -> OverlayError {
    OverlayError::Step { step: step.into(), reason: reason.to_string() }
}
