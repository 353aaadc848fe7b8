//! Certificates of the ingress: what is kept of them, sealed where it is secret, and what people see.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::DataKeyId;
use crate::name::Name;
use crate::secret::SecretVersion;

/// The cluster's account with an authority that issues certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerAccount {
    /// Address of the authority's directory (RFC 8555).
    pub directory: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What its key is sealed in the name of.
    pub version: SecretVersion,
    /// The data key that it is sealed with, of the default organisation.
    pub key: DataKeyId,
    /// Its credentials, sealed.
    pub sealed: String,
}

/// The certificate of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The host, lower case.
    pub host: String,
    /// Whose host it was when the certificate was ordered.
    pub org: Name,
    /// The certificate, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Issued>,
    /// The last attempt, unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The chain as PEM, the host's own first. It is public.
    pub chain: String,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// When it was taken in.
    pub issued_at: Timestamp,
    /// Address of the directory of the authority that issued it.
    pub directory: String,
    /// What the private key is sealed in the name of.
    pub version: SecretVersion,
    /// The data key that it is sealed with.
    pub key: DataKeyId,
    /// The private key as PEM, sealed.
    pub sealed: String,
}

/// An attempt to get a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub begun_at: Timestamp,
    /// How many have failed in a row before and with it.
    pub failures: u32,
    /// No other begins earlier.
    pub next_at: Timestamp,
    /// While it is under way: when whoever began it counts as gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_until: Option<Timestamp>,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the ingress answers an authority that asks whether the host is ours. It is public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The host.
    pub host: String,
    /// The answer.
    pub authorization: String,
    /// When it was put there.
    pub made_at: Timestamp,
}

/// How a host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateState {
    /// None was asked for yet.
    Waiting,
    /// One is being asked for.
    Ordering,
    /// It has one that is valid.
    Valid,
    /// It has none that is valid, and the last attempt failed.
    Failed,
    /// It has one that has ended.
    Expired,
}

/// The certificate of one host as people see it: never its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    /// The host.
    pub host: String,
    /// The organisation.
    pub org: Name,
    /// How it stands.
    pub state: CertificateState,
    /// Whether a workload still wants it.
    pub wanted: bool,
    /// Address of the directory of the authority that issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// From when on it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// The chain as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// How many attempts have failed in a row.
    pub failures: u32,
    /// When the next attempt is made, after one that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
