//! Objects as people see them: pure functions from a picture of the state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use univrs_model::instance::{Assignment, Instance, InstanceView, Phase};
use univrs_model::name::Name;
use univrs_model::node::{Capacity, Node, NodePolicy, NodeState, NodeView};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::resource::RESOURCE_LABEL;
use univrs_model::rollout::{RevisionView, Rollout, Workload, WorkloadStatus, WorkloadView};
use univrs_model::secret::SecretVersion;
use univrs_model::workload::{IngressRule, IngressTls, WorkloadKind};
use univrs_ports::network::{Route, ServiceTable};

pub use crate::operations::view as operation;
use crate::record::Record;
pub use crate::resources::view_of as resource;
use crate::state::{State, WorkloadKey};

/// A workload as people see it.
pub fn workload(state: &State, key: &WorkloadKey, record: &Record<Workload>) -> WorkloadView {
    let rollout = state.rollouts.get(key);
    let instances = state.instances_of(key);
    let live: Vec<&Instance> = instances.iter().filter(|instance| !instance.phase().is_terminal()).collect();
    let version = rollout.map_or(0, |rollout| rollout.target);
    let count = |test: &dyn Fn(&Instance) -> bool| {
        u32::try_from(live.iter().filter(|instance| test(instance)).count()).unwrap_or(u32::MAX)
    };
    WorkloadView {
        id: record.id.clone(),
        name: key.name.clone(),
        org: key.org.clone(),
        revision: record.revision.0,
        created_at: record.created_at,
        updated_at: record.updated_at,
        spec: univrs_model::workload::WorkloadSpec::clone(&record.spec),
        generation: record.generation,
        observed_generation: rollout.map_or(0, |rollout| rollout.generation),
        status: rollout.map_or(WorkloadStatus::Pending, |rollout| rollout.status),
        message: message(record, rollout),
        version,
        reverted_from: rollout.and_then(|rollout| rollout.reverted_from),
        replicas: match record.spec.kind {
            WorkloadKind::Daemon => u32::try_from(state.nodes_alive.len()).unwrap_or(u32::MAX),
            WorkloadKind::Service | WorkloadKind::Job | WorkloadKind::Cron => record.spec.replicas,
        },
        instances: count(&|_| true),
        ready: count(&Instance::serves),
        updated: count(&|instance| instance.assignment.workload_revision == version),
    }
}

fn message(workload: &Workload, rollout: Option<&Record<Rollout>>) -> String {
    if workload.deleting {
        return "it is being removed".to_owned();
    }
    rollout.map_or_else(|| "it has just been created".to_owned(), |rollout| rollout.message.clone())
}

/// The kept versions of a workload, newest first.
pub fn history(rollout: &Rollout) -> Vec<RevisionView> {
    rollout
        .revisions
        .iter()
        .rev()
        .map(|revision| RevisionView {
            number: revision.number,
            created_at: revision.created_at,
            proven: revision.proven,
            current: revision.number == rollout.target,
            images: revision.spec.containers().into_iter().map(|container| container.image).collect(),
            spec: univrs_model::workload::WorkloadSpec::clone(&revision.spec),
        })
        .collect()
}

/// An instance as people see it.
pub fn instance(state: &State, instance: &Instance) -> InstanceView {
    let assignment = &instance.assignment;
    let seen = instance.observation.as_ref();
    let node = assignment.node.as_ref().and_then(|node| state.nodes.get(node));
    let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
    let spec = state
        .rollouts
        .get(&key)
        .and_then(|rollout| rollout.revision(assignment.workload_revision))
        .map(|revision| std::sync::Arc::clone(&revision.spec));
    let message = seen.map(|seen| seen.message.as_str()).filter(|message| !message.is_empty());
    InstanceView {
        id: assignment.id.clone(),
        workload: assignment.workload.clone(),
        workload_revision: assignment.workload_revision,
        node: assignment.node.clone(),
        node_name: node.map(|node| node.name.clone()),
        cloud: node.map(|node| node.location.cloud.clone()),
        region: node.map(|node| node.location.region.clone()),
        address: seen.and_then(|seen| seen.address.clone()),
        phase: instance.phase(),
        health: instance.health(),
        image: spec
            .and_then(|spec| spec.containers().into_iter().next())
            .map(|container| container.image)
            .unwrap_or_default(),
        started_at: seen.and_then(|seen| seen.started_at),
        exit_code: seen.and_then(|seen| seen.exit_code),
        restarts: seen.map_or(0, |seen| seen.restarts),
        reachable: instance.reachable,
        message: message.unwrap_or(&assignment.reason).to_owned(),
        created_at: assignment.created_at,
    }
}

