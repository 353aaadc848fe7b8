//! Who is who between nodes: the cluster's authority, the certificates of nodes, and mutual TLS from both.
//!
//! - [`Authority`] is made once, at bootstrap, and signs what nodes ask for.
//! - [`NodeKey`] is a node's own key; it never leaves the node, only requests for certificates do.
//! - [`Credentials`] are a key and its certificate; [`tls`] makes configurations from them.
//! - [`Peer`] is what a certificate says of the node at the other end.
//!
//! A certificate names its node in SPIFFE's form, `spiffe://<cluster>/node/<node>`, and its roles as its
//! organisational unit. Names of hosts mean nothing here: addresses change, nodes do not.
//!
//! Absent by design: storage, networking and decisions about who may join.

mod authority;
mod error;
mod key;
mod peer;
mod signer;
pub mod tls;

pub use authority::{Authority, LEAF_LIFETIME, Subject, fingerprint};
pub use error::TrustError;
pub use key::{Credentials, NodeKey};
pub use peer::Peer;
pub use signer::CertificateSigner;
