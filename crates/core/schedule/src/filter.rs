//! What a node must pass to take a request, and how well it would.

use crate::explain::Filter;
use crate::node::{Amounts, NodeInfo, NodeState};
use crate::request::Shape;

/// What a node near a wanted workload gains, in millionths: more than any difference in how full nodes are.
const AFFINITY: i64 = 1_000_000;

/// A shape with the numbers of the workloads it speaks of.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) affinity: Vec<u32>,
    pub(crate) anti_affinity: Vec<u32>,
    /// The workload itself, where that matters.
    pub(crate) own: Option<u32>,
}

/// What does not depend on what is placed: the first filter that a node fails.
pub(crate) fn fixed(shape: &Shape, node: &NodeInfo) -> Option<Filter> {
    if !node.ready {
        Some(Filter::NotReady)
    } else if node.draining {
        Some(Filter::Draining)
    } else if node.cordoned {
        Some(Filter::Cordoned)
    } else if !node.runs_workloads() {
        Some(Filter::Role)
    } else if !node.runtime {
        Some(Filter::Runtime)
    } else if shape.constraints.iter().any(|constraint| !constraint.holds(node)) {
        Some(Filter::Constraint)
    } else {
        None
    }
}

/// What depends on what is placed on the node: the first filter that it fails.
pub(crate) fn loaded(shape: &Shape, rules: &Rules, node: &NodeState) -> Option<Filter> {
    let Amounts { cpu, memory, disk } = node.free();
    if shape.amounts.cpu > cpu {
        Some(Filter::Cpu)
    } else if shape.amounts.memory > memory {
        Some(Filter::Memory)
    } else if shape.amounts.disk > disk {
        Some(Filter::Disk)
    } else if shape.ports.iter().any(|port| node.ports.binary_search(port).is_ok()) {
        Some(Filter::HostPort)
    } else if node.is_crowded() {
        Some(Filter::Addresses)
    } else if keeps_away(shape, rules, node) {
        Some(Filter::AntiAffinity)
    } else {
        None
    }
}

/// Whether an anti-affinity, the request's or an instance's there, speaks against the node.
pub(crate) fn keeps_away(shape: &Shape, rules: &Rules, node: &NodeState) -> bool {
    let own = rules.own.is_some_and(|own| node.repels(own) || shape.alone && node.count_of(own) > 0);
    own || rules.anti_affinity.iter().any(|other| node.count_of(*other) > 0)
}

/// How a node would be filled, in millionths: more is better.
pub(crate) fn fit(shape: &Shape, node: &NodeState) -> i64 {
    let share = node.dominant_share(shape.amounts);
    if shape.binpack { share } else { 1_000_000 - share }
}

/// What a node gains by the workloads it should be near, in millionths.
pub(crate) fn nearness(rules: &Rules, node: &NodeState) -> i64 {
    rules.affinity.iter().map(|other| if node.count_of(*other) > 0 { AFFINITY } else { 0 }).sum()
}

/// Keys carry the tie-break below the score.
pub(crate) const TIES: i64 = 4096;

/// The key of a node for a shape, as far as it depends on the node alone. Absent when it cannot take it.
pub(crate) fn key(shape: &Shape, rules: &Rules, node: &NodeState) -> Option<i64> {
    if loaded(shape, rules, node).is_some() {
        return None;
    }
    Some((fit(shape, node) + nearness(rules, node)) * TIES + node.tie)
}
