//! Making a resource.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use univrs_model::event::{EventKind, Severity};
use univrs_model::keys;
use univrs_model::operation::Operation;
use univrs_model::resource::{FIRST_PORT, LAST_PORT, Resource, ResourceStatus};
use univrs_model::workload::HostPort;
use univrs_ports::store::{Op, Txn, TxnOutcome};

use super::{Kind, Parts, Told};
use crate::error::Error;
use crate::handle::Control;
use crate::operations::{OperationKind, StepError};
use crate::record::{delete, put, unchanged};
use crate::resources::{reference, resource_event};
use crate::state::State;

pub(super) const STEPS: &[Told] = &[
    ("look whether it can be made", "init", 0),
    ("give it ports of hosts", "allocate", 20),
    ("generate and seal its secrets", "configure", 40),
    ("deploy it through its provider", "provision", 60),
    ("wait until it serves", "verify", 80),
    ("hand it over", "complete", 100),
];

/// Makes resources.
pub(super) struct Create(pub(super) Parts);

#[async_trait]
impl OperationKind for Create {
    fn name(&self) -> &'static str {
        Kind::Create.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let resource = self.0.resource(operation)?;
        match step {
            0 => {
                let said = self.0.provider(&resource)?.describe().await;
                if said.available { Ok(()) } else { Err(StepError::temporary(said.message)) }
            }
            1 => {
                let elsewhere = self.0.provider(&resource)?.taken_ports().await?;
                self.0.control.give_ports(&resource, &elsewhere).await
            }
            2 => Ok(self.0.control.generate_secrets(&resource).await.map_err(lasting_conflict)?),
            3 => Ok(self.0.provider(&resource)?.deploy(&self.0.order(operation, &resource)?).await?),
            4 => self.0.serving(&resource).await.map(drop),
            _ => {
                let host = self.0.serves(&resource).await?;
                let hosts = self.0.hosts(&resource).await?;
                let event = format!("resource {} is active on {}", resource.name, resource.provider);
                let change = |resource: &mut Resource| {
                    resource.status = ResourceStatus::Active;
                    resource.message = String::new();
                    resource.host.clone_from(&host);
                    resource.hosts.clone_from(&hosts);
                    Vec::new()
                };
                let event = (EventKind::ResourceActive, Severity::Info, event);
                self.0.control.change_resource(&resource, Some(event), change).await?;
                Ok(())
            }
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let resource = self.0.resource(operation)?;
        let holds = match step {
            0 => true,
            1 => resource.deployment.ports.iter().all(|port| resource.ports.contains_key(&port.name)),
            2 => self.0.control.open_secrets(&resource).is_ok(),
            3 => !self.0.provider(&resource)?.owned(&reference(&resource)).await?.is_empty(),
            // It has just served; whether it goes on is for the loop that watches.
            4 => true,
            _ => resource.status != ResourceStatus::Provisioning,
        };
        if holds { Ok(()) } else { Err(StepError::temporary("what it made is not there")) }
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let Some(resource) = self.0.known(operation) else { return Ok(()) };
        match step {
            0 => {
                let cause = operation.error.clone().unwrap_or_else(|| "it was cancelled".to_owned());
                let change = |resource: &mut Resource| {
                    resource.status = ResourceStatus::Failed;
                    resource.message.clone_from(&cause);
                    Vec::new()
                };
                let told = format!("resource {} could not be made: {cause}", resource.name);
                let event = (EventKind::ResourceFailed, Severity::Warning, told);
                self.0.control.change_resource(&resource, Some(event), change).await?;
            }
            1 => self.0.control.take_ports(&resource).await?,
            2 => self.0.control.remove_secrets(&resource).await?,
            3 => self.0.provider(&resource)?.destroy(&reference(&resource)).await?,
            _ => {}
        }
        Ok(())
    }
}

/// What another try would not change.
fn lasting_conflict(error: Error) -> StepError {
    match error {
        Error::Conflict { .. } => StepError::lasting(error.to_string()),
        other => other.into(),
    }
}

