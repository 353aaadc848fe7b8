//! Placing one request.

use univrs_model::ids::NodeId;

use crate::explain::{Filter, Unplaceable};
use crate::filter::{TIES, fit, fixed, loaded, nearness};
use crate::request::Request;
use crate::scheduler::Scheduler;

/// What a node loses for each instance of the same workload it holds, in millionths.
const SIBLING: i64 = 100_000;
/// How many of the best nodes are looked at for one without siblings.
const MOST_LOOKED_AT: usize = 8;

/// Where a request goes, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node.
    pub node: NodeId,
    /// What spoke for it.
    pub scores: Scores,
}

/// What speaks for a node, each in millionths; more is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// How empty (strategy spread) or full (binpack) it would be, by the resource it runs out of first.
    pub fit: i64,
    /// Workloads there that the request wants to be near.
    pub affinity: i64,
    /// How evenly the instances are spread with this one.
    pub spread: i64,
    /// Taken off for instances of the same workload there.
    pub siblings: i64,
}

impl Scores {
    /// All together.
    pub fn total(&self) -> i64 {
        self.fit + self.affinity + self.spread + self.siblings
    }
}

impl Scheduler {
    /// The best node for a request. Nothing is reserved: add the instance once its placement is decided.
    ///
    /// # Errors
    /// When no node passes all filters: how many failed which, and how near the nearest are.
    pub fn place(&mut self, request: &Request) -> Result<Placement, Box<Unplaceable>> {
        let at = self.class(request);
        if let Some(pinned) = &request.pinned {
            return self.place_pinned(at, pinned, request);
        }
        let Some((best, _)) = self.classes[at].best() else {
            return Err(Box::new(self.unplaceable(at, request)));
        };
        let chosen = self.without_siblings(at, request, best);
        Ok(Placement {
            node: self.nodes[chosen as usize].id.clone(),
            scores: self.scores(at, request, chosen),
        })
    }

    fn place_pinned(
        &self,
        at: usize,
        pinned: &NodeId,
        request: &Request,
    ) -> Result<Placement, Box<Unplaceable>> {
        let refused = || Err(Box::new(self.unplaceable(at, request)));
        let Some(node) = self.node_index(pinned) else { return refused() };
        if self.refusal(at, node).is_some() {
            return refused();
        }
        Ok(Placement { node: pinned.clone(), scores: self.scores(at, request, node) })
    }

    /// The first filter that a node fails, for a class.
    pub(crate) fn refusal(&self, class: usize, node: u32) -> Option<Filter> {
        let class = &self.classes[class];
        let state = &self.nodes[node as usize];
        let spread = || {
            let fewest: Vec<u32> = (0..class.domains.len()).map(|rule| class.fewest(rule)).collect();
            class.spread(class.group(node), &fewest).is_none().then_some(Filter::Spread)
        };
        fixed(&class.shape, &state.info).or_else(|| loaded(&class.shape, &class.rules, state)).or_else(spread)
    }

    /// Among nodes that are nearly as good, one that holds fewer instances of the same workload. Only where the
    /// user did not say how to spread, and only while there may be nodes without any.
    fn without_siblings(&mut self, at: usize, request: &Request, best: u32) -> u32 {
        let shape = &request.shape;
        if shape.binpack || !shape.spread.is_empty() || shape.alone {
            return best;
        }
        let own = self.workload_number(&request.org, &request.workload);
        let siblings = |node: u32| self.nodes[node as usize].count_of(own);
        if siblings(best) == 0 {
            return best;
        }
        // Counted over nodes that are there: places of removed ones stay in the group until they are given away.
        if self.totals[own as usize] as usize >= self.node_count() {
            return best;
        }
        // Without spread rules there is one group, of all nodes.
        let group = self.classes[at].group(best);
        let candidates = group.tree.top(MOST_LOOKED_AT);
        let keyed = candidates.iter().map(|(key, place)| {
            let node = group.members[*place];
            (key - i64::from(siblings(node)) * SIBLING * TIES, node)
        });
        keyed.max_by_key(|(key, node)| (*key, std::cmp::Reverse(*node))).map_or(best, |(_, node)| node)
    }

    /// What speaks for a node that passes all filters.
    pub(crate) fn scores(&self, at: usize, request: &Request, node: u32) -> Scores {
        let class = &self.classes[at];
        let state = &self.nodes[node as usize];
        let spread = if class.domains.is_empty() {
            0
        } else {
            let fewest: Vec<u32> = (0..class.domains.len()).map(|rule| class.fewest(rule)).collect();
            class.spread(class.group(node), &fewest).unwrap_or(0)
        };
        let counted = !request.shape.binpack && class.domains.is_empty();
        let own = self.known_workload(&request.org, &request.workload).filter(|_| counted);
        let siblings = own.map_or(0, |own| i64::from(state.count_of(own)));
        Scores {
            fit: fit(&class.shape, state),
            affinity: nearness(&class.rules, state),
            spread,
            siblings: -siblings * SIBLING,
        }
    }
}
