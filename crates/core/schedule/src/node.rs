//! Nodes and what is placed on them, as the scheduler sees both.

use std::collections::BTreeMap;

use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::Assignment;
use univrs_model::name::Name;
use univrs_model::node::{Capacity, Location, Node, NodePolicy, Role, RuntimeKind};
use univrs_model::workload::{HostPort, Requests, WorkloadSpec};

/// A node as far as placements depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: Name,
    /// What it is for; one that is a validator only runs no workloads.
    pub roles: Vec<Role>,
    /// Where it stands.
    pub location: Location,
    /// Its labels, the users' over its own.
    pub labels: BTreeMap<String, String>,
    /// What it has to give.
    pub capacity: Capacity,
    /// How many instances find an address in its block; absent where addresses are not real.
    pub addresses: Option<u32>,
    /// Whether it has something to run containers on.
    pub runtime: bool,
    /// Whether users keep new instances away.
    pub cordoned: bool,
    /// Whether instances are being moved away.
    pub draining: bool,
    /// Whether it renews its lease.
    pub ready: bool,
}

impl NodeInfo {
    /// A node from what it and its users say of it.
    pub fn of(node: &Node, policy: &NodePolicy, ready: bool) -> Self {
        let mut labels = node.labels.clone();
        labels.extend(policy.labels.clone());
        Self {
            id: node.id.clone(),
            name: node.name.clone(),
            roles: node.roles.clone(),
            location: node.location.clone(),
            labels,
            capacity: node.capacity,
            addresses: addresses(node),
            runtime: node.runtime.is_some(),
            cordoned: policy.cordoned,
            draining: policy.draining,
            ready,
        }
    }

    /// Whether it is meant to run workloads at all.
    pub(crate) fn runs_workloads(&self) -> bool {
        self.roles.iter().any(|role| matches!(role, Role::Business | Role::Slim))
    }
}

/// The addresses of a node's block, less the network's own, the gateway's and the one of all.
fn addresses(node: &Node) -> Option<u32> {
    if node.runtime.is_none_or(|runtime| runtime == RuntimeKind::Simulated) {
        return None;
    }
    let bits: u32 = node.block.as_deref()?.rsplit_once('/')?.1.parse().ok()?;
    1_u32.checked_shl(32_u32.checked_sub(bits)?).map(|all| all.saturating_sub(3))
}

/// An instance that takes up room on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which instance.
    pub id: InstanceId,
    /// Where.
    pub node: NodeId,
    /// Its organisation.
    pub org: Name,
    /// Its workload.
    pub workload: Name,
    /// What it asks for.
    pub requests: Requests,
    /// Its priority; lower ones yield.
    pub priority: u8,
    /// Workloads that may not come onto its node; its own name stands for `self`.
    pub anti_affinity: Vec<Name>,
}

impl Placed {
    /// An assignment that has a node.
    pub fn of(assignment: &Assignment, spec: &WorkloadSpec) -> Option<Self> {
        Some(Self {
            id: assignment.id.clone(),
            node: assignment.node.clone()?,
            org: assignment.org.clone(),
            workload: assignment.workload.clone(),
            requests: assignment.requests.clone(),
            priority: spec.priority,
            anti_affinity: spec
                .placement
                .anti_affinity
                .iter()
                .filter_map(|name| named(name, &assignment.workload))
                .collect(),
        })
    }
}

/// A workload's name in a placement rule, where `self` stands for the workload itself.
pub(crate) fn named(text: &str, own: &Name) -> Option<Name> {
    if text == "self" { Some(own.clone()) } else { text.parse().ok() }
}

/// Amounts of what can run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Amounts {
    pub(crate) cpu: u64,
    pub(crate) memory: u64,
    pub(crate) disk: u64,
}

impl Amounts {
    pub(crate) fn of(requests: &Requests) -> Self {
        Self { cpu: requests.cpu.as_millicores(), memory: requests.memory.get(), disk: requests.disk.get() }
    }

    pub(crate) fn of_capacity(capacity: &Capacity) -> Self {
        Self { cpu: capacity.cpu.as_millicores(), memory: capacity.memory.get(), disk: capacity.disk.get() }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
            disk: self.disk.saturating_add(other.disk),
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            disk: self.disk.saturating_sub(other.disk),
        }
    }

    /// Whether nothing of it exceeds `other`.
    pub(crate) fn within(self, other: Self) -> bool {
        self.cpu <= other.cpu && self.memory <= other.memory && self.disk <= other.disk
    }
}

