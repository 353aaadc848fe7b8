//! The replicated objects, decoded and indexed in memory: one immutable picture per revision.
//!
//! A picture is cheap to clone (persistent maps), so loops and requests each work on one that cannot change
//! under them. Indexes exist for every question that is asked often; none is asked by scanning.

use std::collections::{BTreeMap, BTreeSet};

use imbl::{OrdMap, OrdSet};
use serde::de::DeserializeOwned;
use univrs_model::alert::{Alert, AlertSettings, Delivery};
use univrs_model::certificate::{Certificate, Challenge, IssuerAccount};
use univrs_model::ids::{DataKeyId, InstanceId, JoinTokenId, NodeId, OperationId, ResourceId, TokenId};
use univrs_model::instance::{Assignment, Instance, Observation, Phase};
use univrs_model::join::JoinGrant;
use univrs_model::keys;
use univrs_model::member::{AuthorityRecord, Member, Membership};
use univrs_model::name::Name;
use univrs_model::node::{Node, NodePolicy};
use univrs_model::operation::Operation;
use univrs_model::org::Org;
use univrs_model::resource::{EgressSpent, Quota, Resource};
use univrs_model::rollout::{Rollout, Workload};
use univrs_model::secret::{DataKey, Secret, ValidatorKey};
use univrs_model::token::Token;
use univrs_model::usage::{Allocation, Measured, VolumesMeasured};
use univrs_model::volume::Volume;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::store::{Key, Revision, StoredValue};

use crate::nodes::ClusterRecord;
use crate::record::Record;

/// A workload's name with its organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    /// The organisation.
    pub org: Name,
    /// The name.
    pub name: Name,
}

impl WorkloadKey {
    fn parse(org: &str, name: &str) -> Option<Self> {
        Some(Self { org: org.parse().ok()?, name: name.parse().ok()? })
    }
}

/// The name of anything else with its organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgName {
    /// The organisation.
    pub org: Name,
    /// The name.
    pub name: Name,
}

impl OrgName {
    fn parse(org: &str, name: &str) -> Option<Self> {
        Some(Self { org: org.parse().ok()?, name: name.parse().ok()? })
    }
}

/// What a change touched, so that loops look only there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Workloads of which anything changed.
    pub workloads: OrdSet<WorkloadKey>,
    /// Instances whose assignment or observation changed.
    pub instances: OrdSet<InstanceId>,
    /// Nodes of which anything changed.
    pub nodes: OrdSet<NodeId>,
    /// Whether any operation changed.
    pub operations: bool,
}

impl Touched {
    /// Adds what `other` touched.
    pub fn absorb(&mut self, other: Self) {
        self.workloads = std::mem::take(&mut self.workloads).union(other.workloads);
        self.instances = std::mem::take(&mut self.instances).union(other.instances);
        self.nodes = std::mem::take(&mut self.nodes).union(other.nodes);
        self.operations |= other.operations;
    }
}

