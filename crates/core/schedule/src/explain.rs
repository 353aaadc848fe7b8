//! Why a request goes where it goes, or nowhere.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use univrs_model::ids::NodeId;
use univrs_model::name::Name;
use univrs_model::quantity::{Bytes, Cpu};

use crate::filter::{fixed, loaded};
use crate::node::Amounts;
use crate::place::Scores;
use crate::request::Request;
use crate::scheduler::{Scheduler, index};

/// How many nodes are told about by name.
const MOST_NAMED: usize = 5;

/// What a node can fail by. The order is that in which nodes are looked at; each counts for the first it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Its lease has run out.
    NotReady,
    /// Instances are being moved away.
    Draining,
    /// Users keep new instances away.
    Cordoned,
    /// It is not meant to run workloads.
    Role,
    /// It has nothing to run containers on.
    Runtime,
    /// A constraint does not hold.
    Constraint,
    /// It has too little processor time left.
    Cpu,
    /// It has too little memory left.
    Memory,
    /// It has too little disk left.
    Disk,
    /// A port of the host is taken.
    HostPort,
    /// Every address of its block is in use.
    Addresses,
    /// A workload there and this one keep apart.
    AntiAffinity,
    /// The required spread would become uneven.
    Spread,
    /// It is not the one node that is asked for.
    Pinned,
}

/// All filters, in order.
const FILTERS: [Filter; 14] = [
    Filter::NotReady,
    Filter::Draining,
    Filter::Cordoned,
    Filter::Role,
    Filter::Runtime,
    Filter::Constraint,
    Filter::Cpu,
    Filter::Memory,
    Filter::Disk,
    Filter::HostPort,
    Filter::Addresses,
    Filter::AntiAffinity,
    Filter::Spread,
    Filter::Pinned,
];

impl fmt::Display for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotReady => "not ready",
            Self::Draining => "draining",
            Self::Cordoned => "cordoned",
            Self::Role => "not for workloads",
            Self::Runtime => "without a runtime",
            Self::Constraint => "excluded by a constraint",
            Self::Cpu => "short of cpu",
            Self::Memory => "short of memory",
            Self::Disk => "short of disk",
            Self::HostPort => "host port taken",
            Self::Addresses => "out of addresses for instances",
            Self::AntiAffinity => "kept apart by anti-affinity",
            Self::Spread => "would make the required spread uneven",
            Self::Pinned => "not the node asked for",
        })
    }
}

/// A node that would take the request if it had a little more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// Processor time it lacks.
    pub cpu: Cpu,
    /// Memory it lacks.
    pub memory: Bytes,
    /// Disk it lacks.
    pub disk: Bytes,
}

/// Why no node takes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unplaceable {
    /// How many nodes there are.
    pub nodes: u32,
    /// How many nodes fail each filter first.
    pub failed: BTreeMap<Filter, u32>,
    /// How many nodes each constraint excludes, in the user's words.
    pub constraints: BTreeMap<String, u32>,
    /// What runs out on most nodes, if anything does.
    pub exhausted: Option<Filter>,
    /// The nodes that lack least, nearest first.
    pub near: Vec<Near>,
}

impl fmt::Display for Unplaceable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return out.write_str("there are no nodes");
        }
        let plural = if self.nodes == 1 { "" } else { "s" };
        write!(out, "no node fits: of {} node{plural} ", self.nodes)?;
        let parts: Vec<String> =
            self.failed.iter().map(|(filter, count)| format!("{count} {filter}")).collect();
        out.write_str(&parts.join(", "))?;
        if let [only] = self.constraints.keys().collect::<Vec<_>>().as_slice() {
            write!(out, " (`{only}`)")?;
        }
        if let Some(near) = self.near.first() {
            write!(out, "; nearest is {}, short of", near.name)?;
            let mut lacks = Vec::new();
            if near.cpu.as_millicores() > 0 {
                lacks.push(format!(" {} cpu", near.cpu));
            }
            if near.memory.get() > 0 {
                lacks.push(format!(" {} memory", near.memory));
            }
            if near.disk.get() > 0 {
                lacks.push(format!(" {} disk", near.disk));
            }
            out.write_str(&lacks.join(","))?;
        }
        Ok(())
    }
}

/// A node that takes the request, and what speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeScore {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// What speaks for it.
    pub scores: Scores,
}

/// Where a request could go, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// How many nodes there are.
    pub nodes: u32,
    /// How many of them could take it.
    pub feasible: u32,
    /// Why the others cannot.
    pub refused: Unplaceable,
    /// The best of those that can, best first.
    pub best: Vec<NodeScore>,
}

