//! Hands the values of secrets to nodes: only of instances that are theirs and are to run.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, Desired};
use univrs_model::name::Name;
use univrs_model::secret::{Binding, SecretVersion};
use univrs_model::workload::WorkloadSpec;
use univrs_ports::seal::Sealer;
use univrs_ports::secrets::{DeliveredSecret, SecretError, SecretSource};

use crate::mirror::Mirror;
use crate::state::{OrgName, State, WorkloadKey};

/// Secrets for the node on this machine: opened when asked for, kept nowhere.
pub struct LocalSecrets {
    mirror: Mirror,
    sealer: Arc<dyn Sealer>,
}

impl LocalSecrets {
    /// Secrets out of the picture of this process.
    pub fn new(mirror: Mirror, sealer: Arc<dyn Sealer>) -> Self {
        Self { mirror, sealer }
    }
}

#[async_trait]
impl SecretSource for LocalSecrets {
    async fn secrets(
        &self,
        node: &NodeId,
        instance: &InstanceId,
    ) -> Result<BTreeMap<Name, DeliveredSecret>, SecretError> {
        let state = self.mirror.state();
        let not_assigned = || SecretError::NotAssigned { instance: instance.clone() };
        let assignment = state.assignments.get(instance).ok_or_else(not_assigned)?;
        let is_wanted = assignment.desired == Desired::Run && !assignment.lost;
        if assignment.node.as_ref() != Some(node) || !is_wanted {
            return Err(not_assigned());
        }
        let spec = state.spec_of(assignment).ok_or_else(not_assigned)?;
        let wanted = state.secrets_of(assignment, &spec);
        let mut delivered = BTreeMap::new();
        for name in spec.secrets.iter().map(|uses| &uses.name) {
            let version = wanted.get(name).ok_or_else(|| SecretError::Missing { name: name.clone() })?;
            let at = OrgName { org: assignment.org.clone(), name: name.clone() };
            let secret = state.secrets.get(&at).ok_or_else(|| SecretError::Missing { name: name.clone() })?;
            let unavailable = |reason: String| SecretError::Unavailable { reason };
            let sealed =
                secret.version(version).ok_or_else(|| unavailable(format!("{name} has no value")))?;
            let key = state
                .data_keys
                .get(&sealed.key)
                .ok_or_else(|| unavailable(format!("the data key of {name} is not there")))?;
            let binding = Binding { org: &at.org, name, version };
            let value = self
                .sealer
                .open(key, &binding, &sealed.sealed)
                .map_err(|error| unavailable(error.to_string()))?;
            delivered.insert(name.clone(), DeliveredSecret { version: version.clone(), value });
        }
        Ok(delivered)
    }
}

impl State {
    /// The spec that an assignment's instance runs.
    pub(crate) fn spec_of(&self, assignment: &Assignment) -> Option<Arc<WorkloadSpec>> {
        let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
        Some(Arc::clone(&self.rollouts.get(&key)?.revision(assignment.workload_revision)?.spec))
    }

    /// Which value of each secret an instance is to have: the one its revision names, as long as that is kept, or
    /// the newest.
    pub(crate) fn secrets_of(
        &self,
        assignment: &Assignment,
        spec: &WorkloadSpec,
    ) -> BTreeMap<Name, SecretVersion> {
        let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
        let revision =
            self.rollouts.get(&key).and_then(|rollout| rollout.revision(assignment.workload_revision));
        spec.secrets
            .iter()
            .filter_map(|uses| {
                let at = OrgName { org: assignment.org.clone(), name: uses.name.clone() };
                let secret = self.secrets.get(&at)?;
                let pinned = revision.and_then(|revision| revision.secrets.get(&uses.name));
                let version = pinned.filter(|pinned| secret.keeps(pinned)).cloned();
                Some((uses.name.clone(), version.unwrap_or_else(|| secret.newest())))
            })
            .collect()
    }
}