/// All replicated objects at one revision.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The revision of this picture.
    pub revision: Revision,
    /// The cluster's identity.
    pub cluster: Option<Record<ClusterRecord>>,
    /// What all joins share.
    pub membership: Option<Record<Membership>>,
    /// The cluster's authority.
    pub authority: Option<Record<AuthorityRecord>>,
    /// Who belongs to the cluster, and who was removed from it not long ago.
    pub members: OrdMap<NodeId, Record<Member>>,
    /// Join tokens.
    pub join_grants: OrdMap<JoinTokenId, Record<JoinGrant>>,
    /// Nodes as they describe themselves.
    pub nodes: OrdMap<NodeId, Record<Node>>,
    /// What users said about nodes.
    pub node_policies: OrdMap<NodeId, Record<NodePolicy>>,
    /// Nodes whose lease holds.
    pub nodes_alive: OrdSet<NodeId>,
    /// Organisations.
    pub orgs: OrdMap<Name, Record<Org>>,
    /// API tokens, ended ones included for a while.
    pub tokens: OrdMap<TokenId, Record<Token>>,
    /// Workloads as users want them.
    pub workloads: OrdMap<WorkloadKey, Record<Workload>>,
    /// What the control plane knows of their versions.
    pub rollouts: OrdMap<WorkloadKey, Record<Rollout>>,
    /// What is wanted of instances.
    pub assignments: OrdMap<InstanceId, Record<Assignment>>,
    /// What was seen of instances.
    pub observations: OrdMap<InstanceId, Record<Observation>>,
    /// Long changes, under way and ended.
    pub operations: OrdMap<OperationId, Record<Operation>>,
    /// Secrets, sealed.
    pub secrets: OrdMap<OrgName, Record<Secret>>,
    /// The keys they are sealed with, wrapped.
    pub data_keys: OrdMap<DataKeyId, Record<DataKey>>,
    /// Volumes, by their keys.
    pub volumes: OrdMap<String, Record<Volume>>,
    /// One-click resources.
    pub resources: OrdMap<OrgName, Record<Resource>>,
    /// How much the resources of organisations may use.
    pub quotas: OrdMap<Name, Record<Quota>>,
    /// Organisations whose resources have sent what they may.
    pub egress_spent: OrdMap<Name, Record<EgressSpent>>,
    /// The ports of hosts that resources have.
    pub resource_ports: OrdMap<u16, Record<ResourceId>>,
    /// What nodes measured of instances and what is not in the log of usage yet, by key.
    pub measured: OrdMap<String, Record<Measured>>,
    /// How full the volumes of nodes are.
    pub volumes_measured: OrdMap<NodeId, Record<VolumesMeasured>>,
    /// Since when resources have had their sizes.
    pub allocations: OrdMap<(Name, ResourceId), Record<Allocation>>,
    /// Alerts, by organisation and id.
    pub alerts: OrdMap<(Name, String), Record<Alert>>,
    /// Where organisations want to be told of alerts.
    pub alert_settings: OrdMap<Name, Record<AlertSettings>>,
    /// Notices that are to be delivered, by key.
    pub deliveries: OrdMap<String, Record<Delivery>>,
    /// The account with the authority that issues certificates.
    pub issuer_account: Option<Record<IssuerAccount>>,
    /// What authorities are answered, by token.
    pub challenges: OrdMap<String, Record<Challenge>>,
    /// Certificates of the ingress, by host.
    pub certificates: OrdMap<String, Record<Certificate>>,
    validators: OrdMap<NodeId, Record<ValidatorKey>>,
    by_workload: OrdMap<WorkloadKey, OrdSet<InstanceId>>,
    by_node: OrdMap<NodeId, OrdSet<InstanceId>>,
}

impl State {
    /// Takes in a written value; unknown kinds are ignored, unreadable values are logged and skipped.
    pub fn put(&mut self, key: &Key, value: &StoredValue, touched: &mut Touched) {
        self.take_in(Change { key: key.as_str(), value: Some(value) }, touched);
    }

    /// Takes in a removal.
    pub fn delete(&mut self, key: &Key, touched: &mut Touched) {
        self.take_in(Change { key: key.as_str(), value: None }, touched);
    }

    fn take_in(&mut self, change: Change<'_>, touched: &mut Touched) {
        // Nothing of it is wanted where the key does not read as one of its kind.
        let _of_no_kind = match keys::split(change.key) {
            Some((org, kind, last)) => self.take_in_of_org(change, (org, kind, last), touched),
            None => self.take_in_of_cluster(change, touched),
        };
    }

    fn take_in_of_cluster(&mut self, change: Change<'_>, touched: &mut Touched) -> Option<()> {
        let (kind, last) = change.key.split_at(change.key.find('/').map_or(change.key.len(), |at| at + 1));
        match kind {
            keys::CLUSTER => change.set(&mut self.cluster),
            keys::MEMBERSHIP => change.set(&mut self.membership),
            keys::AUTHORITY => change.set(&mut self.authority),
            keys::ISSUER_ACCOUNT => change.set(&mut self.issuer_account),
            keys::NODES => {
                let id: NodeId = last.parse().ok()?;
                touched.nodes.insert(id.clone());
                change.keep(&mut self.nodes, id);
            }
            keys::NODE_POLICIES => {
                let id: NodeId = last.parse().ok()?;
                touched.nodes.insert(id.clone());
                change.keep(&mut self.node_policies, id);
            }
            keys::NODES_ALIVE => {
                let id: NodeId = last.parse().ok()?;
                self.touch_instances_on(&id, touched);
                touched.nodes.insert(id.clone());
                if change.value.is_some() {
                    self.nodes_alive.insert(id);
                } else {
                    self.nodes_alive.remove(&id);
                }
            }
            keys::OBSERVED => {
                let id: InstanceId = last.split_once('/')?.1.parse().ok()?;
                self.touch_workload_of(&id, touched);
                touched.instances.insert(id.clone());
                change.keep(&mut self.observations, id);
            }
            keys::VALIDATOR_KEYS => change.keep(&mut self.validators, last.parse().ok()?),
            keys::ORGANISATIONS => change.keep(&mut self.orgs, last.parse().ok()?),
            keys::TOKENS => change.keep(&mut self.tokens, last.parse().ok()?),
            keys::MEMBERS => change.keep(&mut self.members, last.parse().ok()?),
            keys::JOIN_TOKENS => change.keep(&mut self.join_grants, last.parse().ok()?),
            keys::CHALLENGES => change.keep(&mut self.challenges, last.to_owned()),
            keys::CERTIFICATES => change.keep(&mut self.certificates, last.to_owned()),
            keys::RESOURCE_PORTS => change.keep(&mut self.resource_ports, last.parse().ok()?),
            keys::MEASURED => change.keep(&mut self.measured, change.key.to_owned()),
            keys::MEASURED_VOLUMES => change.keep(&mut self.volumes_measured, last.parse().ok()?),
            _ => {}
        }
        Some(())
    }

