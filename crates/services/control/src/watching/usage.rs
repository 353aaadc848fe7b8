//! Takes what nodes measured, and the sizes of resources, into the log of usage.

use std::collections::BTreeMap;

use univrs_model::Timestamp;
use univrs_model::ids::{NodeId, ResourceId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_model::usage::{Allocation, Amounts, INGRESS, Measured, UsageEntry};
use univrs_ports::store::{Consistency, Page, Prefix};
use univrs_watch::meter::{allocated, boundary};

use super::{Memory, Step, Watching};
use crate::error::Error;
use crate::record::{Record, delete, key, put, unchanged};
use crate::state::{OrgName, State};

/// For how long the log of usage is kept.
const KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(400 * 24);
/// How often it is looked through for what is older.
const PRUNE: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
/// After how long what a provider measured is over, when who measured it no longer leads.
const FORGOTTEN: jiff::SignedDuration = jiff::SignedDuration::from_hours(2);
/// How much of it goes at once.
const AT_ONCE: usize = 500;

impl Watching {
    /// Moves what is over from what nodes measured into the log: one step for each, so that it is there once.
    pub(super) async fn take_measured(&self) -> Result<(), Error> {
        let (state, now) = (self.control.mirror.state(), self.control.clock.now());
        let over: Vec<_> = state
            .measured
            .iter()
            .filter_map(|(at, record)| Some((at, node_of(at)?, record)))
            // A node that was removed will not say that it is over.
            .filter(|(_, node, record)| {
                let forgotten = record.by.is_some() && now.duration_since(record.through) > FORGOTTEN;
                record.closed || forgotten || !state.nodes.contains_key(node)
            })
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let resources = by_id(&state);
        let mut steps: Vec<Step> = Vec::new();
        for (at, node, record) in over {
            let mut guards = vec![unchanged(at.clone(), Some(record.revision))?];
            let mut ops = vec![delete(at.clone())?];
            let amounts = record.amounts();
            if !amounts.is_empty() && may_say(&state, &node, record) {
                let known = resources.get(&record.resource).filter(|known| known.org == record.org);
                let entry = UsageEntry {
                    resource: record.resource.clone(),
                    name: known.map_or_else(|| nameless(&record.resource), |known| known.name.clone()),
                    template: known.map(|known| known.template.clone()).unwrap_or_default(),
                    tier: tier(&state, &record.org),
                    source: match &record.by {
                        Some(by) if by == INGRESS => format!("nodes/{node}/ingress"),
                        Some(provider) => format!("providers/{provider}"),
                        None => format!("nodes/{node}/instances/{}", record.instance),
                    },
                    from: record.window,
                    to: record.through,
                    amounts,
                };
                let into =
                    keys::usage(&record.org, record.window, &record.resource, record.instance.as_str());
                let there = self.control.store.get(&key(into.clone())?, Consistency::LOCAL).await?.is_some();
                // What is there already was said before; a log does not change.
                if !there {
                    guards.push(unchanged(into.clone(), None)?);
                    ops.push(put(into, &entry)?);
                }
            }
            steps.push((guards, ops));
        }
        self.commit_steps(steps).await
    }

    /// Keeps the log up with the sizes of resources: an entry for each window, and one when a size or a resource ends.
    pub(super) async fn take_allocations(&self) -> Result<(), Error> {
        let now = self.control.clock.now();
        let state = self.control.mirror.state();
        let resources = by_id(&state);
        let mut steps: Vec<Step> = Vec::new();
        for (id, resource) in &resources {
            if counts(resource) && !state.allocations.contains_key(&(resource.org.clone(), id.clone())) {
                let at = keys::allocation(&resource.org, id);
                let begun = Allocation {
                    resource: id.clone(),
                    name: resource.name.clone(),
                    template: resource.template.clone(),
                    limits: resource.deployment.footprint.limits,
                    since: now,
                };
                steps.push((vec![unchanged(at.clone(), None)?], vec![put(at, &begun)?]));
            }
        }
        for ((org, id), record) in &state.allocations {
            let known = resources.get(id).filter(|known| known.org == *org && !is_over(known));
            steps.extend(self.step(&state, org, record, known.copied(), now)?);
        }
        self.commit_steps(steps).await
    }

    /// What is due for one allocation, if anything is.
    fn step(
        &self,
        state: &State,
        org: &Name,
        record: &Record<Allocation>,
        known: Option<&Resource>,
        now: Timestamp,
    ) -> Result<Option<Step>, Error> {
        let same = known.is_some_and(|known| known.deployment.footprint.limits == record.limits);
        let to = match boundary(record.since, now) {
            // A window that is over comes first; the rest is for the next look.
            Some(end) => end,
            None if same => return Ok(None),
            None => now,
        };
        let at = keys::allocation(org, &record.resource);
        let mut guards = vec![unchanged(at.clone(), Some(record.revision))?];
        let ends_now = to == now;
        let mut ops = match known {
            None if ends_now => vec![delete(at)?],
            Some(known) if ends_now => {
                let limits = known.deployment.footprint.limits;
                vec![put(at, &Allocation { limits, since: to, ..Allocation::clone(record) })?]
            }
            _ => vec![put(at, &Allocation { since: to, ..Allocation::clone(record) })?],
        };
        let amounts: Amounts = allocated(record, to);
        if !amounts.is_empty() {
            let entry = UsageEntry {
                resource: record.resource.clone(),
                name: record.name.clone(),
                template: record.template.clone(),
                tier: tier(state, org),
                source: "control".to_owned(),
                from: record.since,
                to,
                amounts,
            };
            let into = keys::usage(org, record.since, &record.resource, "control");
            guards.push(unchanged(into.clone(), None)?);
            ops.push(put(into, &entry)?);
        }
        Ok(Some((guards, ops)))
    }

    /// Removes what is so old that nobody asks for it.
    pub(super) async fn prune(&self, memory: &mut Memory) -> Result<(), Error> {
        let now = self.control.clock.now();
        if memory.pruned.is_some_and(|last| now.duration_since(last) < PRUNE) {
            return Ok(());
        }
        memory.pruned = Some(now);
        let before = now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN);
        let state = self.control.mirror.state();
        for org in state.orgs.keys() {
            let prefix = Prefix::new(keys::of_org(org, "usage"));
            let out = self.control.store.range(&prefix, Page::first(AT_ONCE), Consistency::LOCAL).await?;
            let mut steps = Vec::new();
            for item in out.items {
                let entry = Record::<UsageEntry>::decode(item.key.as_str(), &item.value)?;
                if entry.to < before {
                    steps.push((Vec::new(), vec![delete(item.key.as_str().to_owned())?]));
                }
            }
            self.commit_steps(steps).await?;
        }
        Ok(())
    }
}

