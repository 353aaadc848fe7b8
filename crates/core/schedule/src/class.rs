//! Classes of requests: the nodes' keys for requests that are alike, brought up to date change by change.

use std::sync::Arc;

use crate::filter::{Rules, TIES, fixed, key};
use crate::node::NodeState;
use crate::request::{Request, Shape};
use crate::scheduler::{Scheduler, Table, index};
use crate::tree::{NONE, Tree};

/// What a value of a spread attribute has, counted over all nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domain {
    /// Instances of the workload.
    pub(crate) instances: u32,
    /// Nodes that could take the request were there room.
    pub(crate) nodes: u32,
}

/// Nodes that are alike in every attribute that the request spreads over.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) tree: Tree,
    pub(crate) members: Vec<u32>,
    /// The domain of each spread rule; absent where nodes lack the attribute.
    pub(crate) domains: Vec<Option<u32>>,
}

/// Requests that are alike.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) hash: u64,
    pub(crate) shape: Arc<Shape>,
    pub(crate) rules: Rules,
    /// The workload, when the class is for one workload alone.
    pub(crate) workload: Option<u32>,
    /// When it was last used.
    pub(crate) used: u64,
    epoch: u64,
    log_end: u64,
    /// Whether each node passes what does not depend on its load.
    pub(crate) fixed: Vec<bool>,
    /// The group of each node and its place there.
    group_of: Vec<(u32, u32)>,
    pub(crate) groups: Vec<Group>,
    /// The domains of each spread rule.
    pub(crate) domains: Vec<Vec<Domain>>,
    /// How many instances of the workload each node had when it was last looked at.
    counted: Vec<u32>,
}

impl Class {
    fn new(shape: Arc<Shape>, hash: u64, rules: Rules, workload: Option<u32>) -> Self {
        Self {
            hash,
            shape,
            rules,
            workload,
            used: 0,
            epoch: u64::MAX,
            log_end: 0,
            fixed: Vec::new(),
            group_of: Vec::new(),
            groups: Vec::new(),
            domains: Vec::new(),
            counted: Vec::new(),
        }
    }

    fn key(&self, node: &NodeState, at: u32) -> i64 {
        let passes = node.present && self.fixed[at as usize];
        if passes { key(&self.shape, &self.rules, node).unwrap_or(NONE) } else { NONE }
    }

    /// Looks at every node.
    fn rebuild(&mut self, nodes: &[NodeState]) {
        let shape = Arc::clone(&self.shape);
        let spreads = !shape.spread.is_empty();
        self.fixed = nodes.iter().map(|node| node.present && fixed(&shape, &node.info).is_none()).collect();
        self.domains = vec![Vec::new(); shape.spread.len()];
        self.counted = if spreads { vec![0; nodes.len()] } else { Vec::new() };
        let mut values: Vec<Table<&str, u32>> = vec![Table::default(); shape.spread.len()];
        let mut known: Table<Vec<Option<u32>>, u32> = Table::default();
        let mut groups: Vec<(Vec<u32>, Vec<Option<u32>>)> = Vec::new();
        self.group_of.clear();
        for (at, node) in nodes.iter().enumerate() {
            let mut domains = Vec::with_capacity(shape.spread.len());
            for (rule, spread) in shape.spread.iter().enumerate() {
                let value = spread.attribute.value(&node.info).filter(|_| node.present);
                domains.push(value.map(|value| {
                    let all = &mut self.domains[rule];
                    let next = index(all.len());
                    let domain = *values[rule].entry(value).or_insert(next);
                    if domain == next {
                        all.push(Domain::default());
                    }
                    domain
                }));
            }
            let count = self.workload.filter(|_| spreads).map_or(0, |own| staying(node, own));
            if spreads {
                self.counted[at] = count;
            }
            for (rule, domain) in domains.iter().enumerate() {
                if let Some(domain) = domain {
                    let domain = &mut self.domains[rule][*domain as usize];
                    domain.instances += count;
                    domain.nodes += u32::from(self.fixed[at]);
                }
            }
            let group = *known.entry(domains.clone()).or_insert_with(|| {
                groups.push((Vec::new(), domains));
                index(groups.len() - 1)
            });
            let members = &mut groups[group as usize].0;
            self.group_of.push((group, index(members.len())));
            members.push(index(at));
        }
        self.groups = groups
            .into_iter()
            .map(|(members, domains)| {
                let keys: Vec<i64> = members.iter().map(|at| self.key(&nodes[*at as usize], *at)).collect();
                Group { tree: Tree::of(&keys), members, domains }
            })
            .collect();
    }