    fn take_in_of_org(
        &mut self,
        change: Change<'_>,
        (org, kind, last): (&str, &str, &str),
        touched: &mut Touched,
    ) -> Option<()> {
        match kind {
            "resource" => change.keep(&mut self.resources, OrgName::parse(org, last)?),
            "quota" => change.keep(&mut self.quotas, org.parse().ok()?),
            "egress" => change.keep(&mut self.egress_spent, org.parse().ok()?),
            "allocation" => change.keep(&mut self.allocations, (org.parse().ok()?, last.parse().ok()?)),
            "alert" => change.keep(&mut self.alerts, (org.parse().ok()?, last.to_owned())),
            "alert-settings" => change.keep(&mut self.alert_settings, org.parse().ok()?),
            "delivery" => change.keep(&mut self.deliveries, change.key.to_owned()),
            "workload" => {
                let workload = WorkloadKey::parse(org, last)?;
                touched.workloads.insert(workload.clone());
                change.keep(&mut self.workloads, workload);
            }
            "rollout" => {
                let workload = WorkloadKey::parse(org, last)?;
                touched.workloads.insert(workload.clone());
                change.keep(&mut self.rollouts, workload);
            }
            "instance" => {
                let id: InstanceId = last.parse().ok()?;
                self.touch_workload_of(&id, touched);
                self.unindex(&id);
                change.keep(&mut self.assignments, id.clone());
                self.index(&id);
                self.touch_workload_of(&id, touched);
                touched.instances.insert(id);
            }
            "operation" => {
                let id: OperationId = last.parse().ok()?;
                touched.operations = true;
                change.keep(&mut self.operations, id);
            }
            "secret" => {
                let secret = OrgName::parse(org, last)?;
                self.touch_users_of(&secret, touched);
                change.keep(&mut self.secrets, secret);
            }
            "volume" => {
                self.touch_owner_of(change.key, touched);
                change.keep(&mut self.volumes, change.key.to_owned());
                self.touch_owner_of(change.key, touched);
            }
            "data-key" => change.keep(&mut self.data_keys, last.parse().ok()?),
            _ => {}
        }
        Some(())
    }

    /// The instances of a workload, in the order of their ids.
    pub fn instances_of(&self, workload: &WorkloadKey) -> Vec<Instance> {
        self.ids_of(workload).filter_map(|id| self.instance(id)).collect()
    }

    /// One instance with its observation and whether its node can be heard.
    pub fn instance(&self, id: &InstanceId) -> Option<Instance> {
        let assignment = self.assignments.get(id)?;
        let reachable = assignment.node.as_ref().is_none_or(|node| self.nodes_alive.contains(node));
        let observation = self.observations.get(id).map(|record| Observation::clone(record));
        Some(Instance { assignment: Assignment::clone(assignment), observation, reachable })
    }

    /// The nodes that run something of an image, as the workloads that want it name it: they have it. Looks at every
    /// workload, so it is for rare questions, such as where to fetch an image.
    pub fn nodes_with_image(&self, reference: &str) -> BTreeSet<NodeId> {
        let wants = |spec: &WorkloadSpec| {
            let mut images = spec.containers.iter().map(|container| container.image.as_str());
            spec.image.as_deref() == Some(reference) || images.any(|image| image == reference)
        };
        let wanted = self.workloads.iter().filter(|(_, workload)| wants(&workload.spec));
        let instances = wanted.filter_map(|(key, _)| self.by_workload.get(key)).flatten();
        let running = instances.filter(|id| {
            self.observations.get(*id).is_some_and(|observation| observation.phase == Phase::Running)
        });
        running.filter_map(|id| self.assignments.get(id)?.node.clone()).collect()
    }

