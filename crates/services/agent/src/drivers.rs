//! One driver per instance: started when its first order comes, and told of what is ordered later.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_model::Timestamp;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::InstanceOrder;
use univrs_ports::clock::Clock;
use univrs_ports::control_plane::OrderChanges;
use univrs_ports::keepsake::{Keepsake, Limit};

use crate::agent::{Machine, RETRY};
use crate::alone;
use crate::driver::{Adopted, Driver};
use crate::reporter::Reporter;

/// What drivers are started with.
pub(crate) struct Start {
    pub(crate) node: NodeId,
    pub(crate) machine: Machine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keepsake: Arc<dyn Keepsake>,
    pub(crate) reporter: Reporter,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// How a driver is told that something changed.
struct Line {
    order: watch::Sender<Option<InstanceOrder>>,
    cut_off: watch::Sender<Option<Timestamp>>,
    look: Arc<Notify>,
}

/// The drivers of a node.
pub(crate) struct Drivers {
    start: Start,
    /// What was found here and has no driver yet.
    found: BTreeMap<InstanceId, Adopted>,
    lines: BTreeMap<InstanceId, Line>,
    /// What may not run alone, of all that is ordered.
    limits: BTreeMap<InstanceId, Limit>,
    /// What could not begin and is to be tried again.
    put_off: OrderChanges,
    cut_off: Option<Timestamp>,
    ended: mpsc::UnboundedSender<InstanceId>,
}

impl Drivers {
    /// None yet. Those that end by themselves are named to the second one returned, and are to be handed to
    /// [`Drivers::ended`].
    pub(crate) fn new(
        start: Start,
        found: BTreeMap<InstanceId, Adopted>,
        cut_off: Option<Timestamp>,
    ) -> (Self, mpsc::UnboundedReceiver<InstanceId>) {
        let (ended, endings) = mpsc::unbounded_channel();
        let (lines, limits, put_off) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        (Self { start, found, lines, limits, put_off, cut_off, ended }, endings)
    }

    /// Since when the control plane has not been heard.
    pub(crate) fn cut_off(&mut self, since: Option<Timestamp>) {
        self.cut_off = since;
        for line in self.lines.values() {
            line.cut_off.send_replace(since);
        }
    }

    /// Something of an instance ended.
    pub(crate) fn look(&self, instance: &InstanceId) {
        if let Some(line) = self.lines.get(instance) {
            line.look.notify_one();
        }
    }

    /// Takes in what is ordered; the first time, all of it. Answers whether something is left that could not be done: then
    /// this is to be called again a little later, with or without news.
    pub(crate) fn obey(&mut self, news: OrderChanges) -> bool {
        let mut changes = std::mem::take(&mut self.put_off);
        changes.extend(news);
        let unnoted = self.note_limits(&changes);
        for id in unnoted.iter().filter(|id| !self.lines.contains_key(*id)) {
            self.put_off.extend(changes.remove_entry(id));
        }
        for (id, order) in changes {
            if let Some(line) = self.lines.get(&id) {
                tell(&line.order, order);
                self.ended(&id);
            } else if order.is_some() {
                self.start(id, order);
            }
        }
        // Of what is still there, nothing is wanted.
        while let Some(id) = self.found.keys().next().cloned() {
            self.start(id, None);
        }
        !unnoted.is_empty()
    }

    /// Notes on the machine what may not run alone, before it begins; answers of what that failed.
    fn note_limits(&mut self, changes: &OrderChanges) -> BTreeSet<InstanceId> {
        for (id, order) in changes {
            match order.as_ref().and_then(alone::limit) {
                Some(limit) => drop(self.limits.insert(id.clone(), limit)),
                None => drop(self.limits.remove(id)),
            }
        }
        let noted = self.start.keepsake.limits();
        if noted.iter().eq(self.limits.values()) {
            return BTreeSet::new();
        }
        let limits: Vec<Limit> = self.limits.values().cloned().collect();
        let Err(error) = self.start.keepsake.keep(&limits) else { return BTreeSet::new() };
        tracing::error!(%error, "what may not run alone cannot be noted on this machine, and does not begin; trying again");
        limits.into_iter().filter(|limit| !noted.contains(limit)).map(|limit| limit.instance).collect()
    }

    /// A driver may have ended, since there was nothing left to do. An order that came meanwhile is for the next one.
    pub(crate) fn ended(&mut self, instance: &InstanceId) {
        if self.lines.get(instance).is_some_and(|line| line.order.is_closed())
            && let Some(line) = self.lines.remove(instance)
            && let Some(order) = line.order.borrow().clone()
        {
            self.start(instance.clone(), Some(order));
        }
    }

    fn start(&mut self, id: InstanceId, order: Option<InstanceOrder>) {
        let adopted = self.found.remove(&id).unwrap_or_default();
        let Start { node, machine, clock, reporter, tasks, shutdown, keepsake: _ } = &self.start;
        let driver = Driver::new(
            id.clone(),
            machine.clone(),
            Arc::clone(clock),
            reporter.clone(),
            node.clone(),
            adopted,
        );
        let (order, orders) = watch::channel(order);
        let (cut_off, cut_off_seen) = watch::channel(self.cut_off);
        let look = Arc::new(Notify::new());
        let (looks, shutdown, ended) = (Arc::clone(&look), shutdown.clone(), self.ended.clone());
        self.lines.insert(id.clone(), Line { order, cut_off, look });
        tasks.spawn(async move {
            let run = driver.run(orders, looks, cut_off_seen, shutdown);
            if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                tracing::error!(instance = %id, "the driver of an instance ended by a panic; starting another");
                tokio::time::sleep(RETRY).await;
            }
            // Nobody listens any more when the agent ends.
            let _unheard = ended.send(id);
        });
    }
}

fn tell(line: &watch::Sender<Option<InstanceOrder>>, order: Option<InstanceOrder>) {
    line.send_if_modified(|known| {
        let differs = *known != order;
        if differs {
            *known = order;
        }
        differs
    });
}
