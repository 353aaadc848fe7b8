//! What the product promises (`docs/adr/0022-history-and-simulation.md`), looked at after every change of the store and
//! at every start and end of a container.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;
use univrs_control::{State, Touched, WorkloadKey};
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, Desired, Instance};
use univrs_model::keys;
use univrs_model::workload::{OnReconnect, WorkloadSpec};
use univrs_ports::store::{Op, Txn, WatchBatch};
use univrs_rollout::loss::stop_after;

use super::link::{Line, parts};

/// A node that was in touch for so long has renewed its lease, though a request before may have waited in vain.
const IN_TOUCH: Duration = Duration::from_secs(20);

/// The promises, what is needed to judge them, and the trace of the run.
pub(crate) struct Promises {
    began: Instant,
    /// The store's content, by the product's own reading of it.
    pub(crate) state: State,
    /// Whose instances were ever wanted, with the spec they were made of.
    owners: BTreeMap<InstanceId, (WorkloadKey, std::sync::Arc<WorkloadSpec>)>,
    /// Instances that have been on a node once.
    begun: BTreeSet<(NodeId, InstanceId)>,
    /// What runs where.
    running: BTreeMap<InstanceId, NodeId>,
    /// What was rightly asked to end, and has not ended yet.
    ending: BTreeSet<InstanceId>,
    /// The line of each machine, and since when its agent runs.
    processes: BTreeMap<NodeId, (std::sync::Arc<Line>, Option<Instant>)>,
    /// When each machine last registered.
    signed: BTreeMap<NodeId, Instant>,
    pub(crate) broken: Vec<String>,
    hash: DefaultHasher,
    /// What happened, for people.
    told: Vec<String>,
}

impl Promises {
    pub(crate) fn new(began: Instant) -> Self {
        Self {
            began,
            state: State::default(),
            owners: BTreeMap::new(),
            begun: BTreeSet::new(),
            running: BTreeMap::new(),
            ending: BTreeSet::new(),
            processes: BTreeMap::new(),
            signed: BTreeMap::new(),
            broken: Vec::new(),
            hash: DefaultHasher::new(),
            told: Vec::new(),
        }
    }

    /// Writes something into the trace: equal runs have equal traces.
    pub(crate) fn note(&mut self, what: String) {
        let line = format!("{:>8} ms {what}", self.began.elapsed().as_millis());
        line.hash(&mut self.hash);
        self.told.push(line);
    }

    pub(crate) fn trace(&self) -> u64 {
        self.hash.finish()
    }

    /// What happened, line by line.
    pub(crate) fn told(&self) -> &[String] {
        &self.told
    }

    /// An agent begins or ends.
    pub(crate) fn process(&mut self, node: &NodeId, line: &std::sync::Arc<Line>, runs: bool) {
        let since = runs.then(Instant::now);
        self.processes.insert(node.clone(), (std::sync::Arc::clone(line), since));
    }

    pub(crate) fn fail(&mut self, what: String) {
        let at = self.began.elapsed().as_millis();
        self.broken.push(format!("after {at} ms: {what}"));
    }

    /// Looks at a change of the store.
    pub(crate) fn committed(&mut self, batch: &WatchBatch, dense: bool) {
        if !dense {
            self.fail(format!("revision {} leaves a gap or repeats one", batch.revision));
        }
        let before = self.state.clone();
        let mut touched = Touched::default();
        for event in &batch.events {
            match parts(event) {
                (key, Some(value)) => self.state.put(key, value, &mut touched),
                (key, None) => self.state.delete(key, &mut touched),
            }
            let alive = event.key().as_str().strip_prefix(keys::NODES_ALIVE);
            if let (Some(node), Some(_)) = (alive.and_then(|id| id.parse().ok()), parts(event).1) {
                self.signed.insert(node, Instant::now());
            }
            let kind = keys::split(event.key().as_str()).map_or("", |(_, kind, _)| kind);
            let of_cluster = event.key().as_str().starts_with("cluster-");
            // Logs are numbered by chance, so that two nodes do not meet.
            if !of_cluster && !matches!(kind, "event" | "audit" | "request" | "plan") {
                let gone = if parts(event).1.is_none() { " gone" } else { "" };
                self.note(format!("revision {}: {}{gone}", batch.revision, event.key()));
            }
        }
        self.state.revision = batch.revision;
        for id in &touched.instances {
            self.instance_changed(&before, id);
        }
        for node in &before.nodes_alive {
            if !self.state.nodes_alive.contains(node) {
                self.lease_over(node);
            }
        }
        if !touched.instances.is_empty() || !touched.nodes.is_empty() {
            self.no_overcommitment();
        }
        for key in &touched.workloads {
            self.rollout_kept(&before, key);
        }
    }