/// What the instances on a node have asked for, and how many there are.
fn requested<'a>(
    assignments: impl Iterator<Item = &'a Record<Assignment>>,
    state: &State,
) -> (Capacity, u32) {
    let mut sum = Capacity::default();
    let mut count = 0;
    for assignment in assignments {
        let Some(instance) = state.instance(&assignment.id) else { continue };
        if !instance.phase().holds_resources() {
            continue;
        }
        count += 1;
        let requests = &assignment.requests;
        sum = Capacity {
            cpu: Cpu::millicores(sum.cpu.as_millicores() + requests.cpu.as_millicores()),
            memory: Bytes::new(sum.memory.get() + requests.memory.get()),
            disk: Bytes::new(sum.disk.get() + requests.disk.get()),
        };
    }
    (sum, count)
}

/// A node as people see it.
pub fn node(state: &State, record: &Record<Node>) -> NodeView {
    let policy = state.node_policies.get(&record.id);
    let said = policy.map(|policy| NodePolicy::clone(policy)).unwrap_or_default();
    let (requested, instances) = requested(state.assignments_on(&record.id), state);
    let mut node = Node::clone(record);
    node.labels.extend(said.labels.clone());
    if let Some(member) = state.members.get(&record.id) {
        node.block = member.block.clone().or(node.block);
    }
    let reachable = state.nodes_alive.contains(&record.id);
    NodeView {
        reachable,
        state_part: None,
        revision: policy.map_or(record.revision.0, |policy| policy.revision.0.max(record.revision.0)),
        updated_at: said.updated_at.unwrap_or(record.created_at),
        state: if reachable { NodeState::Ready } else { NodeState::Lost },
        cordoned: said.cordoned,
        draining: said.draining,
        requested,
        instances,
        node,
    }
}

/// Whose each host of the ingress is: the organisation whose workload asked for it first.
pub(crate) fn hosts(state: &State) -> BTreeMap<String, Name> {
    let mut claims: Vec<_> = state
        .workloads
        .iter()
        .flat_map(|(key, record)| {
            let claim = |rule: &IngressRule| (record.created_at, key.org.clone(), rule.host.to_lowercase());
            record.spec.ingress.iter().map(claim).collect::<Vec<_>>()
        })
        .collect();
    claims.sort();
    let mut hosts = BTreeMap::new();
    for (_, org, host) in claims {
        hosts.entry(host).or_insert(org);
    }
    hosts
}

/// Addresses of instances that may send nothing out of the cluster: those of resources whose organisation has sent what it
/// may this month.
pub fn spent(state: &State) -> BTreeSet<Ipv4Addr> {
    let mut addresses = BTreeSet::new();
    if state.egress_spent.is_empty() {
        return addresses;
    }
    for (key, record) in &state.workloads {
        if !state.egress_spent.contains_key(&key.org) || !record.spec.labels.contains_key(RESOURCE_LABEL) {
            continue;
        }
        let address =
            |instance: &Instance| instance.observation.as_ref()?.address.as_ref()?.parse::<Ipv4Addr>().ok();
        addresses.extend(state.instances_of(key).iter().filter_map(address));
    }
    addresses
}

/// What name servers and ingresses know: the instances that serve, by workload and by route, and who asks from where.
pub fn service_table(state: &State) -> ServiceTable {
    let mut table = ServiceTable::default();
    let hosts = hosts(state);
    for (key, record) in &state.workloads {
        let instances = state.instances_of(key);
        let address =
            |instance: &Instance| instance.observation.as_ref()?.address.as_ref()?.parse::<Ipv4Addr>().ok();
        for instance in instances.iter().filter(|instance| !instance.phase().is_terminal()) {
            table.homes.extend(address(instance).map(|address| (address, key.org.to_string())));
        }
        let serving: Vec<(&Instance, Ipv4Addr)> = instances
            .iter()
            .filter(|instance| instance.serves() && instance.phase() == Phase::Running)
            .filter_map(|instance| Some((instance, address(instance)?)))
            .collect();
        let names = table.names.entry(key.org.to_string()).or_default();
        names.insert(key.name.to_string(), serving.iter().map(|(_, address)| *address).collect());
        for rule in &record.spec.ingress {
            let host = rule.host.to_lowercase();
            // Two organisations may have asked for a host at once; then the first has it.
            if hosts.get(&host) != Some(&key.org) {
                continue;
            }
            let backends = serving
                .iter()
                .filter_map(|(instance, address)| {
                    // The port's number is that of the version the instance runs, not of the newest.
                    let spec =
                        &state.rollouts.get(key)?.revision(instance.assignment.workload_revision)?.spec;
                    let containers = spec.containers();
                    let port =
                        containers.iter().flat_map(|c| &c.ports).find(|port| port.name == rule.port)?;
                    Some(std::net::SocketAddrV4::new(*address, port.container_port))
                })
                .collect();
            table.routes.push(Route { host, path: rule.path.clone(), workload: label(key), backends });
        }
    }
    let answers = state.challenges.iter();
    table.challenges = answers.map(|(token, one)| (token.clone(), one.authorization.clone())).collect();
    table
}

