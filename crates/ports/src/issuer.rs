//! Who issues certificates for hosts of the ingress, and how it is shown that they are ours.

use std::time::Duration;

use async_trait::async_trait;
use univrs_model::Timestamp;
use univrs_model::secret::SecretValue;

/// Why no certificate was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct IssuerError {
    /// What happened, in the authority's own words where it said any.
    pub reason: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether it does not know the account: another has to be made.
    pub unknown_account: bool,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct NewCertificate {
    /// The chain as PEM, the host's own first.
    pub chain: String,
    /// The private key as PEM.
    pub key: SecretValue,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// Where answers to the authority's questions are put, before it asks.
#[async_trait]
pub trait Board: Send + Sync {
    /// Every ingress answers `/.well-known/acme-challenge/<token>` with `authorization` from here on (RFC 8555, 8.3).
    ///
    /// # Errors
    /// Why it cannot be put there.
    async fn show(&self, token: &str, authorization: &str) -> Result<(), String>;
}

/// An authority that issues certificates.
#[async_trait]
pub trait Issuer: Send + Sync + 'static {
    /// Where it is asked.
    fn directory(&self) -> &str;

    /// Makes an account; its credentials.
    ///
    /// # Errors
    /// See [`IssuerError`].
    async fn register(&self) -> Result<SecretValue, IssuerError>;

    /// Has a certificate issued for one host, within bounded time.
    ///
    /// # Errors
    /// See [`IssuerError`].
    async fn issue(
        &self,
        account: &SecretValue,
        host: &str,
        board: &dyn Board,
    ) -> Result<NewCertificate, IssuerError>;
}

/// A certificate that an ingress serves.
#[derive(Clone, Debug)]
pub struct ServedCertificate {
    /// For this host, lower case.
    pub host: String,
    /// The chain as PEM, the host's own first.
    pub chain: String,
    /// The private key as PEM.
    pub key: SecretValue,
}

/// Where an ingress has its certificates from.
#[async_trait]
pub trait CertificateSource: Send + Sync + 'static {
    /// All that are to be served now.
    ///
    /// # Errors
    /// Why they cannot be had.
    async fn certificates(&self) -> Result<Vec<ServedCertificate>, String>;
}