    fn instance_changed(&mut self, before: &State, id: &InstanceId) {
        let (old, new) = (before.instance(id), self.state.instance(id));
        if let Some(new) = &new {
            let assignment = &new.assignment;
            self.note(format!(
                "  {id} {} {:?} fence {} lost {} on {:?}: {:?}",
                assignment.workload,
                assignment.desired,
                assignment.fence,
                assignment.lost,
                assignment.node,
                new.phase()
            ));
            if let Some(spec) = self.spec_of(assignment) {
                let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
                self.owners.insert(id.clone(), (key, spec));
            }
        }
        let (Some(old), Some(new)) = (old, new) else { return };
        let (was, is) = (&old.assignment, &new.assignment);
        if is.fence < was.fence {
            self.fail(format!("the fence of {id} went back from {} to {}", was.fence, is.fence));
        }
        if was.desired == Desired::Stop && is.desired == Desired::Run || was.lost && !is.lost {
            self.fail(format!("{id} was asked to end, or given up, and is wanted again"));
        }
        if was.node.is_some() && was.node != is.node {
            self.fail(format!("{id} moved from {:?} to {:?}", was.node, is.node));
        }
        if let (Some(was), Some(is)) = (&old.observation, &new.observation)
            && is.phase < was.phase
        {
            self.fail(format!("{id} went back from {:?} to {:?}", was.phase, is.phase));
        }
    }

    /// A node that runs and has been in touch with the majority all the time keeps its lease.
    fn lease_over(&mut self, node: &NodeId) {
        self.note(format!("the lease of {node} is over"));
        let Some((line, Some(since))) = self.processes.get(node) else { return };
        let Some(then) = Instant::now().checked_sub(IN_TOUCH) else { return };
        // What it registered before, while it was cut off, may come late and once more take the newer one's place.
        let signed = self.signed.get(node).is_some_and(|signed| *signed <= then);
        if *since <= then && signed && line.whole_since(then) {
            self.fail(format!("{node} could be reached all the time and was taken for dead"));
        }
    }

    fn spec_of(&self, assignment: &Assignment) -> Option<std::sync::Arc<WorkloadSpec>> {
        let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
        Some(self.state.rollouts.get(&key)?.revision(assignment.workload_revision)?.spec.clone())
    }

    /// Nothing is placed beyond what a node has.
    fn no_overcommitment(&mut self) {
        let mut over = Vec::new();
        for (id, node) in &self.state.nodes {
            let (mut cpu, mut memory) = (0, 0);
            for assignment in self.state.assignments_on(id) {
                if self.state.instance(&assignment.id).is_some_and(|i| i.phase().holds_resources()) {
                    cpu += assignment.requests.cpu.as_millicores();
                    memory += assignment.requests.memory.get();
                }
            }
            if cpu > node.capacity.cpu.as_millicores() || memory > node.capacity.memory.get() {
                over.push(format!("{cpu} millicores and {memory} bytes are placed on {}", node.name));
            }
        }
        over.into_iter().for_each(|over| self.fail(over));
    }

    /// A singleton has one instance that is not ended, and an update makes no more than its surge allows.
    fn rollout_kept(&mut self, before: &State, key: &WorkloadKey) {
        let Some(rollout) = self.state.rollouts.get(key) else { return };
        let Some(spec) = rollout.revision(rollout.target).map(|revision| revision.spec.clone()) else {
            return;
        };
        let live = |state: &State| {
            state
                .instances_of(key)
                .into_iter()
                .filter(|i| !i.phase().is_terminal())
                .collect::<Vec<Instance>>()
        };
        let (was, is) = (live(before), live(&self.state));
        if spec.singleton && is.len() > 1 {
            self.fail(format!("singleton {} has {} instances", key.name, is.len()));
        }
        let most = (spec.replicas + spec.update.max_surge) as usize;
        let keeps_replacement = spec.on_disconnect.on_reconnect == OnReconnect::KeepReplacement;
        if keeps_replacement && is.len() > was.len() && is.len() > most {
            self.fail(format!("{} has {} instances where {most} are the most", key.name, is.len()));
        }
    }

