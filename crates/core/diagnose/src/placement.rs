//! Why an instance finds no node.

use std::collections::BTreeSet;

use univrs_model::decode::nearest;
use univrs_model::node::NodeView;

use crate::{Code, Problem, Snapshot, WorkloadFacts, call};

/// The scheduler's words for filters, by what lies behind them.
const CLOSED: &[&str] = &["not ready", "draining", "cordoned", "not for workloads", "without a runtime"];
const FULL: &[&str] = &["short of cpu", "short of memory", "short of disk"];
const APART: &[&str] = &["kept apart by anti-affinity", "would make the required spread uneven"];
const PORT: &str = "host port taken";
const EXCLUDED: &str = "excluded by a constraint";
const PINNED: &str = "not the node asked for";

/// The cause, given that an instance waits for a node.
pub(crate) fn cause(snapshot: &Snapshot, facts: &WorkloadFacts) -> Problem {
    let name = &facts.view.name;
    let placement = &facts.placement;
    let count =
        |filters: &[&str]| -> u32 { filters.iter().filter_map(|one| placement.filtered.get(*one)).sum() };
    let refusals = placement.filtered.iter().map(|(filter, count)| format!("{count} × {filter}"));
    let evidence = vec![format!("{} nodes: {}", placement.nodes, refusals.collect::<Vec<_>>().join(", "))];
    // The filter that is passed last says most: a node that is short of room was right in every other way.
    let problem = if count(&[PORT]) > 0 {
        port_clash(facts)
    } else if count(APART) > 0 {
        Problem::of(Code::KeptApart, facts, "its rules ask for more separate nodes than there are").fix(
            "lower `replicas`, add nodes, or loosen `placement.anti_affinity` and required `placement.spread`",
            call("explain_placement", name),
        )
    } else if count(FULL) > 0 {
        no_room(snapshot, facts)
    } else if count(&[PINNED]) > 0 {
        Problem::of(Code::NodesClosed, facts, "its data lies on one node, and that node cannot take it").fix(
            "bring that node back or make room on it; the volume ties the workload to it",
            call("explain_placement", name),
        )
    } else if count(&[EXCLUDED]) > 0 {
        wrong_constraint(snapshot, facts)
    } else if count(CLOSED) > 0 {
        Problem::of(Code::NodesClosed, facts, "every node is cordoned, draining, lost, or runs no containers").fix(
            "let a node take instances again with `univrs node uncordon`, bring a lost one back, or add one",
            "node_list {}",
        )
    } else {
        Problem::of(Code::NodesClosed, facts, "there is no node that could run it")
            .fix("start a node with `univrs up --join`", "node_list {}")
    };
    problem.evidence(evidence)
}

fn port_clash(facts: &WorkloadFacts) -> Problem {
    let name = &facts.view.name;
    let ports = facts.view.spec.requests().host_ports;
    let ports: Vec<String> = ports.iter().map(|port| port.port.to_string()).collect();
    let cause = format!("host port {} is taken on every node that could run it", ports.join(", "));
    Problem::of(Code::PortClash, facts, cause).fix(
        "give it another `host_port`, or none and reach it by its name or an ingress; one node can give a port to \
         one instance only",
        call("workload_get", name),
    )
}

fn no_room(snapshot: &Snapshot, facts: &WorkloadFacts) -> Problem {
    let name = &facts.view.name;
    let asked = facts.view.spec.requests();
    let cause =
        format!("no node has room for cpu {}, memory {} and disk {}", asked.cpu, asked.memory, asked.disk);
    let free = snapshot.nodes.iter().map(|node| {
        format!(
            "{} has cpu {}/{} and memory {}/{} asked for",
            node.node.name,
            node.requested.cpu,
            node.node.capacity.cpu,
            node.requested.memory,
            node.node.capacity.memory
        )
    });
    Problem::of(Code::NoRoom, facts, cause).evidence(free.take(5)).fix(
        "lower its requests or `replicas`, scale something else down, or add a node",
        call("explain_placement", name),
    )
}

fn wrong_constraint(snapshot: &Snapshot, facts: &WorkloadFacts) -> Problem {
    let name = &facts.view.name;
    let all = u32::try_from(snapshot.nodes.len()).unwrap_or(u32::MAX);
    let worst = facts.placement.constraints.iter().max_by_key(|(_, count)| **count);
    let Some((constraint, excluded)) = worst else {
        return Problem::of(Code::WrongConstraint, facts, "its constraints exclude every node")
            .fix("loosen `placement.constraints`", call("explain_placement", name));
    };
    let cause = if *excluded >= all {
        format!("no node satisfies the constraint `{constraint}`")
    } else {
        format!("its constraints together exclude every node; `{constraint}` excludes {excluded} of {all}")
    };
    let mut words = constraint.split_whitespace();
    let attribute = words.next().unwrap_or_default();
    let wanted =
        constraint.rsplit(|letter: char| letter.is_whitespace() || letter == '[').next().unwrap_or_default();
    let wanted = wanted.trim_matches(|letter: char| matches!(letter, '[' | ']' | ',' | '"'));
    let present: BTreeSet<String> = snapshot.nodes.iter().filter_map(|node| value(node, attribute)).collect();
    let known = if present.is_empty() {
        "on no node".to_owned()
    } else {
        present.iter().cloned().collect::<Vec<_>>().join(", ")
    };
    let near =
        nearest(wanted, present.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
    let fix = format!(
        "change the constraint to a value that nodes have ({attribute}: {known}){}, or label a node",
        near.unwrap_or_default()
    );
    Problem::of(Code::WrongConstraint, facts, cause)
        .evidence([format!("values of `{attribute}`: {known}")])
        .fix(
            fix,
            format!(
                "workload_update {{\"name\":\"{name}\",\"patch\":{{\"placement\":{{\"constraints\":[…]}}}}}}"
            ),
        )
}

/// What a node has for an attribute of constraints.
fn value(node: &NodeView, attribute: &str) -> Option<String> {
    let node = &node.node;
    match attribute {
        "cloud" => Some(node.location.cloud.clone()),
        "region" => Some(node.location.region.clone()),
        "zone" => Some(node.location.zone.clone()),
        "operator" => Some(node.location.operator.clone()),
        "node" | "name" => Some(node.name.to_string()),
        _ => node.labels.get(attribute.strip_prefix("label.")?).cloned(),
    }
}
