//! The cluster's authority: made once, it says who is a node.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use univrs_model::Timestamp;
use univrs_model::ids::{ClusterId, NodeId};
use univrs_model::join::Fingerprint;
use univrs_model::node::Role;
use univrs_model::span::Span;
use zeroize::Zeroizing;

use crate::error::TrustError;

/// How long a node's certificate lives.
pub const LEAF_LIFETIME: Span = Span::seconds(24 * 3600);
/// How long the authority lives: longer than any of its machines.
const AUTHORITY_LIFETIME: Span = Span::seconds(3650 * 24 * 3600);
/// How far behind ours another machine's clock may be without refusing a fresh certificate.
const SKEW: Span = Span::seconds(300);

/// The cluster's authority, with its key.
pub struct Authority {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Authority({}, {:?})", self.cluster, self.fingerprint())
    }
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The node.
    pub node: NodeId,
    /// What it may be.
    pub roles: Vec<Role>,
}

impl Authority {
    /// A new authority for a new cluster.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn create(cluster: &ClusterId, now: Timestamp) -> Result<Self, TrustError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(TrustError::make("the authority's key"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("univrs {cluster}"));
        params.subject_alt_names = vec![uri(format!("spiffe://{cluster}"))?];
        // It signs nodes, and no further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(now, AUTHORITY_LIFETIME);
        let certificate =
            params.self_signed(&key).map_err(TrustError::make("the authority's certificate"))?;
        let certificate = certificate.der().clone();
        Self::of(cluster.clone(), certificate, key)
    }

    /// The authority that [`Authority::certificate`] and [`Authority::key`] were taken from.
    ///
    /// # Errors
    /// When either cannot be read.
    pub fn open(
        cluster: ClusterId,
        certificate: CertificateDer<'static>,
        key: &[u8],
    ) -> Result<Self, TrustError> {
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key), &PKCS_ECDSA_P256_SHA256);
        Self::of(cluster, certificate, key.map_err(TrustError::read("the authority's key"))?)
    }

    fn of(
        cluster: ClusterId,
        certificate: CertificateDer<'static>,
        key: KeyPair,
    ) -> Result<Self, TrustError> {
        let issuer = Issuer::from_ca_cert_der(&certificate, key);
        let issuer = issuer.map_err(TrustError::read("the authority's certificate"))?;
        Ok(Self { cluster, certificate, issuer })
    }

    /// Its certificate, in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its key, in PKCS #8 DER: to be sealed before it is stored.
    pub fn key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.issuer.key().serialize_der())
    }

    /// The hash by which joining machines know it.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate)
    }

    /// A certificate for `subject`, of the key that signed `request`. Nothing else is taken from the request.
    ///
    /// # Errors
    /// When the request is malformed or was not signed by its key.
    pub fn issue(
        &self,
        request: &CertificateSigningRequestDer<'_>,
        subject: &Subject,
        now: Timestamp,
        lifetime: Span,
    ) -> Result<CertificateDer<'static>, TrustError> {
        let request = CertificateSigningRequestParams::from_der(request)
            .map_err(TrustError::read("the certificate request"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject.node.to_string());
        let roles: Vec<&str> = subject.roles.iter().map(|role| role.as_str()).collect();
        params.distinguished_name.push(DnType::OrganizationalUnitName, roles.join("+"));
        params.subject_alt_names = vec![uri(format!("spiffe://{}/node/{}", self.cluster, subject.node))?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = validity(now, lifetime);
        let certificate = params.signed_by(&request.public_key, &self.issuer);
        Ok(certificate.map_err(TrustError::make("a node's certificate"))?.der().clone())
    }
}

/// SHA-256 of a certificate in DER.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate).into())
}

fn uri(text: String) -> Result<SanType, TrustError> {
    let name = text.try_into().map_err(TrustError::make("a node's name"))?;
    Ok(SanType::URI(name))
}

fn validity(now: Timestamp, lifetime: Span) -> (OffsetDateTime, OffsetDateTime) {
    let at = |millis: i64| {
        // Whole seconds, as certificates have them; beyond the years they can say, as late as they can.
        OffsetDateTime::from_unix_timestamp(now.as_second().saturating_add(millis / 1000))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    };
    let millis = |span: Span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    (at(-millis(SKEW)), at(millis(lifetime)))
}
