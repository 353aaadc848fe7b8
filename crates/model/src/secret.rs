//! Secrets: values that containers receive and nobody reads back.
//!
//! The store holds only sealed values ([`Secret`], [`DataKey`]). A plain value exists as a [`SecretValue`] alone: it
//! is wiped when dropped, shows nothing of itself, and has no serialised form.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::Timestamp;
use crate::ids::{DataKeyId, NodeId, ResourceId, SecretId};
use crate::name::Name;

/// Largest value of a secret, in bytes.
pub const LARGEST_SECRET: usize = 64 << 10;
/// How many versions of a secret are kept, the newest included, so that a reverted workload starts with the value
/// that it was proven with.
pub const KEPT_VERSIONS: usize = 3;

/// A plain value. Wiped when dropped; printing it tells its size only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. The one way to see them, so that every place that does is easily found.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SecretValue({} bytes)", self.0.len())
    }
}

/// Names one value of one secret for ever: a secret that is removed and made again has another id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretVersion {
    /// The secret.
    pub secret: SecretId,
    /// Counts its values from 1.
    pub version: u64,
}

impl fmt::Display for SecretVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.secret, self.version)
    }
}

impl From<SecretVersion> for String {
    fn from(version: SecretVersion) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for SecretVersion {
    type Error = InvalidSecretVersion;

    fn try_from(text: String) -> Result<Self, InvalidSecretVersion> {
        text.parse()
    }
}

impl FromStr for SecretVersion {
    type Err = InvalidSecretVersion;

    fn from_str(text: &str) -> Result<Self, InvalidSecretVersion> {
        let parse = || {
            let (secret, version) = text.split_once('@')?;
            Some(Self { secret: secret.parse().ok()?, version: version.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidSecretVersion { text: text.chars().take(80).collect() })
    }
}

/// A text that names no version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a version of a secret, such as `se_1a@3`")]
pub struct InvalidSecretVersion {
    /// The text.
    pub text: String,
}

/// What a sealed value is bound to. Opening it in the name of anything else fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The organisation.
    pub org: &'a Name,
    /// The secret's name.
    pub name: &'a Name,
    /// The secret's id and the value's number.
    pub version: &'a SecretVersion,
}

/// A secret as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its id; never used again, unlike its name.
    pub id: SecretId,
    /// Its organisation.
    pub org: Name,
    /// Its name.
    pub name: Name,
    /// When it was first set.
    pub created_at: Timestamp,
    /// The resource that it was generated for, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceId>,
    /// The kept values, oldest first; never empty.
    pub versions: Vec<SealedVersion>,
}

/// One sealed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedVersion {
    /// Counts the secret's values from 1.
    pub version: u64,
    /// When it was set.
    pub created_at: Timestamp,
    /// The data key it is sealed with.
    pub key: DataKeyId,
    /// The sealed value, as text that only the sealing adapter understands.
    pub sealed: String,
}

impl Secret {
    /// The newest value's name.
    pub fn newest(&self) -> SecretVersion {
        self.names(self.versions.last().map_or(0, |version| version.version))
    }

    /// When the newest value was set.
    pub fn updated_at(&self) -> Timestamp {
        self.versions.last().map_or(self.created_at, |version| version.created_at)
    }

    /// The kept value that `wanted` names, or the newest if that one is gone.
    pub fn version(&self, wanted: &SecretVersion) -> Option<&SealedVersion> {
        let kept = self.versions.iter().find(|kept| self.names(kept.version) == *wanted);
        kept.or_else(|| self.versions.last())
    }

    /// Whether a value is still kept.
    pub fn keeps(&self, wanted: &SecretVersion) -> bool {
        self.versions.iter().any(|kept| self.names(kept.version) == *wanted)
    }

    fn names(&self, version: u64) -> SecretVersion {
        SecretVersion { secret: self.id.clone(), version }
    }
}

/// A secret as people see it: never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    /// Its id.
    pub id: SecretId,
    /// Its name.
    pub name: Name,
    /// Its organisation.
    pub org: Name,
    /// Revision of its last change in the store; the `ETag`.
    pub revision: u64,
    /// Counts its values from 1.
    pub version: u64,
    /// When it was first set.
    pub created_at: Timestamp,
    /// When its present value was set.
    pub updated_at: Timestamp,
    /// Names of the workloads that use it.
    pub used_by: Vec<Name>,
}

/// An organisation's key for its secrets, wrapped so that each validator can unwrap it and the store alone cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataKey {
    /// Its id.
    pub id: DataKeyId,
    /// Its organisation.
    pub org: Name,
    /// When it was made.
    pub created_at: Timestamp,
    /// For each validator the wrapped key, as text that only the sealing adapter understands.
    pub wrapped: BTreeMap<NodeId, String>,
}

/// The public half of a validator's key; the private half never leaves its data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorKey {
    /// The X25519 public key, as text that only the sealing adapter understands.
    pub public: String,
}

#[cfg(test)]
mod tests {
    use super::{SecretValue, SecretVersion};
    use crate::ids::SecretId;

    #[test]
    fn a_value_shows_nothing_of_itself() {
        let value = SecretValue::new(b"canary".to_vec());
        assert_eq!(format!("{value:?}"), "SecretValue(6 bytes)");
    }

    #[test]
    fn versions_read_as_they_are_written() {
        let version = SecretVersion { secret: SecretId::from_bits(9), version: 3 };
        assert_eq!(version.to_string().parse(), Ok(version));
        for text in ["", "se_1a", "se_1a@", "se_1a@x", "in_1a@1"] {
            assert!(text.parse::<SecretVersion>().is_err(), "{text}");
        }
    }
}
