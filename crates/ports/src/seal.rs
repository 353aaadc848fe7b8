//! Sealing: turns plain secrets into what may be stored, with keys that the store never holds.
//!
//! Each organisation has data keys. A data key is random and lies in the store wrapped to every validator, so that
//! any of them can unwrap it with the private key of its own data directory, and nobody with the store alone.

use std::collections::BTreeMap;

use univrs_model::Timestamp;
use univrs_model::ids::NodeId;
use univrs_model::name::Name;
use univrs_model::secret::{Binding, DataKey, SecretValue, ValidatorKey};

/// Why something cannot be sealed or opened. Never says anything of the value.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The data key was not wrapped to this validator.
    #[error("data key {key} is not shared with this validator")]
    NotShared {
        /// The data key's id.
        key: String,
    },
    /// What is stored was changed, moved, or sealed for another key.
    #[error("{what} does not open: it was altered, or belongs to another secret or key")]
    Altered {
        /// What was to be opened.
        what: String,
    },
    /// A validator's public key is not one.
    #[error("the public key of validator {node} cannot be used")]
    BadKey {
        /// Whose.
        node: NodeId,
    },
    /// The system gives no random numbers, or a value is beyond what the cipher takes.
    #[error("failed to {step}")]
    Failed {
        /// What was being done.
        step: &'static str,
    },
}

/// Seals and opens with the private key of this validator.
pub trait Sealer: Send + Sync + 'static {
    /// The public half of this validator's key, for others to wrap data keys to.
    fn public_key(&self) -> ValidatorKey;

    /// Makes a random data key for an organisation, wrapped to each of `validators`.
    ///
    /// # Errors
    /// [`SealError::BadKey`], [`SealError::Failed`].
    fn new_data_key(
        &self,
        org: &Name,
        validators: &BTreeMap<NodeId, ValidatorKey>,
        now: Timestamp,
    ) -> Result<DataKey, SealError>;

    /// The same data key, wrapped to exactly `validators`.
    ///
    /// # Errors
    /// As [`Sealer::seal`], and [`SealError::BadKey`].
    fn share(&self, key: &DataKey, validators: &BTreeMap<NodeId, ValidatorKey>)
    -> Result<DataKey, SealError>;

    /// Seals a value so that it opens only with `key` and in the name of `binding`.
    ///
    /// # Errors
    /// [`SealError::NotShared`], [`SealError::Altered`], [`SealError::Failed`].
    fn seal(&self, key: &DataKey, binding: &Binding<'_>, value: &SecretValue) -> Result<String, SealError>;

    /// Opens what [`Sealer::seal`] made.
    ///
    /// # Errors
    /// [`SealError::NotShared`], [`SealError::Altered`].
    fn open(&self, key: &DataKey, binding: &Binding<'_>, sealed: &str) -> Result<SecretValue, SealError>;
}