/// A node and what is taken of it.
#[derive(Clone, Debug)]
pub(crate) struct NodeState {
    /// Apart from the rest: it is seldom looked at, and what is should lie close together.
    pub(crate) info: Box<NodeInfo>,
    pub(crate) id: NodeId,
    /// False once it was removed; its place may be given to another node.
    pub(crate) present: bool,
    pub(crate) capacity: Amounts,
    /// How many instances it can have.
    pub(crate) room: usize,
    pub(crate) used: Amounts,
    /// One over the capacity, or 0, for shares.
    pub(crate) inverse: [f64; 3],
    /// Decides between equal scores.
    pub(crate) tie: i64,
    /// Used host ports, sorted; a port may be used twice when two assignments overlap.
    pub(crate) ports: Vec<HostPort>,
    /// How many instances of each workload it holds, sorted by workload.
    pub(crate) workloads: Vec<(u32, u32)>,
    /// How many of its instances keep each workload away, sorted by workload.
    pub(crate) repels: Vec<(u32, u32)>,
    /// Places of its instances in the scheduler's table.
    pub(crate) instances: Vec<u32>,
}

impl NodeState {
    pub(crate) fn new(info: NodeInfo, tie: i64) -> Self {
        let mut state = Self {
            capacity: Amounts::default(),
            room: 0,
            used: Amounts::default(),
            inverse: [0.0; 3],
            present: true,
            id: info.id.clone(),
            info: Box::new(info),
            tie,
            ports: Vec::new(),
            workloads: Vec::new(),
            repels: Vec::new(),
            instances: Vec::new(),
        };
        state.measure();
        state
    }

    /// Takes over the capacity that the node says it has.
    pub(crate) fn measure(&mut self) {
        self.capacity = Amounts::of_capacity(&self.info.capacity);
        self.room = self.info.addresses.map_or(usize::MAX, |count| count as usize);
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let inverse = |amount: u64| if amount == 0 { 0.0 } else { 1.0 / amount as f64 };
        self.inverse =
            [inverse(self.capacity.cpu), inverse(self.capacity.memory), inverse(self.capacity.disk)];
    }

    pub(crate) fn free(&self) -> Amounts {
        self.capacity.minus(self.used)
    }

    /// Whether it has as many instances as addresses for them.
    pub(crate) fn is_crowded(&self) -> bool {
        self.instances.len() >= self.room
    }

    pub(crate) fn count_of(&self, workload: u32) -> u32 {
        count(&self.workloads, workload)
    }

    pub(crate) fn repels(&self, workload: u32) -> bool {
        count(&self.repels, workload) > 0
    }

    /// The largest share of any resource that would be taken with `more` on it, in millionths.
    pub(crate) fn dominant_share(&self, more: Amounts) -> i64 {
        let taken = self.used.plus(more);
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let share = |amount: u64, inverse: f64| amount as f64 * inverse;
        let cpu = share(taken.cpu, self.inverse[0]);
        let memory = share(taken.memory, self.inverse[1]);
        let disk = share(taken.disk, self.inverse[2]);
        #[expect(clippy::cast_possible_truncation, reason = "a share is near 1")]
        let millionths = (cpu.max(memory).max(disk) * 1e6) as i64;
        millionths.min(1_000_000)
    }
}

/// Where a workload is in a sorted list of counts, or belongs. New workloads have the highest numbers, so that the end of
/// the list mostly tells, without a look at the rest of it.
fn position(counts: &[(u32, u32)], workload: u32) -> Result<usize, usize> {
    match counts.last() {
        None => Err(0),
        Some((last, _)) if *last < workload => Err(counts.len()),
        Some((last, _)) if *last == workload => Ok(counts.len() - 1),
        Some(_) => counts.binary_search_by_key(&workload, |(known, _)| *known),
    }
}

fn count(counts: &[(u32, u32)], workload: u32) -> u32 {
    position(counts, workload).map_or(0, |at| counts[at].1)
}

/// Adds to or takes from a sorted list of counts.
pub(crate) fn recount(counts: &mut Vec<(u32, u32)>, workload: u32, add: bool) {
    match (position(counts, workload), add) {
        (Ok(at), true) => counts[at].1 += 1,
        (Err(at), true) => counts.insert(at, (workload, 1)),
        (Ok(at), false) if counts[at].1 > 1 => counts[at].1 -= 1,
        (Ok(at), false) => {
            counts.remove(at);
        }
        (Err(_), false) => {}
    }
}
