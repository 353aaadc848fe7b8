//! Reads what the instances of resources use, and how full volumes are; tells it seldom.
//!
//! What is told of a window grows with each telling and takes the place of what was told before, so that nothing is
//! lost or counted twice when a telling fails or the process ends in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::MissedTickBehavior;
use univrs_model::Timestamp;
use univrs_model::ids::{InstanceId, NodeId, ResourceId};
use univrs_model::instance::InstanceOrder;
use univrs_model::keys;
use univrs_model::resource::{REQUESTS_LABEL, RESOURCE_LABEL};
use univrs_model::usage::{Measured, Measures, Reading, VolumeMeasured, VolumesMeasured, requests_in};
use univrs_model::volume::{path, place};
use univrs_ports::clock::Clock;
use univrs_ports::control_plane::ControlPlane;
use univrs_ports::network::Traffic;
use univrs_ports::runtime::{ContainerId, ContainerPhase, LogQuery};
use univrs_watch::meter::{Look, look};

use crate::agent::Machine;

/// How often counters are read.
const LOOK: Duration = Duration::from_secs(10);
/// How often what they said is told, in looks: once a minute.
const TELL: u32 = 6;
/// The name of the network's reading.
const NETWORK: &str = "network";
/// By how much a volume must change to be told before its turn: a fiftieth of it.
const NOTEWORTHY: u64 = 50;
/// In how many lines of a log a count of requests is looked for.
const LINES: usize = 200;

/// The loop that measures.
pub(crate) struct Measuring {
    pub(crate) node: NodeId,
    pub(crate) machine: Machine,
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    open: BTreeMap<InstanceId, Measured>,
    closed: Vec<Measured>,
    volumes: VolumesMeasured,
    told: Option<VolumesMeasured>,
}

impl Measuring {
    /// Measures for as long as it is polled.
    pub(crate) async fn run(self) {
        let mut due = tokio::time::interval(LOOK);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        for turn in (0..TELL).cycle() {
            due.tick().await;
            let known = match &mut known {
                Some(known) => known,
                None => match self.control.measured_before(&self.node).await {
                    Ok(before) => known.insert(Known {
                        open: before.into_iter().map(|one| (one.instance.clone(), one)).collect(),
                        ..Known::default()
                    }),
                    Err(error) => {
                        tracing::debug!(%error, "cannot see yet what was measured");
                        continue;
                    }
                },
            };
            self.look(known).await;
            self.tell(known, turn == 0).await;
        }
    }

    async fn look(&self, known: &mut Known) {
        let Some(orders) = self.control.orders(&self.node).next().await else { return };
        let traffic = match self.machine.network.traffic().await {
            Ok(traffic) => traffic,
            Err(error) => {
                tracing::debug!(%error, "the network's counters cannot be read");
                BTreeMap::new()
            }
        };
        let mut open = std::mem::take(&mut known.open);
        let mut volumes = VolumesMeasured::default();
        for order in orders.values().flatten() {
            let resource = order.spec.labels.get(RESOURCE_LABEL).and_then(|id| id.parse::<ResourceId>().ok());
            let storage = self.volumes_of(order, resource.as_ref(), &known.volumes, &mut volumes).await;
            let Some(resource) = resource else { continue };
            let id = order.assignment.id.clone();
            let now = self.clock.now();
            let before = open.remove(&id);
            let Some(seen) = self.seen(order, traffic.get(&id), storage, now).await else {
                // What it uses meanwhile is counted when it is seen again.
                known.open.extend(before.map(|before| (id, before)));
                continue;
            };
            if before.is_none() && seen.readings.is_empty() {
                continue;
            }
            // A window of an instance is told as over once: a container that starts again goes on with it.
            let mut measured = before.unwrap_or_else(|| fresh(order, resource, now));
            known.closed.extend(look(&mut measured, &seen));
            known.open.insert(id, measured);
        }
        // Those that are not wanted here any more.
        known.closed.extend(open.into_values().map(|gone| Measured {
            closed: true,
            readings: BTreeMap::new(),
            ..gone
        }));
        known.volumes = volumes;
    }

