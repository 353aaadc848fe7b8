//! Making room: which instances of lower priority must go so that a request fits.

use std::collections::BTreeSet;

use univrs_model::ids::{InstanceId, NodeId};

use crate::filter::fixed;
use crate::node::NodeState;
use crate::request::Request;
use crate::scheduler::{Held, Scheduler, index};

/// Instances that yield, and the node that then takes the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// The node.
    pub node: NodeId,
    /// Who must go, lowest priority first. Without any one of them the request does not fit.
    pub victims: Vec<InstanceId>,
}

/// How bad it is to evict a set of instances: less is better.
type Cost = (u8, usize, u64);

impl Scheduler {
    /// The least costly way to make room by ending instances of lower priority: the lowest highest priority,
    /// then the fewest. None when there is no way, or when no room need be made.
    pub fn preempt(&mut self, request: &Request) -> Option<Preemption> {
        let at = self.class(request);
        let own = self.workload_number(&request.org, &request.workload);
        let class = &self.classes[at];
        let fewest: Vec<u32> = (0..class.domains.len()).map(|rule| class.fewest(rule)).collect();
        let mut best: Option<(Cost, u32, Vec<u32>)> = None;
        for (node, state) in self.nodes.iter().enumerate().filter(|(_, state)| state.present) {
            let node = index(node);
            let asked_for = request.pinned.as_ref().is_none_or(|pinned| *pinned == state.info.id);
            if !asked_for || fixed(&class.shape, &state.info).is_some() {
                continue;
            }
            if class.spread(class.group(node), &fewest).is_none() {
                continue;
            }
            let Some(victims) = self.victims(at, own, state, request.priority) else { continue };
            if victims.is_empty() {
                return None;
            }
            let highest = victims.iter().map(|held| self.held[*held as usize].priority).max().unwrap_or(0);
            let sum = victims.iter().map(|held| u64::from(self.held[*held as usize].priority)).sum();
            let cost = (highest, victims.len(), sum);
            if best.as_ref().is_none_or(|(known, ..)| cost < *known) {
                best = Some((cost, node, victims));
            }
        }
        let (_, node, mut victims) = best?;
        victims
            .sort_by_key(|held| (self.held[*held as usize].priority, self.held[*held as usize].id.clone()));
        Some(Preemption {
            node: self.nodes[node as usize].info.id.clone(),
            victims: victims.into_iter().map(|held| self.held[held as usize].id.clone()).collect(),
        })
    }

    /// Who must go from a node, if that suffices. Minimal: nobody in it could stay.
    fn victims(&self, at: usize, own: u32, node: &NodeState, priority: u8) -> Option<Vec<u32>> {
        let class = &self.classes[at];
        let (shape, rules) = (&class.shape, &class.rules);
        let conflicts = |held: &Held| {
            held.ports.iter().any(|port| shape.ports.binary_search(port).is_ok())
                || rules.anti_affinity.contains(&held.workload)
                || shape.alone && held.workload == own
                || held.repels.contains(&own)
        };
        let mut must: BTreeSet<u32> = BTreeSet::new();
        let mut may: Vec<u32> = Vec::new();
        let mut room = node.free();
        for at in &node.instances {
            let held = &self.held[*at as usize];
            let lower = held.priority < priority;
            if conflicts(held) {
                if !lower {
                    return None;
                }
                must.insert(*at);
                room = room.plus(held.amounts);
            } else if lower {
                may.push(*at);
            }
        }
        let all = may.iter().fold(room, |room, at| room.plus(self.held[*at as usize].amounts));
        if !shape.amounts.within(all) {
            return None;
        }
        // Lowest priority first, of equals the one that frees most, until it fits.
        may.sort_by_key(|at| {
            let held = &self.held[*at as usize];
            (held.priority, std::cmp::Reverse((held.amounts.cpu, held.amounts.memory)), held.id.clone())
        });
        let mut chosen = Vec::new();
        // One address is as good as another: a single instance that goes is enough.
        let mut crowded = node.is_crowded() && must.is_empty();
        for at in may {
            if shape.amounts.within(room) && !crowded {
                break;
            }
            crowded = false;
            room = room.plus(self.held[at as usize].amounts);
            chosen.push(at);
        }
        // Whoever turns out not to be needed stays, the highest priority first.
        for place in (0..chosen.len()).rev() {
            let without = room.minus(self.held[chosen[place] as usize].amounts);
            let last = chosen.len() == 1 && must.is_empty() && node.is_crowded();
            if shape.amounts.within(without) && !last {
                room = without;
                chosen.remove(place);
            }
        }
        if crowded {
            return None;
        }
        Some(must.into_iter().chain(chosen).collect())
    }
}
