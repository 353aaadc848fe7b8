//! From the picture of the state to alerts, and from alerts to what is to be delivered.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use univrs_model::Timestamp;
use univrs_model::alert::{Alert, AlertState, Delivery, Notice};
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::ResourceId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::operation::OperationStatus;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_model::span::Span;
use univrs_watch::alerts::{Facts, ResourceFacts, evaluate, percent};
use univrs_watch::price::Money;

use super::faces::UsagePeriod;
use super::{Memory, Step, Watching};
use crate::error::Error;
use crate::record::{delete, put, unchanged};
use crate::state::State;

/// How long an alert that is over is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often the cost of a month is computed anew.
const COST: SignedDuration = SignedDuration::from_mins(5);

impl Watching {
    /// Raises and ends alerts.
    pub(super) async fn raise(&self, memory: &mut Memory) -> Result<(), Error> {
        let state = self.control.mirror.state();
        let now = self.control.clock.now();
        let storage = fullest(&state);
        let mut by_org: BTreeMap<&Name, Vec<ResourceFacts>> = BTreeMap::new();
        for (at, resource) in &state.resources {
            by_org.entry(&at.org).or_default().push(self.facts_of(&state, resource, &storage));
        }
        let mut steps = Vec::new();
        for org in state.orgs.keys() {
            let capacity = if *org == Name::default_org() { capacity(&state) } else { Vec::new() };
            let cost = self.cost(&state, memory, org, now).await?;
            let facts = Facts { resources: by_org.remove(org).unwrap_or_default(), capacity, cost };
            let from = (org.clone(), String::new());
            let own = state.alerts.range(from..).take_while(|((of, _), _)| of == org);
            let known: BTreeMap<String, Alert> =
                own.map(|((_, id), record)| (id.clone(), Alert::clone(record))).collect();
            let pending = memory.pending.entry(org.clone()).or_default();
            let changed = evaluate(&facts, &known, pending, now);
            for alert in &changed {
                steps.push(self.step_of(&state, org, alert, now)?);
            }
            for (id, alert) in &known {
                let over =
                    alert.state == AlertState::Resolved && now.duration_since(alert.changed_at) > SHOWN;
                if over && changed.iter().all(|one| one.id != *id) {
                    let record = state.alerts.get(&(org.clone(), id.clone())).map(|record| record.revision);
                    let at = keys::alert(org, id);
                    steps.push((vec![unchanged(at.clone(), record)?], vec![delete(at)?]));
                }
            }
        }
        self.commit_steps(steps).await
    }

    /// The alert, its event and what is to be delivered of it, in one transaction: neither is there without the others.
    fn step_of(&self, state: &State, org: &Name, alert: &Alert, now: Timestamp) -> Result<Step, Error> {
        let at = keys::alert(org, &alert.id);
        let known = state.alerts.get(&(org.clone(), alert.id.clone())).map(|record| record.revision);
        let (kind, severity) = match alert.state {
            AlertState::Firing => (EventKind::AlertFired, alert.severity),
            AlertState::Resolved => (EventKind::AlertResolved, Severity::Info),
        };
        let event = Event {
            at: now,
            kind,
            severity,
            workload: None,
            instance: None,
            node: None,
            message: format!("{}: {}", alert.subject, alert.message),
        };
        let mut ops =
            vec![put(at.clone(), alert)?, put(keys::event(org, now, self.control.next_serial()), &event)?];
        let settings = state.alert_settings.get(org).filter(|_| alert.silenced_until.is_none());
        for channel in settings.iter().flat_map(|settings| &settings.channels) {
            let id = format!("{}-{}", alert.id, alert.number);
            let notice = Notice { id: id.clone(), org: org.clone(), alert: alert.clone() };
            let delivery = Delivery {
                notice,
                channel: channel.name().clone(),
                attempts: 0,
                due: now,
                last_error: String::new(),
            };
            ops.push(put(keys::delivery(org, &id, channel.name()), &delivery)?);
        }
        Ok((vec![unchanged(at, known)?], ops))
    }

    fn facts_of(
        &self,
        state: &State,
        resource: &Resource,
        storage: &BTreeMap<ResourceId, (u64, u64)>,
    ) -> ResourceFacts {
        let changing = state
            .operations
            .get(&resource.operation)
            .is_some_and(|operation| operation.status == OperationStatus::Running);
        let serves = match resource.status {
            ResourceStatus::Active if !changing => Some(true),
            ResourceStatus::Degraded if !changing => Some(false),
            _ => None,
        };
        ResourceFacts {
            id: resource.id.clone(),
            name: resource.name.clone(),
            serves,
            message: resource.message.clone(),
            storage: storage.get(&resource.id).copied(),
            backup_due: self.backup_due(resource),
        }
    }