impl Control {
    /// Gives the resource a port of hosts for each that it wants, one that nobody has. Ports that others have
    /// `elsewhere` are skipped, and an event says so.
    pub(in crate::resources) async fn give_ports(
        &self,
        resource: &Resource,
        elsewhere: &BTreeSet<u16>,
    ) -> Result<(), StepError> {
        loop {
            let state = self.mirror.state();
            let mut taken = taken(&state);
            let mut skipped = BTreeSet::new();
            let order = ports_from(state.cluster.as_ref().map_or("", |known| known.id.as_str()));
            let mut given: BTreeMap<String, u16> = resource.ports.clone();
            let (mut guards, mut ops) = (Vec::new(), Vec::new());
            for wanted in &resource.deployment.ports {
                if given.contains_key(&wanted.name) {
                    continue;
                }
                let mut free = order.clone().filter(|port| !taken.contains(port));
                let free = free.find(|port| {
                    let here = !elsewhere.contains(port);
                    if !here {
                        skipped.insert(*port);
                    }
                    here
                });
                let Some(port) = free else {
                    return Err(StepError::lasting(format!(
                        "all ports of hosts from {FIRST_PORT} to {LAST_PORT} are taken; remove resources that are not needed"
                    )));
                };
                taken.insert(port);
                guards.push(unchanged(keys::resource_port(port), None)?);
                ops.push(put(keys::resource_port(port), &resource.id)?);
                given.insert(wanted.name.clone(), port);
            }
            if ops.is_empty() {
                return Ok(());
            }
            // The record and the ports change together, so no port is ever without its owner.
            let at = keys::resource(&resource.org, &resource.name);
            let Some(known) = state
                .resources
                .get(&crate::state::OrgName { org: resource.org.clone(), name: resource.name.clone() })
                .filter(|known| known.id == resource.id)
            else {
                return Err(StepError::lasting(format!("resource {} was removed", resource.name)));
            };
            if !known.ports.is_empty() {
                return Ok(());
            }
            guards.push(unchanged(at.clone(), Some(known.revision))?);
            let mut changed = Resource::clone(&known.value);
            changed.ports = given;
            ops.push(put(at, &changed)?);
            if !skipped.is_empty() {
                let now = self.clock.now();
                let list = skipped.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                let message =
                    format!("resource {}: ports that others have were skipped: {list}", resource.name);
                let event = resource_event(now, EventKind::PortSkipped, Severity::Info, message);
                ops.push(put(keys::event(&resource.org, now, self.next_serial()), &event)?);
            }
            let txn = Txn { request: None, guards, ops };
            match self.store.txn(txn).await.map_err(Error::from)? {
                TxnOutcome::Committed { revision } => {
                    self.mirror.at_least(revision).await;
                    return Ok(());
                }
                TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                    self.mirror.at_least(actual_mod_revision.unwrap_or_default()).await;
                }
            }
        }
    }

    /// Takes all ports of hosts back from the resource.
    pub(in crate::resources) async fn take_ports(&self, resource: &Resource) -> Result<(), StepError> {
        let state = self.mirror.state();
        let own = state.resource_ports.iter().filter(|(_, owner)| *owner.value == resource.id);
        let removals: Vec<Op> =
            own.map(|(port, _)| delete(keys::resource_port(*port))).collect::<Result<_, Error>>()?;
        let change = |resource: &mut Resource| {
            resource.ports.clear();
            removals.clone()
        };
        self.change_resource(resource, None, change).await?;
        Ok(())
    }
}

/// All ports that resources may have, from one that is the cluster's own: two clusters on one machine do not begin at
/// the same.
fn ports_from(cluster: &str) -> impl Iterator<Item = u16> + Clone + use<> {
    let all = LAST_PORT - FIRST_PORT + 1;
    let begin = cluster.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let begin = FIRST_PORT + u16::try_from(begin % u32::from(all)).unwrap_or(0);
    (begin..=LAST_PORT).chain(FIRST_PORT..begin)
}

/// Ports that resources have, and those that workloads ask for by themselves.
fn taken(state: &State) -> BTreeSet<u16> {
    let of_resources = state.resource_ports.keys().copied();
    let of_workloads = state.workloads.values().flat_map(|record| record.spec.requests().host_ports);
    of_resources.chain(of_workloads.map(|HostPort { port, .. }| port)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use univrs_model::resource::{FIRST_PORT, LAST_PORT};

    use super::ports_from;

    #[test]
    fn clusters_begin_at_ports_of_their_own_and_have_all() {
        let mut begins = BTreeSet::new();
        for cluster in ["", "cl_3f9k2m", "cl_3f9k2n", "cl_zzzzzzzzzzzzzzzzzzzzzzzzzz"] {
            let all: BTreeSet<u16> = ports_from(cluster).collect();
            assert_eq!(all, (FIRST_PORT..=LAST_PORT).collect(), "{cluster}");
            begins.extend(ports_from(cluster).next());
        }
        assert_eq!(begins.len(), 4);
        assert_eq!(ports_from("").next(), Some(FIRST_PORT));
    }
}
