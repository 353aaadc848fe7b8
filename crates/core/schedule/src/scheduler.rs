//! The scheduler's picture of the nodes and what is placed on them.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::{Equivalent, HashMap};
use rustc_hash::FxBuildHasher;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::name::Name;
use univrs_model::workload::HostPort;

use crate::class::Class;
use crate::instances::Places;
use crate::node::{Amounts, NodeInfo, NodeState, Placed, recount};

/// How many classes are kept; the one unused for longest makes room.
const MOST_CLASSES: usize = 512;

/// A table with a fixed hasher: its order never matters, and is the same everywhere.
pub(crate) type Table<K, V> = HashMap<K, V, FxBuildHasher>;

/// A workload's organisation and name, to look its number up without copying them.
#[derive(Hash)]
struct Of<'a>(&'a Name, &'a Name);

impl Equivalent<(Name, Name)> for Of<'_> {
    fn equivalent(&self, key: &(Name, Name)) -> bool {
        *self.0 == key.0 && *self.1 == key.1
    }
}

/// An instance in the table.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: InstanceId,
    /// Index of its node.
    pub(crate) node: u32,
    /// Its place among its node's instances.
    pub(crate) at: u32,
    pub(crate) workload: u32,
    pub(crate) amounts: Amounts,
    pub(crate) ports: Box<[HostPort]>,
    pub(crate) repels: Box<[u32]>,
    pub(crate) priority: u8,
}

/// The nodes, what is placed on them, and what is known about requests like those seen before.
#[derive(Clone, Debug)]
pub struct Scheduler {
    seed: u64,
    pub(crate) nodes: Vec<NodeState>,
    by_id: Table<NodeId, u32>,
    free_nodes: Vec<u32>,
    pub(crate) held: Vec<Held>,
    by_instance: Places,
    free_held: Vec<u32>,
    /// Numbers of workloads; they only grow.
    workloads: Table<(Name, Name), u32>,
    /// How many instances each workload has, by its number.
    pub(crate) totals: Vec<u32>,
    /// How many instances, on all nodes, keep each workload away.
    repelled: Table<u32, u32>,
    /// Grows whenever a node changes in anything but what is placed on it.
    pub(crate) epoch: u64,
    /// Nodes whose load changed, in order; the first entry has number `log_base`.
    pub(crate) log: VecDeque<u32>,
    pub(crate) log_base: u64,
    pub(crate) classes: Vec<Class>,
    pub(crate) class_of: Table<(u64, Option<u32>), Vec<u32>>,
    pub(crate) uses: u64,
}

