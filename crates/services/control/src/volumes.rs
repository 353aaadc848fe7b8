//! Volumes: made with the first placement of an instance that names them, and from then on its only possible home.

use rand::random;
use univrs_authz::Action;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::{NodeId, VolumeId, matches_prefix};
use univrs_model::instance::Assignment;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::volume::{Volume, VolumeState, VolumeView, place};
use univrs_model::workload::{VolumeSpec, WorkloadSpec};
use univrs_ports::store::{Revision, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, check_revision};
use crate::record::{Record, delete, put, unchanged};
use crate::state::State;

impl Control {
    /// The volumes of the caller's organisation, by workload and name.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_volumes(&self, caller: &Caller) -> Result<(Vec<VolumeView>, Revision), Error> {
        self.allow(caller, Action::VolumeRead, "volume")?;
        let state = self.mirror.state();
        let mut views: Vec<VolumeView> = own(&state, caller).map(|record| view(&state, record)).collect();
        views.sort_by(|a, b| (&a.workload, &a.name, &a.place).cmp(&(&b.workload, &b.name, &b.place)));
        Ok((views, state.revision))
    }

    /// Asks for a volume to be removed with all it holds.
    ///
    /// # Errors
    /// [`Error::Conflict`] when an instance uses it; when it does not exist, or the caller may not.
    pub async fn delete_volume(&self, caller: &Caller, wanted: &str) -> Result<VolumeView, Error> {
        let object = format!("volume/{wanted}");
        let allowed_by = self.allow(caller, Action::VolumeWrite, &object)?;
        let state = self.mirror.state();
        let record = find(&state, caller, wanted)?;
        check_revision("volume", wanted, self.conditions.if_revision, record.revision)?;
        let view_now = view(&state, &record);
        match view_now.state {
            VolumeState::Removing => return Ok(view_now),
            VolumeState::InUse => {
                return Err(Error::Conflict {
                    what: format!("volume `{wanted}` cannot be removed"),
                    reason: format!("an instance of {} uses it", record.workload),
                    hint: Some(format!(
                        "scale or remove the workload first: `univrs scale {}=0`",
                        record.workload
                    )),
                });
            }
            VolumeState::Free => {}
        }
        let at = keys::volume(&record.org, &record.workload, &record.name, &record.place);
        let guards = vec![unchanged(at.clone(), Some(record.revision))?];
        // A node that was removed from the cluster will never say that the data is gone.
        let op = if state.nodes.contains_key(&record.node) {
            put(at, &Volume { removing: true, ..Volume::clone(&record) })?
        } else {
            delete(at)?
        };
        let summary = format!("asked for the removal of volume {} of {}", record.name, record.workload);
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::VolumeWrite,
                object,
                event: None,
                summary,
                guards,
                ops: vec![op],
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok(VolumeView { state: VolumeState::Removing, revision: revision.0, ..view_now })
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "volume", name: wanted.to_owned() })
            }
        }
    }
}