/// The node that a measurement is of.
fn node_of(at: &str) -> Option<NodeId> {
    at.strip_prefix(keys::MEASURED)?.split('/').next()?.parse().ok()
}

/// Whether a node may say this: the instance is not known to be another's, nor the resource another organisation's.
fn may_say(state: &State, node: &NodeId, measured: &Measured) -> bool {
    let placed = state.assignments.get(&measured.instance);
    placed.is_none_or(|placed| placed.node.as_ref() == Some(node) && placed.org == measured.org)
        && state.orgs.contains_key(&measured.org)
}

fn by_id(state: &State) -> BTreeMap<ResourceId, &Resource> {
    state.resources.iter().map(|(_, record): (&OrgName, _)| (record.id.clone(), &**record)).collect()
}

/// Whether a resource's size is counted from now on.
fn counts(resource: &Resource) -> bool {
    !is_over(resource) && resource.status != ResourceStatus::Provisioning
}

/// Whether nothing of a resource is there any more.
fn is_over(resource: &Resource) -> bool {
    matches!(resource.status, ResourceStatus::Failed | ResourceStatus::Deleted)
}

fn tier(state: &State, org: &Name) -> String {
    let known = state.orgs.get(org).map(|org| crate::orgs::tier_of(org).to_owned());
    known.unwrap_or_else(|| univrs_model::org::DEFAULT_TIER.to_owned())
}

/// The name of a resource that is gone: its id, as far as names allow.
fn nameless(id: &ResourceId) -> Name {
    id.as_str().replace('_', "-").parse().unwrap_or_else(|_| Name::default_org())
}