impl Scheduler {
    /// An empty scheduler. The seed decides between equal nodes.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            nodes: Vec::new(),
            by_id: Table::default(),
            free_nodes: Vec::new(),
            held: Vec::new(),
            by_instance: Places::default(),
            free_held: Vec::new(),
            workloads: Table::default(),
            totals: Vec::new(),
            repelled: Table::default(),
            epoch: 0,
            log: VecDeque::new(),
            log_base: 0,
            classes: Vec::new(),
            class_of: Table::default(),
            uses: 0,
        }
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.by_id.len()
    }

    /// How many instances are placed.
    pub fn instance_count(&self) -> usize {
        self.by_instance.len()
    }

    /// Adds a node or takes over how it is now. Costs nothing when nothing changed.
    pub fn upsert_node(&mut self, info: NodeInfo) {
        if let Some(at) = self.by_id.get(&info.id) {
            let node = &mut self.nodes[*at as usize];
            if *node.info != info {
                *node.info = info;
                node.measure();
                self.epoch += 1;
            }
            return;
        }
        let hash = FxBuildHasher.hash_one((self.seed, info.id.as_str()));
        #[expect(clippy::cast_possible_wrap, reason = "twelve bits")]
        let tie = ((hash >> 20) & 0xfff) as i64;
        let id = info.id.clone();
        let node = NodeState::new(info, tie);
        let at = if let Some(at) = self.free_nodes.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            index(self.nodes.len() - 1)
        };
        self.by_id.insert(id, at);
        self.epoch += 1;
    }

    /// Forgets a node and everything placed on it.
    pub fn remove_node(&mut self, id: &NodeId) {
        let Some(at) = self.by_id.get(id).copied() else { return };
        let instances = self.nodes[at as usize].instances.clone();
        for held in instances {
            let id = self.held[held as usize].id.clone();
            self.remove_instance(&id);
        }
        self.by_id.remove(id);
        self.nodes[at as usize].present = false;
        self.free_nodes.push(at);
        self.epoch += 1;
    }

    /// Takes room for an instance. One that is placed already is moved. Answers whether its node is known.
    pub fn add_instance(&mut self, placed: &Placed) -> bool {
        if self.place_of(&placed.id).is_some() {
            self.remove_instance(&placed.id);
        }
        let Some(node_at) = self.by_id.get(&placed.node).copied() else { return false };
        let workload = self.workload_number(&placed.org, &placed.workload);
        let repels: Box<[u32]> =
            placed.anti_affinity.iter().map(|name| self.workload_number(&placed.org, name)).collect();
        for other in &repels {
            *self.repelled.entry(*other).or_insert(0) += 1;
        }
        let node = &mut self.nodes[node_at as usize];
        let held = Held {
            id: placed.id.clone(),
            node: node_at,
            at: index(node.instances.len()),
            workload,
            amounts: Amounts::of(&placed.requests),
            ports: placed.requests.host_ports.clone().into_boxed_slice(),
            repels,
            priority: placed.priority,
        };
        node.used = node.used.plus(held.amounts);
        for port in &held.ports {
            let at = node.ports.binary_search(port).unwrap_or_else(|at| at);
            node.ports.insert(at, *port);
        }
        recount(&mut node.workloads, workload, true);
        self.totals[workload as usize] += 1;
        for other in &held.repels {
            recount(&mut node.repels, *other, true);
        }
        let at = if let Some(at) = self.free_held.pop() {
            self.held[at as usize] = held;
            at
        } else {
            self.held.push(held);
            index(self.held.len() - 1)
        };
        node.instances.push(at);
        self.by_instance.insert(&placed.id, at);
        self.changed(node_at);
        true
    }

    /// Gives back the room of an instance. Answers whether it was placed.
    pub fn remove_instance(&mut self, id: &InstanceId) -> bool {
        let held = &self.held;
        let Some(at) = self.by_instance.remove(id, |at| &held[at as usize].id) else { return false };
        let held = &self.held[at as usize];
        let node_at = held.node;
        let node = &mut self.nodes[node_at as usize];
        node.used = node.used.minus(held.amounts);
        for port in &held.ports {
            if let Ok(at) = node.ports.binary_search(port) {
                node.ports.remove(at);
            }
        }
        recount(&mut node.workloads, held.workload, false);
        self.totals[held.workload as usize] -= 1;
        for other in &held.repels {
            recount(&mut node.repels, *other, false);
            if let Some(count) = self.repelled.get_mut(other) {
                *count -= 1;
                if *count == 0 {
                    self.repelled.remove(other);
                }
            }
        }
        let place = held.at as usize;
        node.instances.swap_remove(place);
        if let Some(moved) = node.instances.get(place) {
            self.held[*moved as usize].at = index(place);
        }
        self.free_held.push(at);
        self.changed(node_at);
        true
    }

    /// The place of an instance in the table.
    fn place_of(&self, id: &InstanceId) -> Option<u32> {
        self.by_instance.get(id, |at| &self.held[at as usize].id)
    }

    /// Where an instance is placed.
    pub fn node_of(&self, id: &InstanceId) -> Option<&NodeId> {
        let held = &self.held[self.place_of(id)? as usize];
        Some(&self.nodes[held.node as usize].info.id)
    }

    pub(crate) fn node_index(&self, id: &NodeId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The number of a workload, new when it was never seen.
    pub(crate) fn workload_number(&mut self, org: &Name, name: &Name) -> u32 {
        if let Some(known) = self.workloads.get(&Of(org, name)) {
            return *known;
        }
        let next = index(self.workloads.len());
        self.workloads.insert((org.clone(), name.clone()), next);
        self.totals.push(0);
        next
    }

    pub(crate) fn known_workload(&self, org: &Name, name: &Name) -> Option<u32> {
        self.workloads.get(&Of(org, name)).copied()
    }

    /// Whether any instance anywhere keeps a workload away.
    pub(crate) fn is_repelled(&self, workload: u32) -> bool {
        !self.repelled.is_empty() && self.repelled.contains_key(&workload)
    }

    /// Notes that a node's load changed. The log is cut when it is longer than looking at every node again.
    fn changed(&mut self, node: u32) {
        self.log.push_back(node);
        if self.log.len() > 2 * self.nodes.len() + 64 {
            let drop = self.log.len() / 2;
            self.log.drain(..drop);
            self.log_base += drop as u64;
        }
    }

    /// The number that the next change will have.
    pub(crate) fn log_end(&self) -> u64 {
        self.log_base + self.log.len() as u64
    }

    /// Makes room for one more class, and answers whether classes were dropped.
    pub(crate) fn make_room(&mut self) {
        if self.classes.len() < MOST_CLASSES {
            return;
        }
        // Half of them at once, so that this costs little however often it happens.
        let mut ages: Vec<u64> = self.classes.iter().map(|class| class.used).collect();
        ages.sort_unstable();
        let middle = ages[ages.len() / 2];
        self.classes.retain(|class| class.used > middle);
        self.class_of.clear();
        for (at, class) in self.classes.iter().enumerate() {
            self.class_of.entry((class.hash, class.workload)).or_default().push(index(at));
        }
    }
}

/// A position in a table; no table comes near the bound.
pub(crate) fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
