//! What is wrong with machines.

use univrs_model::event::Severity;
use univrs_model::instance::Phase;
use univrs_model::node::{NodeState, NodeView};

use crate::{Code, Problem, Snapshot, plural};

/// A disk of which more than this share is promised is under pressure, in percent.
const FULL: u64 = 90;

pub(crate) fn find(snapshot: &Snapshot) -> Vec<Problem> {
    let cut_off = snapshot.nodes.iter().filter(|node| node.state == NodeState::Lost);
    let full = snapshot.nodes.iter().filter(|node| node.state == NodeState::Ready);
    cut_off
        .map(|node| cut_off_node(snapshot, node))
        .chain(full.filter_map(|node| disk(snapshot, node)))
        .collect()
}

fn about(node: &NodeView, code: Code, severity: Severity, cause: String) -> Problem {
    let subject = format!("node/{}", node.node.name);
    let next = format!("node_get {{\"node\":\"{}\"}}", node.node.name);
    Problem { code, severity, subject, cause, evidence: Vec::new(), fix: String::new(), next }
}

fn cut_off_node(snapshot: &Snapshot, node: &NodeView) -> Problem {
    let name = &node.node.name;
    // What was given up may still run there, and nobody can tell.
    let held = snapshot.workloads.iter().flat_map(|facts| &facts.instances).filter(|instance| {
        let runs = !instance.phase.is_terminal() || instance.phase == Phase::Lost;
        !instance.reachable && instance.node.as_ref() == Some(&node.node.id) && runs
    });
    let held: Vec<String> = held.map(|instance| format!("{}/{}", instance.workload, instance.id)).collect();
    let mut problem = about(
        node,
        Code::NodeCutOff,
        Severity::Error,
        format!("node {name} has not been heard for longer than its lease"),
    );
    problem.evidence =
        vec![format!("state lost, {} on it cannot be reached", plural(held.len(), "instance"))];
    problem.evidence.extend(held.into_iter().take(5));
    problem.fix = format!(
        "look at the machine and its network, and start its daemon again (`univrs up`); if it is gone for good, \
         forget it with `univrs node rm {name}`"
    );
    problem.next = format!("events_timeline {{\"node\":\"{name}\"}}");
    problem
}

/// Disk that is promised beyond what is prudent, or has run out in the words of its instances.
fn disk(snapshot: &Snapshot, node: &NodeView) -> Option<Problem> {
    let name = &node.node.name;
    let (promised, whole) = (node.requested.disk.get(), node.node.capacity.disk.get());
    let on_it = || {
        snapshot
            .workloads
            .iter()
            .flat_map(|facts| &facts.instances)
            .filter(|instance| instance.node.as_ref() == Some(&node.node.id))
    };
    let complaint = on_it().find(|instance| {
        let said = instance.message.to_lowercase();
        said.contains("no space left") || said.contains("disk full") || said.contains("disk quota exceeded")
    });
    let share = promised.saturating_mul(100).checked_div(whole).unwrap_or(0);
    if complaint.is_none() && share < FULL {
        return None;
    }
    let cause = match complaint {
        Some(_) => format!("the disk of node {name} is full"),
        None => format!("{share}% of the disk of node {name} is promised to volumes"),
    };
    let severity = if complaint.is_some() { Severity::Error } else { Severity::Warning };
    let mut problem = about(node, Code::DiskPressure, severity, cause);
    problem.evidence = vec![format!("{} of {} promised", node.requested.disk, node.node.capacity.disk)];
    problem.evidence.extend(complaint.map(|instance| format!("{}: {}", instance.id, instance.message)));
    problem.fix = format!(
        "free space on {name} (unused images: `univrs image rm`, old volumes), give it a larger disk, or move \
         workloads away with node_drain"
    );
    Some(problem)
}
