//! What faces do with workloads.

use std::sync::Arc;

use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::check;
use univrs_model::decode::nearest;
use univrs_model::event::EventKind;
use univrs_model::field::FieldError;
use univrs_model::ids::{WorkloadId, matches_prefix};
use univrs_model::instance::InstanceView;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::rollout::{RevisionView, Workload, WorkloadView};
use univrs_model::workload::{DependencyCondition, WorkloadKind, WorkloadSpec};
use univrs_ports::store::{Revision, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, WriteOptions, check_revision, workload_event};
use crate::record::{Record, put, unchanged};
use crate::state::{State, WorkloadKey};
use crate::view;

/// How often a read-modify-write is tried against others.
const ATTEMPTS: usize = 8;

impl Control {
    /// The workloads of the caller's organisation, by name.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_workloads(&self, caller: &Caller) -> Result<(Vec<WorkloadView>, Revision), Error> {
        self.allow(caller, Action::WorkloadRead, "workload")?;
        let state = self.mirror.state();
        let first = WorkloadKey { org: caller.org.clone(), name: lowest_name() };
        let views = state
            .workloads
            .range(first..)
            .take_while(|(key, _)| key.org == caller.org)
            .map(|(key, record)| view::workload(&state, key, record))
            .collect();
        Ok((views, state.revision))
    }

    /// One workload, by name, id or unique prefix of its id.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn get_workload(&self, caller: &Caller, wanted: &str) -> Result<WorkloadView, Error> {
        self.allow(caller, Action::WorkloadRead, &format!("workload/{wanted}"))?;
        let state = self.mirror.state();
        let (key, record) = find(&state, caller, wanted)?;
        Ok(view::workload(&state, &key, &record))
    }

    /// Its instances, newest first.
    ///
    /// # Errors
    /// As [`Control::get_workload`].
    pub fn workload_instances(&self, caller: &Caller, wanted: &str) -> Result<Vec<InstanceView>, Error> {
        self.allow(caller, Action::InstanceRead, &format!("workload/{wanted}"))?;
        let state = self.mirror.state();
        let (key, _) = find(&state, caller, wanted)?;
        let mut instances = state.instances_of(&key);
        instances.sort_by(|a, b| {
            b.assignment
                .created_at
                .cmp(&a.assignment.created_at)
                .then_with(|| a.assignment.slot.cmp(&b.assignment.slot))
        });
        Ok(instances.iter().map(|instance| view::instance(&state, instance)).collect())
    }

    /// Its kept versions, newest first.
    ///
    /// # Errors
    /// As [`Control::get_workload`].
    pub fn workload_history(&self, caller: &Caller, wanted: &str) -> Result<Vec<RevisionView>, Error> {
        self.allow(caller, Action::WorkloadRead, &format!("workload/{wanted}"))?;
        let state = self.mirror.state();
        let (key, _) = find(&state, caller, wanted)?;
        Ok(state.rollouts.get(&key).map(|rollout| view::history(rollout)).unwrap_or_default())
    }

    /// Makes a workload.
    ///
    /// # Errors
    /// When the spec is not valid, the name is taken, or the caller may not.
    pub async fn create_workload(
        &self,
        caller: &Caller,
        spec: WorkloadSpec,
        options: &WriteOptions,
    ) -> Result<WorkloadView, Error> {
        let object = format!("workload/{}", spec.name);
        let allowed_by = self.allow(caller, Action::WorkloadWrite, &object)?;
        if let Some(name) = self.remembered(&caller.org, options.idempotency.as_ref()).await? {
            return self.get_workload(caller, &name);
        }
        self.check_spec(caller, &spec)?;
        let now = self.clock.now();
        let name = spec.name.clone();
        let workload = Workload {
            id: WorkloadId::from_bits(rand::random()),
            org: caller.org.clone(),
            spec: Arc::new(spec),
            generation: 1,
            created_at: now,
            updated_at: now,
            deleting: false,
            roll_back_to: None,
        };
        let at = keys::workload(&caller.org, &name);
        let mut guards = vec![unchanged(at.clone(), None)?];
        let mut ops = vec![put(at, &workload)?];
        self.remember(&caller.org, options.idempotency.as_ref(), name.as_str(), &mut guards, &mut ops)?;
        let summary = format!("created workload {name} with {} replicas", workload.spec.replicas);
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::WorkloadWrite,
                object,
                event: Some(workload_event(now, EventKind::WorkloadCreated, &name, summary.clone())),
                summary,
                guards,
                ops,
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { revision } => self.view_at(caller, &name, revision).await,
            TxnOutcome::GuardFailed { index: 0, .. } => Err(Error::Exists { kind: "workload", name }),
            // The same key came twice at once: the other request has won.
            TxnOutcome::GuardFailed { .. } => {
                match self.remembered(&caller.org, options.idempotency.as_ref()).await? {
                    Some(name) => self.get_workload(caller, &name),
                    None => Err(Error::Contended { kind: "workload", name: name.to_string() }),
                }
            }
        }
    }

    /// Changes a workload's spec: `change` gets the present one and answers the new one.
    ///
    /// # Errors
    /// When the workload does not exist, the new spec is not valid, the caller may not, or read an older revision.
    pub async fn change_workload(
        &self,
        caller: &Caller,
        wanted: &str,
        options: &WriteOptions,
        change: impl Fn(&WorkloadSpec) -> Result<WorkloadSpec, Error> + Send + Sync,
    ) -> Result<WorkloadView, Error> {
        self.write_workload(caller, wanted, options, |workload| {
            let spec = change(&workload.spec)?;
            if spec.name != workload.spec.name {
                return Err(Error::Conflict {
                    what: format!("workload `{}` cannot be named `{}`", workload.spec.name, spec.name),
                    reason: "a name cannot change".to_owned(),
                    hint: Some("create another workload and remove this one".to_owned()),
                });
            }
            if spec == *workload.spec && workload.roll_back_to.is_none() {
                return Ok(None);
            }
            self.check_spec(caller, &spec)?;
            let scaled =
                WorkloadSpec { replicas: spec.replicas, ..WorkloadSpec::clone(&workload.spec) } == spec;
            let (kind, summary) = if scaled {
                (
                    EventKind::WorkloadScaled,
                    format!("scaled from {} to {} replicas", workload.spec.replicas, spec.replicas),
                )
            } else {
                (EventKind::WorkloadUpdated, "the spec was changed".to_owned())
            };
            Ok(Some((
                Workload { spec: Arc::new(spec), roll_back_to: None, ..workload.clone() },
                kind,
                summary,
            )))
        })
        .await
    }

    /// Goes back to a kept version; without a number to the newest proven one before the present.
    ///
    /// # Errors
    /// When there is no such version, or as [`Control::change_workload`].
    pub async fn roll_back_workload(
        &self,
        caller: &Caller,
        wanted: &str,
        to: Option<u64>,
        options: &WriteOptions,
    ) -> Result<WorkloadView, Error> {
        self.write_workload(caller, wanted, options, |workload| {
            let state = self.mirror.state();
            let key = WorkloadKey { org: workload.org.clone(), name: workload.spec.name.clone() };
            let rollout = state.rollouts.get(&key);
            let revisions = rollout.map(|rollout| rollout.revisions.as_slice()).unwrap_or_default();
            let target = rollout.map_or(0, |rollout| rollout.target);
            let chosen = match to {
                Some(number) => revisions.iter().find(|revision| revision.number == number),
                None => revisions.iter().rev().find(|revision| revision.number < target && revision.proven),
            };
            let Some(chosen) = chosen else {
                let kept: Vec<String> =
                    revisions.iter().map(|revision| revision.number.to_string()).collect();
                return Err(Error::Conflict {
                    what: format!("workload `{}` cannot be rolled back", workload.spec.name),
                    reason: match to {
                        Some(number) => format!("version {number} is not kept"),
                        None => "no earlier version has ever run as wanted".to_owned(),
                    },
                    hint: Some(format!("kept versions: {}", kept.join(", "))),
                });
            };
            // The document becomes that of the old version, at today's scale, so that the next change starts there.
            let spec = WorkloadSpec { replicas: workload.spec.replicas, ..WorkloadSpec::clone(&chosen.spec) };
            let summary = format!("rolled back from version {target} to version {}", chosen.number);
            let next =
                Workload { spec: Arc::new(spec), roll_back_to: Some(chosen.number), ..workload.clone() };
            Ok(Some((next, EventKind::WorkloadUpdated, summary)))
        })
        .await
    }

    /// Asks for a workload to be removed: its instances end, then its record goes.
    ///
    /// # Errors
    /// When it does not exist, or the caller may not, or read an older revision.
    pub async fn delete_workload(
        &self,
        caller: &Caller,
        wanted: &str,
        options: &WriteOptions,
    ) -> Result<WorkloadView, Error> {
        self.write_workload(caller, wanted, options, |workload| {
            if workload.deleting {
                return Ok(None);
            }
            let next = Workload { deleting: true, ..workload.clone() };
            Ok(Some((next, EventKind::WorkloadDeleted, "asked for its removal".to_owned())))
        })
        .await
    }

    async fn write_workload(
        &self,
        caller: &Caller,
        wanted: &str,
        options: &WriteOptions,
        next: impl Fn(&Workload) -> Result<Option<(Workload, EventKind, String)>, Error> + Send + Sync,
    ) -> Result<WorkloadView, Error> {
        let allowed_by = self.allow(caller, Action::WorkloadWrite, &format!("workload/{wanted}"))?;
        if let Some(name) = self.remembered(&caller.org, options.idempotency.as_ref()).await? {
            return self.get_workload(caller, &name);
        }
        let mut state = self.mirror.state();
        for _ in 0..ATTEMPTS {
            let (key, record) = find(&state, caller, wanted)?;
            check_revision("workload", wanted, options.if_revision, record.revision)?;
            let Some((workload, kind, summary)) = next(&record)? else {
                return Ok(view::workload(&state, &key, &record));
            };
            let now = self.clock.now();
            let workload = Workload { generation: record.generation + 1, updated_at: now, ..workload };
            let at = keys::workload(&key.org, &key.name);
            let mut guards = vec![unchanged(at.clone(), Some(record.revision))?];
            let mut ops = vec![put(at, &workload)?];
            self.remember(
                &caller.org,
                options.idempotency.as_ref(),
                key.name.as_str(),
                &mut guards,
                &mut ops,
            )?;
            let write = Write {
                caller: caller.clone(),
                allowed_by: allowed_by.clone(),
                action: Action::WorkloadWrite,
                object: format!("workload/{}", key.name),
                event: Some(workload_event(now, kind, &key.name, summary.clone())),
                summary,
                guards,
                ops,
            };
            match self.commit(write).await? {
                TxnOutcome::Committed { revision } => return self.view_at(caller, &key.name, revision).await,
                TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                    state = self.mirror.at_least(actual_mod_revision.unwrap_or_default()).await;
                }
            }
        }
        Err(Error::Contended { kind: "workload", name: wanted.to_owned() })
    }

    async fn view_at(&self, caller: &Caller, name: &Name, revision: Revision) -> Result<WorkloadView, Error> {
        let state = self.mirror.at_least(revision).await;
        let (key, record) = find(&state, caller, name.as_str())?;
        Ok(view::workload(&state, &key, &record))
    }

    /// Directories of nodes that no node lets be bound. Each node checks again with the links it has.
    fn bind_faults(&self, spec: &WorkloadSpec) -> Vec<FieldError> {
        let state = self.mirror.state();
        let allowed = |path: &str| {
            state
                .nodes
                .values()
                .any(|node| node.bind_paths.iter().any(|root| std::path::Path::new(path).starts_with(root)))
        };
        let bound = spec.volumes.iter().enumerate();
        let bound = bound.filter_map(|(index, volume)| Some((index, volume.host_path.as_deref()?)));
        bound
            .filter(|(_, path)| !allowed(path))
            .map(|(index, path)| {
                FieldError::new(
                    format!("volumes[{index}].host_path"),
                    format!("no node lets `{}` be bound", path.escape_default()),
                )
                .hint(format!("start a node with `--allow-bind {}`, or use a volume", path.escape_default()))
            })
            .collect()
    }

    /// Everything a spec must obey, including what depends on other objects.
    fn check_spec(&self, caller: &Caller, spec: &WorkloadSpec) -> Result<(), Error> {
        let mut faults = check::workload(spec);
        if let Some(schedule) = &spec.schedule {
            faults.extend(univrs_rollout::check_schedule(schedule, self.clock.now()).err());
        }
        faults.extend(univrs_schedule::check_placement(&spec.placement));
        if spec.volumes.iter().any(|volume| volume.host_path.is_some()) {
            self.allow(caller, Action::VolumeBind, &format!("workload/{}", spec.name))?;
        }
        faults.extend(self.bind_faults(spec));
        let state = self.mirror.state();
        faults.extend(cycle_fault(&state, caller, spec));
        faults.extend(host_faults(&state, &caller.org, spec));
        for (index, dependency) in spec.depends_on.iter().enumerate() {
            let key = WorkloadKey { org: caller.org.clone(), name: dependency.workload.clone() };
            let Some(other) = state.workloads.get(&key) else { continue };
            if dependency.condition == DependencyCondition::Completed
                && other.spec.kind == WorkloadKind::Service
            {
                faults.push(
                    FieldError::new(
                        format!("depends_on[{index}].condition"),
                        format!("`{}` is a service and never completes", dependency.workload),
                    )
                    .hint("write `healthy` or `started`"),
                );
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }
}

/// Hosts that another organisation routes already: the ingress looks at the host alone.
fn host_faults(state: &State, org: &Name, spec: &WorkloadSpec) -> Vec<FieldError> {
    if spec.ingress.is_empty() {
        return Vec::new();
    }
    let taken = view::hosts(state);
    let others = |host: &str| taken.get(&host.to_lowercase()).is_some_and(|owner| owner != org);
    let rules = spec.ingress.iter().enumerate().filter(|(_, rule)| others(&rule.host));
    rules
        .map(|(index, rule)| {
            FieldError::new(
                format!("ingress[{index}].host"),
                format!("`{}` is in use by another organisation", rule.host),
            )
            .hint("choose another host")
        })
        .collect()
}

fn cycle_fault(state: &State, caller: &Caller, spec: &WorkloadSpec) -> Option<FieldError> {
    if spec.depends_on.is_empty() {
        return None;
    }
    let others = state
        .workloads
        .iter()
        .filter(|(key, _)| key.org == caller.org && key.name != spec.name)
        .map(|(_, record)| &*record.spec);
    let cycle = univrs_rollout::find_cycle(others.chain([spec]))?;
    let path: Vec<&str> = cycle.iter().map(Name::as_str).collect();
    Some(FieldError::new("depends_on", format!("workloads would wait for each other: {}", path.join(" → "))))
}

fn lowest_name() -> Name {
    #[expect(clippy::expect_used, reason = "a literal DNS label")]
    "0".parse().expect("a literal DNS label")
}

/// The workload that `wanted` names: by name, by id, or by a unique prefix of an id.
pub(crate) fn find(
    state: &State,
    caller: &Caller,
    wanted: &str,
) -> Result<(WorkloadKey, Record<Workload>), Error> {
    if let Ok(name) = wanted.parse::<Name>() {
        let key = WorkloadKey { org: caller.org.clone(), name };
        if let Some(record) = state.workloads.get(&key) {
            return Ok((key, record.clone()));
        }
    }
    let own = || state.workloads.iter().filter(|(key, _)| key.org == caller.org);
    let by_id: Vec<_> = own().filter(|(_, record)| matches_prefix(record.id.as_str(), wanted)).collect();
    match by_id.as_slice() {
        [(key, record)] => Ok(((*key).clone(), (*record).clone())),
        [] => Err(Error::NotFound {
            kind: "workload",
            name: wanted.to_owned(),
            near: nearest(wanted, own().map(|(key, _)| key.name.as_str())).map(str::to_owned),
        }),
        several => Err(Error::Ambiguous {
            kind: "workload",
            name: wanted.to_owned(),
            candidates: several.iter().map(|(key, _)| key.name.to_string()).collect::<Vec<_>>().join(", "),
        }),
    }
}
