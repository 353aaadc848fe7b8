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
use univrs_model::instance::{Assignment, Instance, InstanceOrder, Observation, Phase};
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
        let text = key.as_str();
        if let Some(id) = text.strip_prefix(keys::NODES).and_then(|id| id.parse::<NodeId>().ok()) {
            touched.nodes.insert(id.clone());
            insert(&mut self.nodes, id, text, value);
        } else if let Some(id) =
            text.strip_prefix(keys::NODE_POLICIES).and_then(|id| id.parse::<NodeId>().ok())
        {
            touched.nodes.insert(id.clone());
            insert(&mut self.node_policies, id, text, value);
        } else if let Some(id) = text.strip_prefix(keys::NODES_ALIVE).and_then(|id| id.parse::<NodeId>().ok())
        {
            self.touch_instances_on(&id, touched);
            touched.nodes.insert(id.clone());
            self.nodes_alive.insert(id);
        } else if let Some(id) =
            text.strip_prefix(keys::VALIDATOR_KEYS).and_then(|id| id.parse::<NodeId>().ok())
        {
            insert(&mut self.validators, id, text, value);
        } else if let Some((_, id)) = text.strip_prefix(keys::OBSERVED).and_then(|rest| rest.split_once('/'))
        {
            let Ok(id) = id.parse::<InstanceId>() else { return };
            self.touch_workload_of(&id, touched);
            touched.instances.insert(id.clone());
            insert(&mut self.observations, id, text, value);
        } else if let Some(name) = text.strip_prefix(keys::ORGANISATIONS).and_then(|name| name.parse().ok()) {
            insert(&mut self.orgs, name, text, value);
        } else if let Some(id) = text.strip_prefix(keys::TOKENS).and_then(|id| id.parse().ok()) {
            insert(&mut self.tokens, id, text, value);
        } else if let Some(id) = text.strip_prefix(keys::MEMBERS).and_then(|id| id.parse().ok()) {
            insert(&mut self.members, id, text, value);
        } else if let Some(id) = text.strip_prefix(keys::JOIN_TOKENS).and_then(|id| id.parse().ok()) {
            insert(&mut self.join_grants, id, text, value);
        } else if text == keys::CLUSTER {
            set(&mut self.cluster, text, value);
        } else if text == keys::MEMBERSHIP {
            set(&mut self.membership, text, value);
        } else if text == keys::AUTHORITY {
            set(&mut self.authority, text, value);
        } else if text == keys::ISSUER_ACCOUNT {
            set(&mut self.issuer_account, text, value);
        } else if let Some(token) = text.strip_prefix(keys::CHALLENGES) {
            insert(&mut self.challenges, token.to_owned(), text, value);
        } else if let Some(host) = text.strip_prefix(keys::CERTIFICATES) {
            insert(&mut self.certificates, host.to_owned(), text, value);
        } else if let Some(port) = text.strip_prefix(keys::RESOURCE_PORTS).and_then(|port| port.parse().ok())
        {
            insert(&mut self.resource_ports, port, text, value);
        } else if text.starts_with(keys::MEASURED) {
            insert(&mut self.measured, text.to_owned(), text, value);
        } else if let Some(id) = text.strip_prefix(keys::MEASURED_VOLUMES).and_then(|id| id.parse().ok()) {
            insert(&mut self.volumes_measured, id, text, value);
        } else if let Some((org, kind, last)) = keys::split(text) {
            match kind {
                "resource" => {
                    let Some(resource) = OrgName::parse(org, last) else { return };
                    insert(&mut self.resources, resource, text, value);
                }
                "quota" => {
                    let Ok(org) = org.parse() else { return };
                    insert(&mut self.quotas, org, text, value);
                }
                "egress" => {
                    let Ok(org) = org.parse() else { return };
                    insert(&mut self.egress_spent, org, text, value);
                }
                "allocation" => {
                    let (Ok(org), Ok(id)) = (org.parse(), last.parse()) else { return };
                    insert(&mut self.allocations, (org, id), text, value);
                }
                "alert" => {
                    let Ok(org) = org.parse() else { return };
                    insert(&mut self.alerts, (org, last.to_owned()), text, value);
                }
                "alert-settings" => {
                    let Ok(org) = org.parse() else { return };
                    insert(&mut self.alert_settings, org, text, value);
                }
                "delivery" => insert(&mut self.deliveries, text.to_owned(), text, value),
                "workload" => {
                    let Some(workload) = WorkloadKey::parse(org, last) else { return };
                    touched.workloads.insert(workload.clone());
                    insert(&mut self.workloads, workload, text, value);
                }
                "rollout" => {
                    let Some(workload) = WorkloadKey::parse(org, last) else { return };
                    touched.workloads.insert(workload.clone());
                    insert(&mut self.rollouts, workload, text, value);
                }
                "instance" => {
                    let Ok(id) = last.parse::<InstanceId>() else { return };
                    self.unindex(&id);
                    insert(&mut self.assignments, id.clone(), text, value);
                    self.index(&id);
                    self.touch_workload_of(&id, touched);
                    touched.instances.insert(id);
                }
                "operation" => {
                    let Ok(id) = last.parse::<OperationId>() else { return };
                    touched.operations = true;
                    insert(&mut self.operations, id, text, value);
                }
                "secret" => {
                    let Some(secret) = OrgName::parse(org, last) else { return };
                    self.touch_users_of(&secret, touched);
                    insert(&mut self.secrets, secret, text, value);
                }
                "volume" => {
                    insert(&mut self.volumes, text.to_owned(), text, value);
                    self.touch_owner_of(text, touched);
                }
                "data-key" => {
                    let Ok(id) = last.parse::<DataKeyId>() else { return };
                    insert(&mut self.data_keys, id, text, value);
                }
                _ => {}
            }
        }
    }

    /// Takes in a removal.
    pub fn delete(&mut self, key: &Key, touched: &mut Touched) {
        let text = key.as_str();
        if let Some(id) = text.strip_prefix(keys::NODES).and_then(|id| id.parse::<NodeId>().ok()) {
            self.nodes.remove(&id);
            touched.nodes.insert(id);
        } else if let Some(id) =
            text.strip_prefix(keys::NODE_POLICIES).and_then(|id| id.parse::<NodeId>().ok())
        {
            self.node_policies.remove(&id);
            touched.nodes.insert(id);
        } else if let Some(id) = text.strip_prefix(keys::NODES_ALIVE).and_then(|id| id.parse::<NodeId>().ok())
        {
            self.touch_instances_on(&id, touched);
            self.nodes_alive.remove(&id);
            touched.nodes.insert(id);
        } else if let Some(id) =
            text.strip_prefix(keys::VALIDATOR_KEYS).and_then(|id| id.parse::<NodeId>().ok())
        {
            self.validators.remove(&id);
        } else if let Some((_, id)) = text.strip_prefix(keys::OBSERVED).and_then(|rest| rest.split_once('/'))
        {
            let Ok(id) = id.parse::<InstanceId>() else { return };
            self.touch_workload_of(&id, touched);
            self.observations.remove(&id);
        } else if let Some(name) =
            text.strip_prefix(keys::ORGANISATIONS).and_then(|name| name.parse::<Name>().ok())
        {
            self.orgs.remove(&name);
        } else if let Some(id) = text.strip_prefix(keys::TOKENS).and_then(|id| id.parse::<TokenId>().ok()) {
            self.tokens.remove(&id);
        } else if let Some(id) = text.strip_prefix(keys::MEMBERS).and_then(|id| id.parse::<NodeId>().ok()) {
            self.members.remove(&id);
        } else if let Some(id) =
            text.strip_prefix(keys::JOIN_TOKENS).and_then(|id| id.parse::<JoinTokenId>().ok())
        {
            self.join_grants.remove(&id);
        } else if text == keys::ISSUER_ACCOUNT {
            self.issuer_account = None;
        } else if let Some(token) = text.strip_prefix(keys::CHALLENGES) {
            self.challenges.remove(token);
        } else if let Some(host) = text.strip_prefix(keys::CERTIFICATES) {
            self.certificates.remove(host);
        } else if let Some(port) =
            text.strip_prefix(keys::RESOURCE_PORTS).and_then(|port| port.parse::<u16>().ok())
        {
            self.resource_ports.remove(&port);
        } else if text.starts_with(keys::MEASURED) {
            self.measured.remove(text);
        } else if let Some(id) =
            text.strip_prefix(keys::MEASURED_VOLUMES).and_then(|id| id.parse::<NodeId>().ok())
        {
            self.volumes_measured.remove(&id);
        } else if let Some((org, kind, last)) = keys::split(text) {
            match kind {
                "resource" => {
                    let Some(resource) = OrgName::parse(org, last) else { return };
                    self.resources.remove(&resource);
                }
                "quota" => {
                    let Ok(org) = org.parse::<Name>() else { return };
                    self.quotas.remove(&org);
                }
                "egress" => {
                    let Ok(org) = org.parse::<Name>() else { return };
                    self.egress_spent.remove(&org);
                }
                "allocation" => {
                    let (Ok(org), Ok(id)) = (org.parse::<Name>(), last.parse::<ResourceId>()) else { return };
                    self.allocations.remove(&(org, id));
                }
                "alert" => {
                    let Ok(org) = org.parse::<Name>() else { return };
                    self.alerts.remove(&(org, last.to_owned()));
                }
                "alert-settings" => {
                    let Ok(org) = org.parse::<Name>() else { return };
                    self.alert_settings.remove(&org);
                }
                "delivery" => {
                    self.deliveries.remove(text);
                }
                "workload" => {
                    let Some(workload) = WorkloadKey::parse(org, last) else { return };
                    self.workloads.remove(&workload);
                    touched.workloads.insert(workload);
                }
                "rollout" => {
                    let Some(workload) = WorkloadKey::parse(org, last) else { return };
                    self.rollouts.remove(&workload);
                    touched.workloads.insert(workload);
                }
                "instance" => {
                    let Ok(id) = last.parse::<InstanceId>() else { return };
                    self.touch_workload_of(&id, touched);
                    self.unindex(&id);
                    self.assignments.remove(&id);
                    touched.instances.insert(id);
                }
                "operation" => {
                    let Ok(id) = last.parse::<OperationId>() else { return };
                    touched.operations = true;
                    self.operations.remove(&id);
                }
                "secret" => {
                    let Some(secret) = OrgName::parse(org, last) else { return };
                    self.touch_users_of(&secret, touched);
                    self.secrets.remove(&secret);
                }
                "volume" => {
                    self.touch_owner_of(text, touched);
                    self.volumes.remove(text);
                }
                "data-key" => {
                    let Ok(id) = last.parse::<DataKeyId>() else { return };
                    self.data_keys.remove(&id);
                }
                _ => {}
            }
        }
    }

    /// The instances of a workload, in the order of their ids.
    pub fn instances_of(&self, workload: &WorkloadKey) -> Vec<Instance> {
        let ids = self.by_workload.get(workload);
        ids.into_iter().flatten().filter_map(|id| self.instance(id)).collect()
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
        self.by_node.get(node).into_iter().flatten().filter_map(|id| self.assignments.get(id))
    }

    /// What a node measured and what is not in the log of usage yet.
    pub fn measured_by(&self, node: &NodeId) -> impl Iterator<Item = &Record<Measured>> {
        let prefix = keys::measured_by(node);
        let from = self.measured.range(prefix.clone()..);
        from.take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, record)| record)
    }

    /// What a node has to do: its assignments with the specs of their revisions.
    pub fn orders_of(&self, node: &NodeId) -> Vec<InstanceOrder> {
        self.assignments_on(node)
            .filter(|assignment| !assignment.lost)
            .filter_map(|assignment| {
                let spec = self.spec_of(assignment)?;
                let secrets = self.secrets_of(assignment, &spec);
                Some(InstanceOrder { assignment: Assignment::clone(assignment), spec, secrets })
            })
            .collect()
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

fn set<T: DeserializeOwned>(into: &mut Option<Record<T>>, key: &str, value: &StoredValue) {
    match Record::decode(key, value) {
        Ok(record) => *into = Some(record),
        Err(error) => {
            tracing::error!(key, error = &error as &dyn std::error::Error, "skipped a stored object");
        }
    }
}

fn insert<K: Ord + Clone, T: DeserializeOwned>(
    into: &mut OrdMap<K, Record<T>>,
    id: K,
    key: &str,
    value: &StoredValue,
) {
    match Record::decode(key, value) {
        Ok(record) => {
            into.insert(id, record);
        }
        Err(error) => {
            tracing::error!(key, error = &error as &dyn std::error::Error, "skipped a stored object");
        }
    }
}