impl State {
    /// The volumes that an instance's place has, of those that its spec names.
    fn volumes_of<'a>(
        &'a self,
        assignment: &'a Assignment,
        spec: &'a WorkloadSpec,
    ) -> impl Iterator<Item = (&'a VolumeSpec, Option<&'a Record<Volume>>)> {
        let place = place(assignment, spec);
        spec.local_volumes().map(move |volume| {
            let at = place
                .as_ref()
                .map(|place| keys::volume(&assignment.org, &assignment.workload, &volume.name, place));
            (volume, at.and_then(|at| self.volumes.get(&at)))
        })
    }

    /// The node that holds an instance's volumes, if one does already.
    ///
    /// # Errors
    /// A sentence for people, when the instance cannot go anywhere for now.
    pub(crate) fn home_of(
        &self,
        assignment: &Assignment,
        spec: &WorkloadSpec,
    ) -> Result<Option<NodeId>, String> {
        let mut home: Option<&Record<Volume>> = None;
        for volume in self.volumes_of(assignment, spec).filter_map(|(_, volume)| volume) {
            if volume.removing {
                return Err(format!("volume {} is being removed", volume.name));
            }
            match home {
                Some(other) if other.node != volume.node => {
                    return Err(format!("volumes {} and {} are on different nodes", other.name, volume.name));
                }
                _ => home = Some(volume),
            }
        }
        Ok(home.map(|volume| volume.node.clone()))
    }

    /// The volumes that are to be made with an instance's placement on `node`.
    pub(crate) fn volumes_to_make(
        &self,
        assignment: &Assignment,
        spec: &WorkloadSpec,
        node: &NodeId,
        now: Timestamp,
    ) -> Vec<Volume> {
        let placed = Assignment { node: Some(node.clone()), ..assignment.clone() };
        let Some(place) = place(&placed, spec) else { return Vec::new() };
        let missing = self.volumes_of(&placed, spec).filter(|(_, known)| known.is_none());
        missing
            .map(|(volume, _)| Volume {
                id: VolumeId::from_bits(random()),
                org: assignment.org.clone(),
                workload: assignment.workload.clone(),
                name: volume.name.clone(),
                place: place.clone(),
                node: node.clone(),
                size: volume.size,
                limit: volume.limit,
                created_at: now,
                removing: false,
            })
            .collect()
    }

    /// The volumes that a node is to remove.
    pub fn unwanted_volumes(&self, node: &NodeId) -> Vec<Volume> {
        let unwanted = self.volumes.values().filter(|volume| volume.removing && volume.node == *node);
        unwanted.map(|volume| Volume::clone(volume)).collect()
    }

    fn is_used(&self, volume: &Volume) -> bool {
        let key = crate::state::WorkloadKey { org: volume.org.clone(), name: volume.workload.clone() };
        self.instances_of(&key).iter().any(|instance| {
            let assignment = &instance.assignment;
            !instance.phase().is_terminal()
                && self.spec_of(assignment).is_some_and(|spec| {
                    place(assignment, &spec).as_ref() == Some(&volume.place)
                        && spec.local_volumes().any(|named| named.name == volume.name)
                })
        })
    }
}

/// What is told when a node has removed a volume.
pub(crate) fn removed_event(volume: &Volume, now: Timestamp) -> Event {
    Event {
        at: now,
        kind: EventKind::VolumeRemoved,
        severity: Severity::Info,
        workload: Some(volume.workload.clone()),
        instance: None,
        node: Some(volume.node.clone()),
        message: format!("volume {} of {} was removed with all it held", volume.name, volume.workload),
    }
}

fn own<'a>(state: &'a State, caller: &'a Caller) -> impl Iterator<Item = &'a Record<Volume>> {
    state.volumes.values().filter(|volume| volume.org == caller.org)
}

fn view(state: &State, record: &Record<Volume>) -> VolumeView {
    let volume = Volume::clone(record);
    let volume_node = volume.node.clone();
    let at = keys::volume(&volume.org, &volume.workload, &volume.name, &volume.place);
    let state_now = match (volume.removing, state.is_used(&volume)) {
        (true, _) => VolumeState::Removing,
        (false, true) => VolumeState::InUse,
        (false, false) => VolumeState::Free,
    };
    VolumeView {
        id: volume.id,
        name: volume.name,
        org: volume.org,
        workload: volume.workload,
        place: volume.place,
        node_name: state.nodes.get(&volume.node).map(|node| node.name.clone()),
        node: volume.node,
        size: volume.size,
        limit: volume.limit.or(volume.size),
        size_enforced: state
            .volumes_measured
            .get(&volume_node)
            .is_some_and(|seen| seen.volumes.get(&at).is_some_and(|one| one.capacity.is_some())),
        state: state_now,
        revision: record.revision.0,
        created_at: volume.created_at,
    }
}

/// The volume that `wanted` names: by id, by a unique prefix of an id, or by a name that only one has.
fn find(state: &State, caller: &Caller, wanted: &str) -> Result<Record<Volume>, Error> {
    let named = |record: &&Record<Volume>| {
        matches_prefix(record.id.as_str(), wanted)
            || wanted.parse::<Name>().is_ok_and(|name| name == record.name)
    };
    let found: Vec<&Record<Volume>> = own(state, caller).filter(named).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Error::NotFound { kind: "volume", name: wanted.to_owned(), near: None }),
        several => Err(Error::Ambiguous {
            kind: "volume",
            name: wanted.to_owned(),
            candidates: several.iter().map(|record| record.id.to_string()).collect::<Vec<_>>().join(", "),
        }),
    }
}
