//! Mutual TLS between nodes. TLS 1.3 only; both ends are known by their certificates, never by their addresses.
//!
//! The protocols that share the port are told apart by ALPN: [`NODES`] and [`ACCESS`] between members, where both ends
//! show certificates, and [`JOIN`] for machines that have none yet. A server answers [`arrival`] with who came, and hands strangers to
//! nothing but joining.

mod verify;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::{ClientConfig, ServerConfig, ServerConnection, version::TLS13};
use univrs_model::ids::NodeId;
use univrs_model::join::Fingerprint;

use crate::error::TrustError;
use crate::key::Credentials;
use crate::peer::Peer;
use verify::{FirstContact, Members};

/// What members speak to each other.
pub const NODES: &[u8] = b"univrs-node/1";
/// What machines speak that are not members yet.
pub const JOIN: &[u8] = b"univrs-join/1";

/// What members speak to reach into each other's instances: one connection for each session.
pub const ACCESS: &[u8] = b"univrs-access/1";

/// Who may come in with a certificate of the cluster's authority. Asked within a handshake, so it answers from memory.
pub trait Membership: Send + Sync + 'static {
    /// Whether a certificate that is otherwise in order is accepted; `expired` when its time is over, which a node
    /// whose key is known may be forgiven after a long sleep of the whole cluster.
    ///
    /// # Errors
    /// Why not, for the log of both ends.
    fn admit(&self, peer: &Peer, expired: bool) -> Result<(), String>;
}

/// Everyone with a certificate that has not expired.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everyone;

impl Membership for Everyone {
    fn admit(&self, peer: &Peer, expired: bool) -> Result<(), String> {
        if expired {
            Err(format!("the certificate of node {} expired at {}", peer.node, peer.not_after))
        } else {
            Ok(())
        }
    }
}

/// Who is at the other end of an accepted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A member.
    Node(Peer),
    /// A member that wants to reach into an instance.
    Access(Peer),
    /// A machine that wants to join.
    Stranger,
}

/// What a node dials others with. With `expect`, only that node's answer is accepted.
///
/// # Errors
/// When the credentials do not fit together.
pub fn dialling(
    credentials: &Credentials,
    expect: Option<NodeId>,
    membership: Arc<dyn Membership>,
) -> Result<ClientConfig, TrustError> {
    let members = Members::new(credentials, expect, membership)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(of_rustls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(members))
        .with_client_auth_cert(vec![credentials.certificate.clone()], credentials.private())
        .map_err(of_rustls)?;
    config.alpn_protocols = vec![NODES.to_vec()];
    Ok(config)
}

/// What a machine dials with that has nothing but a join token: the answer must come from the authority it names.
///
/// # Errors
/// Never, unless the library's own defaults do not fit together.
pub fn joining(authority: Fingerprint) -> Result<ClientConfig, TrustError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(of_rustls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(FirstContact::new(authority)))
        .with_no_client_auth();
    config.alpn_protocols = vec![JOIN.to_vec()];
    Ok(config)
}

/// What a node answers with.
///
/// # Errors
/// When the credentials do not fit together.
pub fn answering(
    credentials: &Credentials,
    membership: Arc<dyn Membership>,
) -> Result<ServerConfig, TrustError> {
    let members = Members::new(credentials, None, membership)?;
    let chain = vec![credentials.certificate.clone(), credentials.authority.clone()];
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(of_rustls)?
        .with_client_cert_verifier(Arc::new(members))
        .with_single_cert(chain, credentials.private())
        .map_err(of_rustls)?;
    config.alpn_protocols = vec![NODES.to_vec(), ACCESS.to_vec(), JOIN.to_vec()];
    Ok(config)
}

/// Who is at the other end of a connection whose handshake is done.
///
/// # Errors
/// [`TrustError::Stranger`] when a member's protocol was asked for without a certificate.
pub fn arrival(connection: &ServerConnection) -> Result<Arrival, TrustError> {
    match (connection.alpn_protocol(), connection.peer_certificates().and_then(<[_]>::first)) {
        (Some(NODES), Some(certificate)) => Ok(Arrival::Node(Peer::of(certificate)?)),
        (Some(ACCESS), Some(certificate)) => Ok(Arrival::Access(Peer::of(certificate)?)),
        (Some(JOIN), _) => Ok(Arrival::Stranger),
        (Some(NODES | ACCESS), None) => {
            Err(TrustError::Stranger { reason: "no certificate was shown".to_owned() })
        }
        _ => Err(TrustError::Stranger { reason: "the protocol is not one of ours".to_owned() }),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn of_rustls(error: tokio_rustls::rustls::Error) -> TrustError {
    TrustError::Read { what: "the node's credentials", reason: error.to_string() }
}