/// Hosts that are to have certificates of their own, and whose they are.
pub(crate) fn certified_hosts(state: &State) -> BTreeMap<String, Name> {
    let owners = hosts(state);
    let mut wanted = BTreeMap::new();
    for (key, record) in &state.workloads {
        for rule in record.spec.ingress.iter().filter(|rule| rule.tls == IngressTls::Auto) {
            let host = rule.host.to_lowercase();
            if owners.get(&host) == Some(&key.org) {
                wanted.insert(host, key.org.clone());
            }
        }
    }
    wanted
}

/// Which certificate each host is served with, to see when that changes.
pub fn served_certificates(state: &State) -> BTreeMap<String, SecretVersion> {
    let wanted = certified_hosts(state);
    let served = wanted.into_iter().filter_map(|(host, org)| {
        let issued = state.certificates.get(&host).filter(|known| known.org == org)?.issued.as_ref()?;
        Some((host, issued.version.clone()))
    });
    served.collect()
}

/// A workload's name where those of several organisations meet: as in its address, without the default organisation.
pub(crate) fn label(key: &WorkloadKey) -> String {
    if key.org == Name::default_org() { key.name.to_string() } else { format!("{}.{}", key.name, key.org) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use serde_json::{Value, json};
    use univrs_model::keys;
    use univrs_model::name::Name;
    use univrs_ports::store::{Key, Revision, StoredValue};

    use super::service_table;
    use crate::state::{State, Touched};

    fn put(state: &mut State, key: String, value: &Value) {
        let stored: StoredValue = StoredValue {
            value: value.to_string().into_bytes().into(),
            create_revision: Revision(1),
            mod_revision: Revision(1),
            version: 1,
            lease: None,
        };
        state.put(&Key::new(key).unwrap(), &stored, &mut Touched::default());
    }

    /// A workload with a route for `host`, made at `second`, and its one running instance at `address`.
    fn add(state: &mut State, org: &str, name: &str, host: &str, second: i64, address: &str) {
        let (org, name): (Name, Name) = (org.parse().unwrap(), name.parse().unwrap());
        let at = jiff::Timestamp::from_second(second).unwrap();
        let spec = json!({"name": name, "ingress": [{"host": host, "port": "http"}], "containers":
            [{"name": "a", "image": "a", "ports": [{"name": "http", "container_port": 80}]}]});
        let workload = json!({"id": format!("wl_{org}{name}").replace('-', ""), "org": org, "spec": spec,
            "generation": 1, "created_at": at, "updated_at": at});
        put(state, keys::workload(&org, &name), &workload);
        let revision = json!({"number": 1, "spec": spec, "created_at": at, "proven": true});
        let rollout = json!({"generation": 1, "target": 1, "revisions": [revision], "last_revision": 1,
            "status": "running", "started_at": at, "progressed_at": at});
        put(state, keys::rollout(&org, &name), &rollout);
        let id = format!("in_{org}{name}").replace('-', "").parse().unwrap();
        let node = "nd_one".parse().unwrap();
        let assignment = json!({"id": id, "org": org, "workload_id": "wl_a", "workload": name,
            "workload_revision": 1, "slot": 0, "requests": {"cpu": "1", "memory": "1", "disk": "0"},
            "node": node, "desired": "run", "fence": 1, "created_at": at, "reason": ""});
        put(state, keys::instance(&org, &id), &assignment);
        let seen = json!({"id": id, "fence": 1, "phase": "running", "health": "none", "health_since": at,
            "address": address});
        put(state, keys::observed(&node, &id), &seen);
        put(state, keys::node_alive(&node), &json!(null));
    }

    #[test]
    fn each_organisation_has_its_names_and_the_first_has_the_host() {
        let mut state = State::default();
        add(&mut state, "default", "web", "Shop.test", 20, "10.0.0.1");
        add(&mut state, "acme", "web", "shop.test", 10, "10.0.0.2");
        add(&mut state, "default", "api", "api.test", 30, "10.0.0.3");
        let table = service_table(&state);
        let address = |text: &str| vec![text.parse::<std::net::Ipv4Addr>().unwrap()];
        assert_eq!(table.names["default"]["web"], address("10.0.0.1"));
        assert_eq!(table.names["default"]["api"], address("10.0.0.3"));
        assert_eq!(table.names["acme"]["web"], address("10.0.0.2"));
        assert_eq!(table.homes[&address("10.0.0.2")[0]], "acme");
        assert_eq!(table.homes[&address("10.0.0.3")[0]], "default");
        let mut routes: Vec<(&str, &str)> =
            table.routes.iter().map(|route| (route.host.as_str(), route.workload.as_str())).collect();
        routes.sort_unstable();
        assert_eq!(routes, [("api.test", "api"), ("shop.test", "web.acme")]);
    }
}