    /// What an instance uses now: no counters when none of its containers runs, nothing when that cannot be seen.
    async fn seen(
        &self,
        order: &InstanceOrder,
        traffic: Option<&Traffic>,
        storage: u64,
        now: Timestamp,
    ) -> Option<Look> {
        let mut readings = BTreeMap::new();
        let (mut memory, mut hidden) = (0, false);
        for container in order.spec.containers() {
            let id = ContainerId { instance: order.assignment.id.clone(), container: container.name };
            let state = match self.machine.runtime.inspect(&id).await {
                Ok(Some(state)) if state.phase == ContainerPhase::Running => state,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(container = %id, %error, "what it uses cannot be seen");
                    hidden = true;
                    continue;
                }
            };
            // It may have ended just now.
            let Ok(usage) = self.machine.runtime.usage(&id).await else {
                hidden = true;
                continue;
            };
            memory += usage.memory;
            let reading = Reading {
                since: state.started_at,
                cpu_micros: usage.cpu_micros,
                network_in: 0,
                network_out: 0,
                requests: self.requests(order, &id).await,
            };
            readings.insert(format!("container/{}", id.container), reading);
        }
        if readings.is_empty() && hidden {
            return None;
        }
        let runs = !readings.is_empty();
        if let Some(traffic) = traffic.filter(|_| runs) {
            let reading = Reading {
                since: Timestamp::UNIX_EPOCH,
                cpu_micros: 0,
                network_in: traffic.received,
                network_out: traffic.sent,
                requests: None,
            };
            readings.insert(NETWORK.to_owned(), reading);
        }
        Some(Look { at: now, readings, memory, storage: if runs { storage } else { 0 } })
    }

    /// How many requests a container's log says there were, where the workload says that it counts them.
    async fn requests(&self, order: &InstanceOrder, id: &ContainerId) -> Option<u64> {
        if order.spec.labels.get(REQUESTS_LABEL)? != id.container.as_str() {
            return None;
        }
        let query = LogQuery { tail: Some(LINES), ..LogQuery::default() };
        let lines = self.machine.runtime.logs(id, query).await.ok()?;
        let lines: Vec<String> =
            lines.filter_map(async |line| line.ok().map(|line| line.text)).collect().await;
        requests_in(lines.iter().map(String::as_str))
    }

    /// Looks at an instance's volumes; answers how much they hold together. One that cannot be seen now holds what it
    /// held `before`.
    async fn volumes_of(
        &self,
        order: &InstanceOrder,
        resource: Option<&ResourceId>,
        before: &VolumesMeasured,
        all: &mut VolumesMeasured,
    ) -> u64 {
        let assignment = &order.assignment;
        let Some(place) = place(assignment, &order.spec) else { return 0 };
        let mut sum = 0;
        for volume in order.spec.local_volumes() {
            let at = path(&assignment.org, &assignment.workload, &volume.name, &place);
            // Counting what a directory holds takes time; for resources it is worth it.
            let key = keys::volume(&assignment.org, &assignment.workload, &volume.name, &place);
            let one = match self.machine.volumes.usage(&at, resource.is_some()).await {
                Ok(seen) => {
                    VolumeMeasured { resource: resource.cloned(), used: seen.used, capacity: seen.capacity }
                }
                Err(error) => {
                    tracing::debug!(volume = key, %error, "how full it is cannot be seen");
                    let Some(known) = before.volumes.get(&key) else { continue };
                    known.clone()
                }
            };
            sum += one.used;
            if one.capacity.is_some() || resource.is_some() {
                all.volumes.insert(key, one);
            }
        }
        sum
    }

    /// Tells what is over at once, the rest when it is its turn.
    async fn tell(&self, known: &mut Known, turn: bool) {
        let volumes_differ = known.told.as_ref().is_none_or(|told| match turn {
            true => *told != known.volumes,
            false => is_noteworthy(told, &known.volumes),
        });
        let mut instances = known.closed.clone();
        if turn {
            // Of what has not run within its window there is nothing to tell.
            let used = |one: &&Measured| one.memory > 0 || !one.amounts().is_empty();
            instances.extend(known.open.values().filter(used).cloned());
        }
        let volumes = volumes_differ.then(|| known.volumes.clone());
        if instances.is_empty() && volumes.is_none() {
            return;
        }
        match self.control.measured(&self.node, Measures { instances, volumes: volumes.clone() }).await {
            Ok(()) => {
                known.closed.clear();
                known.told = volumes.or_else(|| known.told.take());
            }
            Err(error) => tracing::debug!(%error, "what was measured is told later"),
        }
    }
}

fn fresh(order: &InstanceOrder, resource: ResourceId, now: Timestamp) -> Measured {
    let assignment = &order.assignment;
    Measured::begun(assignment.id.clone(), resource, assignment.org.clone(), now)
}

/// Whether a volume came, went, or changed by more than a little.
fn is_noteworthy(told: &VolumesMeasured, now: &VolumesMeasured) -> bool {
    if told.volumes.len() != now.volumes.len() {
        return true;
    }
    now.volumes.iter().any(|(key, seen)| {
        let Some(before) = told.volumes.get(key) else { return true };
        let bound = seen.capacity.unwrap_or(u64::MAX) / NOTEWORTHY;
        before.capacity != seen.capacity || before.used.abs_diff(seen.used) > bound
    })
}