    /// Looks at what a loop is about to write, by the picture it has: an update never goes below its floor, and nothing is
    /// given up while the lease of its node holds.
    pub(crate) fn decided(&mut self, picture: &State, txn: &Txn) {
        let mut stopped: BTreeMap<WorkloadKey, Vec<InstanceId>> = BTreeMap::new();
        for op in &txn.ops {
            let Op::Put { key, value, .. } = op else { continue };
            if keys::split(key.as_str()).is_none_or(|(_, kind, _)| kind != "instance") {
                continue;
            }
            let Ok(assignment) = serde_json::from_slice::<Assignment>(value) else { continue };
            let given_up =
                picture.assignments.get(&assignment.id).filter(|known| assignment.lost && !known.lost);
            if let Some(node) = given_up.and_then(|known| known.node.as_ref())
                && picture.nodes_alive.contains(node)
            {
                self.fail(format!("{} is given up on {node} while its lease held", assignment.id));
            }
            let known = picture.assignments.get(&assignment.id).map(|known| known.desired);
            let by_update = ["replaced by another version", "its node is being drained"];
            if assignment.desired == Desired::Stop
                && known == Some(Desired::Run)
                && by_update.contains(&assignment.reason.as_str())
            {
                let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
                stopped.entry(key).or_default().push(assignment.id.clone());
            }
        }
        for (key, ids) in stopped {
            let Some(workload) = picture.workloads.get(&key) else { continue };
            let spec = &workload.spec;
            if spec.singleton {
                continue;
            }
            let floor = spec.replicas.saturating_sub(spec.update.max_unavailable) as usize;
            let serving: Vec<InstanceId> = picture
                .instances_of(&key)
                .into_iter()
                .filter(|i| i.serves() && i.assignment.desired == Desired::Run)
                .map(|i| i.assignment.id)
                .collect();
            let ended = serving.iter().filter(|id| ids.contains(id)).count();
            if ended > 0 && serving.len() - ended < floor {
                let (left, name) = (serving.len() - ended, &key.name);
                self.fail(format!("an update of {name} leaves {left} serving where {floor} are the least"));
            }
        }
    }

    /// A container is about to be started: only what has begun may be without the lease.
    pub(crate) fn starting(&mut self, node: &NodeId, id: &InstanceId, attempt: u32) {
        self.note(format!("{node} starts {id} attempt {attempt}"));
        let fresh = self.begun.insert((node.clone(), id.clone()));
        if fresh && !self.state.nodes_alive.contains(node) {
            self.fail(format!("{node} begins {id} without its lease"));
        }
    }

    /// A container runs now: singletons run once.
    pub(crate) fn started(&mut self, node: &NodeId, id: &InstanceId) {
        self.running.insert(id.clone(), node.clone());
        self.ending.remove(id);
        let Some((key, spec)) = self.owners.get(id).cloned() else {
            self.fail(format!("{node} runs {id}, which nobody wanted"));
            return;
        };
        if !spec.singleton {
            return;
        }
        let twins: Vec<String> = self
            .running
            .iter()
            .filter(|(other, _)| self.owners.get(other).is_some_and(|(owner, _)| *owner == key))
            .map(|(other, node)| format!("{other} on {node}"))
            .collect();
        if twins.len() > 1 {
            self.fail(format!("singleton {} runs more than once: {}", key.name, twins.join(", ")));
        }
    }

    pub(crate) fn ended(&mut self, node: &NodeId, id: &InstanceId) {
        if self.running.get(id) == Some(node) {
            self.running.remove(id);
            self.ending.remove(id);
            self.note(format!("{id} has ended on {node}"));
        }
    }

    /// A node asks a container to end: because it was told to, or because it was cut off for as long as the spec says. What
    /// takes long to end may be asked again, also by the next process, whoever was heard meanwhile.
    pub(crate) fn stopping(&mut self, node: &NodeId, id: &InstanceId, unheard: Duration) {
        self.note(format!("{node} stops {id}"));
        let wanted = self.state.assignments.get(id).filter(|a| a.desired == Desired::Run && !a.lost);
        let ended = self.state.observations.get(id).is_some_and(|seen| seen.phase.is_terminal());
        if wanted.is_none() || ended {
            self.ending.insert(id.clone());
            return;
        }
        if self.ending.contains(id) {
            return;
        }
        let after = self.owners.get(id).and_then(|(_, spec)| stop_after(spec));
        match after {
            // A process that has never been heard counts from its start.
            Some(after) if unheard >= after.duration() => drop(self.ending.insert(id.clone())),
            _ => self.fail(format!(
                "{node} stops {id}, which is wanted, unheard for {unheard:?}, {after:?} allowed"
            )),
        }
    }
}
