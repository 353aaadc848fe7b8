//! Certificates for nodes, as the control plane asks for them.

use univrs_model::Timestamp;
use univrs_model::ids::{ClusterId, NodeId};
use univrs_model::node::Role;

/// Why no certificate can be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// What the node asked with is not a request for a certificate.
    #[error("the request for a certificate is not valid: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// The authority's key or certificate cannot be used.
    #[error("the cluster's authority cannot sign: {reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
}

/// A certificate that was just issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate in DER.
    pub certificate: Vec<u8>,
    /// The public key that it is for.
    pub public_key: Vec<u8>,
}

/// Signs with an authority's key that is handed to it, and keeps none.
pub trait Signer: Send + Sync + 'static {
    /// A certificate for `node`, of the key that signed `request` (PKCS #10 in DER).
    ///
    /// # Errors
    /// See [`AuthorityError`].
    fn issue(
        &self,
        authority: &Authority<'_>,
        request: &[u8],
        subject: &Subject<'_>,
    ) -> Result<Issued, AuthorityError>;
}

/// An authority with its key.
pub struct Authority<'a> {
    /// The cluster.
    pub cluster: &'a ClusterId,
    /// Its certificate in DER.
    pub certificate: &'a [u8],
    /// Its key in PKCS #8.
    pub key: &'a [u8],
}

/// Whom a certificate is for.
pub struct Subject<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// What it may be.
    pub roles: &'a [Role],
    /// From when.
    pub now: Timestamp,
}