    /// The assignments on a node.
    pub fn assignments_on(&self, node: &NodeId) -> impl Iterator<Item = &Record<Assignment>> {
        self.ids_on(node).filter_map(|id| self.assignments.get(id))
    }

    /// What a node measured and what is not in the log of usage yet.
    pub fn measured_by(&self, node: &NodeId) -> impl Iterator<Item = &Record<Measured>> {
        let prefix = keys::measured_by(node);
        let from = self.measured.range(prefix.clone()..);
        from.take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, record)| record)
    }

    /// The instances of a workload.
    pub(crate) fn ids_of(&self, workload: &WorkloadKey) -> impl Iterator<Item = &InstanceId> {
        self.by_workload.get(workload).into_iter().flatten()
    }

    /// The instances of a node.
    pub(crate) fn ids_on(&self, node: &NodeId) -> impl Iterator<Item = &InstanceId> {
        self.by_node.get(node).into_iter().flatten()
    }

    /// The public keys of all validators.
    pub fn validator_keys(&self) -> BTreeMap<NodeId, ValidatorKey> {
        self.validators.iter().map(|(node, key)| (node.clone(), ValidatorKey::clone(key))).collect()
    }

    fn touch_owner_of(&self, volume: &str, touched: &mut Touched) {
        if let Some(volume) = self.volumes.get(volume) {
            let key = WorkloadKey { org: volume.org.clone(), name: volume.workload.clone() };
            touched.workloads.insert(key);
        }
    }

    fn touch_users_of(&self, secret: &OrgName, touched: &mut Touched) {
        for name in self.users_of_secret(secret) {
            touched.workloads.insert(WorkloadKey { org: secret.org.clone(), name });
        }
    }

    fn index(&mut self, id: &InstanceId) {
        let Some(assignment) = self.assignments.get(id) else { return };
        let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
        self.by_workload.entry(key).or_default().insert(id.clone());
        if let Some(node) = assignment.node.clone() {
            self.by_node.entry(node).or_default().insert(id.clone());
        }
    }

    fn unindex(&mut self, id: &InstanceId) {
        let Some(assignment) = self.assignments.get(id) else { return };
        let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
        take_out(&mut self.by_workload, &key, id);
        if let Some(node) = assignment.node.clone() {
            take_out(&mut self.by_node, &node, id);
        }
    }

    fn touch_workload_of(&self, id: &InstanceId, touched: &mut Touched) {
        if let Some(assignment) = self.assignments.get(id) {
            let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
            touched.workloads.insert(key);
        }
    }

    fn touch_instances_on(&self, node: &NodeId, touched: &mut Touched) {
        for id in self.by_node.get(node).into_iter().flatten() {
            self.touch_workload_of(id, touched);
        }
    }
}

fn take_out<K: Ord + Clone>(index: &mut OrdMap<K, OrdSet<InstanceId>>, key: &K, id: &InstanceId) {
    let Some(ids) = index.get_mut(key) else { return };
    ids.remove(id);
    if ids.is_empty() {
        index.remove(key);
    }
}

/// A key and what is there now: another value, or nothing.
#[derive(Clone, Copy)]
struct Change<'a> {
    key: &'a str,
    value: Option<&'a StoredValue>,
}

impl Change<'_> {
    fn set<T: DeserializeOwned>(self, into: &mut Option<Record<T>>) {
        if let Some(now) = self.decoded() {
            *into = now;
        }
    }

    fn keep<K: Ord + Clone, T: DeserializeOwned>(self, into: &mut OrdMap<K, Record<T>>, id: K) {
        match self.decoded() {
            Some(Some(record)) => drop(into.insert(id, record)),
            Some(None) => drop(into.remove(&id)),
            None => {}
        }
    }

    /// The value as an object, or that there is none any more; nothing when it cannot be read, which is logged.
    fn decoded<T: DeserializeOwned>(self) -> Option<Option<Record<T>>> {
        match self.value.map(|value| Record::decode(self.key, value)).transpose() {
            Ok(now) => Some(now),
            Err(error) => {
                tracing::error!(
                    key = self.key,
                    error = &error as &dyn std::error::Error,
                    "skipped a stored object"
                );
                None
            }
        }
    }
}
