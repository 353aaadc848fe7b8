//! What can be wrong with keys, certificates and those who show them.

use univrs_model::ids::NodeId;

/// What can be wrong with keys, certificates and those who show them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A key or certificate could not be made.
    #[error("cannot make {what}: {reason}")]
    Make {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A key or certificate cannot be read.
    #[error("cannot read {what}: {reason}")]
    Read {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A certificate does not name a node of this cluster.
    #[error("the certificate does not name a node of this cluster: {reason}")]
    Stranger {
        /// Why.
        reason: String,
    },
    /// The other end is a node, but not the one that was meant.
    #[error("node {found} answered where {wanted} was meant")]
    Other {
        /// Who was meant.
        wanted: NodeId,
        /// Who answered.
        found: NodeId,
    },
}

impl TrustError {
    pub(crate) fn make(what: &'static str) -> impl Fn(rcgen::Error) -> Self {
        move |error| Self::Make { what, reason: error.to_string() }
    }

    pub(crate) fn read(what: &'static str) -> impl Fn(rcgen::Error) -> Self {
        move |error| Self::Read { what, reason: error.to_string() }
    }
}