impl Scheduler {
    /// Looks at every node and says why it would take the request or not.
    pub fn explain(&mut self, request: &Request) -> Explanation {
        let at = self.class(request);
        let refused = self.unplaceable(at, request);
        let mut able: Vec<(i64, u32)> = Vec::new();
        for (node, state) in self.nodes.iter().enumerate().filter(|(_, state)| state.present) {
            let node = index(node);
            let asked_for = request.pinned.as_ref().is_none_or(|pinned| *pinned == state.info.id);
            if asked_for && self.refusal(at, node).is_none() {
                able.push((self.scores(at, request, node).total(), node));
            }
        }
        able.sort_by_key(|(score, node)| (-score, -self.nodes[*node as usize].tie, *node));
        let best = able.iter().take(MOST_NAMED).map(|(_, node)| {
            let info = &self.nodes[*node as usize].info;
            NodeScore {
                node: info.id.clone(),
                name: info.name.clone(),
                scores: self.scores(at, request, *node),
            }
        });
        Explanation { nodes: refused.nodes, feasible: index(able.len()), best: best.collect(), refused }
    }

    /// How many nodes fail which filter, and which are nearest.
    pub(crate) fn unplaceable(&self, at: usize, request: &Request) -> Unplaceable {
        let class = &self.classes[at];
        let fewest: Vec<u32> = (0..class.domains.len()).map(|rule| class.fewest(rule)).collect();
        let mut answer = Unplaceable::default();
        let mut failed = [0_u32; FILTERS.len()];
        let mut excluded = vec![0_u32; class.shape.constraints.len()];
        let mut near: Vec<(f64, u32, Amounts)> = Vec::new();
        for (node, state) in self.nodes.iter().enumerate().filter(|(_, state)| state.present) {
            answer.nodes += 1;
            let node = index(node);
            let pinned_away = request.pinned.as_ref().is_some_and(|pinned| *pinned != state.info.id);
            let filter = if pinned_away {
                Some(Filter::Pinned)
            } else {
                fixed(&class.shape, &state.info)
                    .or_else(|| loaded(&class.shape, &class.rules, state))
                    .or_else(|| class.spread(class.group(node), &fewest).is_none().then_some(Filter::Spread))
            };
            let Some(filter) = filter else { continue };
            failed[filter as usize] += 1;
            match filter {
                Filter::Constraint => {
                    for (constraint, count) in class.shape.constraints.iter().zip(&mut excluded) {
                        *count += u32::from(!constraint.holds(&state.info));
                    }
                }
                Filter::Cpu | Filter::Memory | Filter::Disk => {
                    let lacks = class.shape.amounts.minus(state.free());
                    near.push((lack(lacks, class.shape.amounts), node, lacks));
                }
                _ => {}
            }
        }
        answer.failed = FILTERS.into_iter().zip(failed).filter(|(_, count)| *count > 0).collect();
        let excluded = class.shape.constraints.iter().zip(excluded).filter(|(_, count)| *count > 0);
        answer.constraints = excluded.map(|(constraint, count)| (constraint.to_string(), count)).collect();
        let exhausted = [Filter::Cpu, Filter::Memory, Filter::Disk].into_iter();
        let counted =
            exhausted.filter_map(|filter| Some((*answer.failed.get(&filter)?, std::cmp::Reverse(filter))));
        answer.exhausted = counted.max().map(|(_, filter)| filter.0);
        let nearer = |left: &(f64, u32, Amounts), right: &(f64, u32, Amounts)| {
            left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))
        };
        if near.len() > MOST_NAMED {
            near.select_nth_unstable_by(MOST_NAMED, nearer);
            near.truncate(MOST_NAMED);
        }
        near.sort_by(nearer);
        answer.near = near
            .into_iter()
            .map(|(_, node, lacks)| {
                let info = &self.nodes[node as usize].info;
                Near {
                    node: info.id.clone(),
                    name: info.name.clone(),
                    cpu: Cpu::millicores(lacks.cpu),
                    memory: Bytes::new(lacks.memory),
                    disk: Bytes::new(lacks.disk),
                }
            })
            .collect();
        answer
    }
}

/// How much is lacking, as the largest part of what is asked for.
fn lack(lacks: Amounts, asked: Amounts) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    let part = |lacks: u64, asked: u64| if asked == 0 { 0.0 } else { lacks as f64 / asked as f64 };
    part(lacks.cpu, asked.cpu).max(part(lacks.memory, asked.memory)).max(part(lacks.disk, asked.disk))
}
