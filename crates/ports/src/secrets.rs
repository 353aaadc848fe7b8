//! Where a node gets the values of secrets: only those of instances it was given, and only while it needs them.
//!
//! On the machine that holds the state this is a call in the same process. A node elsewhere gets each value wrapped
//! to its own key by an implementation of the same trait.

use std::collections::BTreeMap;

use async_trait::async_trait;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::name::Name;
use univrs_model::secret::{SecretValue, SecretVersion};

/// Why a node does not get secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A secret that the instance uses has not been set.
    #[error("secret `{name}` does not exist; set it with `univrs secret set {name}`")]
    Missing {
        /// Its name.
        name: Name,
    },
    /// The instance is not this node's to run.
    #[error("instance {instance} is not assigned to this node")]
    NotAssigned {
        /// Which instance.
        instance: InstanceId,
    },
    /// They cannot be had now; trying again may help.
    #[error("secrets cannot be had now: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
}

/// One value for one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredSecret {
    /// Which value it is.
    pub version: SecretVersion,
    /// The value.
    pub value: SecretValue,
}

/// Hands out secrets to nodes.
#[async_trait]
pub trait SecretSource: Send + Sync + 'static {
    /// All secrets that an instance uses, by name.
    ///
    /// # Errors
    /// See [`SecretError`]; all are delivered or none.
    async fn secrets(
        &self,
        node: &NodeId,
        instance: &InstanceId,
    ) -> Result<BTreeMap<Name, DeliveredSecret>, SecretError>;
}