    /// By when the next backup should be there: half as long again as from one to the next.
    fn backup_due(&self, resource: &Resource) -> Option<Timestamp> {
        if matches!(resource.status, ResourceStatus::Provisioning | ResourceStatus::Failed) {
            return None;
        }
        let every = match self.control.resources.backup_schedule(&resource.template)? {
            "hourly" => SignedDuration::from_hours(1),
            "daily" => SignedDuration::from_hours(24),
            "weekly" => SignedDuration::from_hours(7 * 24),
            other => {
                let span = other.parse::<Span>().ok()?;
                SignedDuration::from_millis(i64::try_from(span.as_millis()).ok()?)
            }
        };
        let last = resource.backups.last().map_or(resource.created_at, |backup| backup.created_at);
        last.saturating_add(every + every / 2).ok()
    }

    /// What this month has cost an organisation, if it said from what cost on it wants to be told.
    async fn cost(
        &self,
        state: &State,
        memory: &mut Memory,
        org: &Name,
        now: Timestamp,
    ) -> Result<Option<(Money, Money)>, Error> {
        let Some(from) = state.alert_settings.get(org).and_then(|settings| settings.monthly_cost) else {
            return Ok(None);
        };
        let known = memory.costs.get(org).filter(|(at, _)| now.duration_since(*at) < COST);
        let cost = match known {
            Some((_, cost)) => *cost,
            None => {
                let period = UsagePeriod::month_of(now);
                let cost = self.control.cost_of(org, period).await?;
                memory.costs.insert(org.clone(), (now, cost));
                cost
            }
        };
        Ok(Some((cost, Money::whole(from))))
    }
}

/// The fullest volume of each resource: bytes used, and bytes that fit or were meant to.
fn fullest(state: &State) -> BTreeMap<ResourceId, (u64, u64)> {
    let mut found: BTreeMap<ResourceId, (u64, u64)> = BTreeMap::new();
    let all = state.volumes_measured.values().flat_map(|measured| &measured.volumes);
    for (at, seen) in all {
        let meant =
            || state.volumes.get(at).and_then(|volume| volume.limit.or(volume.size)).map(|size| size.get());
        let (Some(resource), Some(fits)) = (&seen.resource, seen.capacity.or_else(meant)) else { continue };
        fuller(&mut found, resource, (seen.used, fits));
    }
    // And of those that providers have.
    for measured in state.measured.values().filter(|measured| !measured.closed) {
        let full = measured.fullest.as_ref().and_then(|seen| Some((seen.used, seen.capacity?)));
        if let Some(full) = full {
            fuller(&mut found, &measured.resource, full);
        }
    }
    found
}

fn fuller(found: &mut BTreeMap<ResourceId, (u64, u64)>, resource: &ResourceId, seen: (u64, u64)) {
    let known = found.entry(resource.clone()).or_insert(seen);
    if percent(seen.0, seen.1) > percent(known.0, known.1) {
        *known = seen;
    }
}

/// How full the cluster is: what was set aside of what nodes that are alive have.
fn capacity(state: &State) -> Vec<(&'static str, u64)> {
    let (mut cpu, mut memory) = ((0_u64, 0_u64), (0_u64, 0_u64));
    for node in state.nodes_alive.iter().filter_map(|id| state.nodes.get(id)) {
        cpu.1 = cpu.1.saturating_add(node.capacity.cpu.as_millicores());
        memory.1 = memory.1.saturating_add(node.capacity.memory.get());
    }
    for (id, assignment) in &state.assignments {
        let seen = state.observations.get(id).is_some_and(|seen| seen.phase.is_terminal());
        let alive = assignment.node.as_ref().is_some_and(|node| state.nodes_alive.contains(node));
        if alive && !seen && !assignment.lost {
            cpu.0 = cpu.0.saturating_add(assignment.requests.cpu.as_millicores());
            memory.0 = memory.0.saturating_add(assignment.requests.memory.get());
        }
    }
    vec![("cpu", percent(cpu.0, cpu.1)), ("memory", percent(memory.0, memory.1))]
}