    /// Looks again at one node whose load changed.
    fn refresh(&mut self, nodes: &[NodeState], at: u32) {
        let node = &nodes[at as usize];
        let (group, place) = self.group_of[at as usize];
        let key = self.key(node, at);
        self.groups[group as usize].tree.set(place as usize, key);
        if let Some(own) = self.workload
            && !self.counted.is_empty()
        {
            let count = staying(node, own);
            let before = std::mem::replace(&mut self.counted[at as usize], count);
            if count != before {
                for (rule, domain) in self.groups[group as usize].domains.iter().enumerate() {
                    if let Some(domain) = domain {
                        let domain = &mut self.domains[rule][*domain as usize];
                        domain.instances = domain.instances + count - before;
                    }
                }
            }
        }
    }

    /// The fewest instances that any domain of a rule has, over domains that could take one.
    pub(crate) fn fewest(&self, rule: usize) -> u32 {
        self.domains[rule]
            .iter()
            .filter(|domain| domain.nodes > 0)
            .map(|domain| domain.instances)
            .min()
            .unwrap_or(0)
    }

    /// What the spread rules add to every node of a group, in millionths; absent when one forbids it.
    pub(crate) fn spread(&self, group: &Group, fewest: &[u32]) -> Option<i64> {
        let mut sum = 0;
        for (rule, domain) in group.domains.iter().enumerate() {
            let Some(domain) = domain else {
                // A node without the attribute belongs to no domain: a preference gives it nothing.
                if self.shape.spread[rule].required {
                    return None;
                }
                continue;
            };
            let above = self.domains[rule][*domain as usize].instances.saturating_sub(fewest[rule]);
            if self.shape.spread[rule].required && above > 0 {
                return None;
            }
            sum += 2_000_000 / (1 + i64::from(above));
        }
        Some(sum)
    }

    /// The best node: its index, and its key with the spread's share.
    pub(crate) fn best(&self) -> Option<(u32, i64)> {
        let fewest: Vec<u32> = (0..self.domains.len()).map(|rule| self.fewest(rule)).collect();
        let mut best: Option<(i64, &Group)> = None;
        for group in &self.groups {
            let key = group.tree.best();
            if key == NONE {
                continue;
            }
            let Some(spread) = self.spread(group, &fewest) else { continue };
            let total = key + spread * TIES;
            if best.is_none_or(|(known, _)| total > known) {
                best = Some((total, group));
            }
        }
        best.map(|(total, group)| (group.members[group.tree.best_place()], total))
    }

    /// The group of a node.
    pub(crate) fn group(&self, at: u32) -> &Group {
        &self.groups[self.group_of[at as usize].0 as usize]
    }
}

/// The instances of a workload on a node that count where it is spread: those of a node that is being drained are on
/// their way, and what takes their place belongs where they were.
fn staying(node: &NodeState, workload: u32) -> u32 {
    if node.present && !node.info.draining { node.count_of(workload) } else { 0 }
}

impl Scheduler {
    /// The class of a request, up to date.
    pub(crate) fn class(&mut self, request: &Request) -> usize {
        let workload = self.workload_number(&request.org, &request.workload);
        let shape = &request.shape;
        let own = (shape.alone || !shape.spread.is_empty() || self.is_repelled(workload)).then_some(workload);
        let known = self.class_of.get(&(request.hash, own)).and_then(|all| {
            all.iter().copied().find(|at| {
                let class = &self.classes[*at as usize];
                Arc::ptr_eq(&class.shape, shape) || class.shape == *shape
            })
        });
        let at = match known {
            Some(at) => at as usize,
            None => self.new_class(request, own),
        };
        self.uses += 1;
        self.bring_up_to_date(at);
        self.classes[at].used = self.uses;
        at
    }

    fn new_class(&mut self, request: &Request, own: Option<u32>) -> usize {
        self.make_room();
        let rules = self.rules(request, own);
        let class = Class::new(Arc::clone(&request.shape), request.hash, rules, own);
        let at = self.classes.len();
        self.classes.push(class);
        self.class_of.entry((request.hash, own)).or_default().push(index(at));
        at
    }

    /// The numbers of the workloads that a request speaks of.
    fn rules(&mut self, request: &Request, own: Option<u32>) -> Rules {
        let shape = Arc::clone(&request.shape);
        let mut numbers = |names: &[univrs_model::name::Name]| -> Vec<u32> {
            names.iter().map(|name| self.workload_number(&request.org, name)).collect()
        };
        Rules { affinity: numbers(&shape.affinity), anti_affinity: numbers(&shape.anti_affinity), own }
    }

    fn bring_up_to_date(&mut self, at: usize) {
        let end = self.log_end();
        let Self { nodes, classes, log, log_base, epoch, .. } = self;
        let class = &mut classes[at];
        if class.epoch == *epoch && class.log_end == end {
            return;
        }
        let skip = class.log_end.checked_sub(*log_base).and_then(|skip| usize::try_from(skip).ok());
        match skip.filter(|_| class.epoch == *epoch) {
            Some(skip) => {
                for node in log.range(skip..) {
                    class.refresh(nodes, *node);
                }
            }
            None => class.rebuild(nodes),
        }
        class.epoch = *epoch;
        class.log_end = end;
    }
}
