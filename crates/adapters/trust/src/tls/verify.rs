//! The checks of certificates inside the handshake.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use univrs_model::ids::{ClusterId, NodeId};
use univrs_model::join::Fingerprint;

use super::Membership;
use crate::authority::fingerprint;
use crate::error::TrustError;
use crate::key::Credentials;
use crate::peer::Peer;

/// A refusal of ours as the library passes it on; its text reaches the log.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

fn refuse(why: impl fmt::Display) -> Error {
    let refusal = Refusal(why.to_string());
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
}

/// Signatures are checked the same way everywhere.
fn signature(
    provider: &CryptoProvider,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature(message, certificate, signed, &provider.signature_verification_algorithms)
}

/// TLS 1.2 is never offered, so a signature of it has no place.
fn never() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("nodes speak TLS 1.3 only".to_owned()))
}

/// Accepts members of one cluster.
pub(super) struct Members {
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    hints: Vec<DistinguishedName>,
    cluster: ClusterId,
    expect: Option<NodeId>,
    membership: Arc<dyn Membership>,
}

impl fmt::Debug for Members {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Members({}, {:?})", self.cluster, self.expect)
    }
}

impl Members {
    pub(super) fn new(
        credentials: &Credentials,
        expect: Option<NodeId>,
        membership: Arc<dyn Membership>,
    ) -> Result<Self, TrustError> {
        let cluster = credentials.peer()?.cluster;
        let mut roots = RootCertStore::empty();
        roots.add(credentials.authority.clone()).map_err(super::of_rustls)?;
        Ok(Self { provider: super::provider(), hints: roots.subjects(), roots, cluster, expect, membership })
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let peer = Peer::of(certificate).map_err(refuse)?;
        let expired = now.as_secs() > peer.not_after.as_second().max(0).unsigned_abs();
        // The signature is always checked; of an expired certificate as of its last second.
        let at = if expired { peer.not_after.as_second().max(0).unsigned_abs() } else { now.as_secs() };
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(certificate)?,
            &self.roots,
            intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(at)),
            self.provider.signature_verification_algorithms.all,
        )?;
        if peer.cluster != self.cluster {
            return Err(refuse(format!(
                "it is a node of the cluster {}, not of {}",
                peer.cluster, self.cluster
            )));
        }
        if let Some(wanted) = self.expect.as_ref().filter(|wanted| **wanted != peer.node) {
            return Err(refuse(TrustError::Other { wanted: wanted.clone(), found: peer.node }));
        }
        self.membership.admit(&peer, expired).map_err(refuse)
    }
}

impl ServerCertVerifier for Members {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(certificate, intermediates, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature(&self.provider, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Members {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    /// Machines that join have no certificate yet; [`super::arrival`] tells them apart.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate, intermediates, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature(&self.provider, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts whoever holds a certificate of the authority with this fingerprint, which the other end sends along.
#[derive(Debug)]
pub(super) struct FirstContact {
    provider: Arc<CryptoProvider>,
    authority: Fingerprint,
}

impl FirstContact {
    pub(super) fn new(authority: Fingerprint) -> Self {
        Self { provider: super::provider(), authority }
    }
}

impl ServerCertVerifier for FirstContact {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = intermediates.iter().find(|shown| fingerprint(shown) == self.authority) else {
            return Err(refuse(
                "the server belongs to another cluster than the join token; check the address, or make a token there",
            ));
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(certificate)?,
            &roots,
            &[],
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Peer::of(certificate).map_err(refuse)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature(&self.provider, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
