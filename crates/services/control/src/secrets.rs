//! What faces do with secrets: values go in and never come out.
//!
//! A value is sealed before it becomes part of a write, so that log, snapshots and watches hold sealed values only.

use std::collections::BTreeMap;

use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::decode::nearest;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::field::FieldError;
use univrs_model::ids::SecretId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::secret::{
    Binding, DataKey, KEPT_VERSIONS, LARGEST_SECRET, SealedVersion, Secret, SecretValue, SecretVersion,
    SecretView,
};
use univrs_ports::seal::SealError;
use univrs_ports::store::{Guard, Op, Revision, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, check_revision};
use crate::record::{Record, delete, put, unchanged};
use crate::state::{OrgName, State};

/// How often a read-modify-write is tried against others.
const ATTEMPTS: usize = 8;

impl Control {
    /// The secrets of the caller's organisation, by name, without their values.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_secrets(&self, caller: &Caller) -> Result<(Vec<SecretView>, Revision), Error> {
        self.allow(caller, Action::SecretRead, "secret")?;
        let state = self.mirror.state();
        let own = state.secrets.iter().filter(|(key, _)| key.org == caller.org);
        let views = own.map(|(key, record)| view(&state, key, record)).collect();
        Ok((views, state.revision))
    }

    /// One secret, without its value.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn get_secret(&self, caller: &Caller, name: &str) -> Result<SecretView, Error> {
        self.allow(caller, Action::SecretRead, &format!("secret/{name}"))?;
        let state = self.mirror.state();
        let (key, record) = find(&state, caller, name)?;
        Ok(view(&state, &key, &record))
    }

    /// Sets a secret's value. The same value again makes a version of its own: comparing would tell what it was.
    /// Answers whether the secret is new.
    ///
    /// # Errors
    /// When the value is too large, the caller may not, or read an older revision.
    pub async fn set_secret(
        &self,
        caller: &Caller,
        name: &Name,
        value: &SecretValue,
        if_revision: Option<u64>,
    ) -> Result<(SecretView, bool), Error> {
        let object = format!("secret/{name}");
        let allowed_by = self.allow(caller, Action::SecretWrite, &object)?;
        if value.expose().len() > LARGEST_SECRET {
            let detail = format!("a secret has at most {LARGEST_SECRET} bytes");
            return Err(Error::field(FieldError::new("value", detail)));
        }
        let at = OrgName { org: caller.org.clone(), name: name.clone() };
        let mut state = self.mirror.state();
        for _ in 0..ATTEMPTS {
            let known = state.secrets.get(&at);
            check_revision("secret", name.as_str(), if_revision, known.map_or(Revision(0), |k| k.revision))?;
            let mut guards = vec![unchanged(keys::secret(&at.org, name), known.map(|k| k.revision))?];
            let mut ops = Vec::new();
            let key = self.data_key(&state, &at.org, &mut guards, &mut ops)?;
            let secret = self.with_value(known, &at, &key, value)?;
            ops.push(put(keys::secret(&at.org, name), &secret)?);
            let newest = secret.newest().version;
            let summary = format!("set secret {name} to version {newest}");
            let outcome = self
                .commit(Write {
                    caller: caller.clone(),
                    allowed_by: allowed_by.clone(),
                    action: Action::SecretWrite,
                    object: object.clone(),
                    event: Some(self.secret_event(
                        EventKind::SecretSet,
                        format!("secret {name} was set to version {newest}"),
                    )),
                    summary,
                    guards,
                    ops,
                })
                .await?;
            match outcome {
                TxnOutcome::Committed { revision } => {
                    let is_new = known.is_none();
                    let state = self.mirror.at_least(revision).await;
                    let (key, record) = find(&state, caller, name.as_str())?;
                    return Ok((view(&state, &key, &record), is_new));
                }
                TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                    state = self.mirror.at_least(actual_mod_revision.unwrap_or_default()).await;
                }
            }
        }
        Err(Error::Contended { kind: "secret", name: name.to_string() })
    }

    /// Removes a secret with all its versions.
    ///
    /// # Errors
    /// [`Error::Conflict`] that names the users, unless `force`; when it does not exist, or the caller may not.
    pub async fn delete_secret(
        &self,
        caller: &Caller,
        name: &str,
        force: bool,
        if_revision: Option<u64>,
    ) -> Result<(), Error> {
        let object = format!("secret/{name}");
        let allowed_by = self.allow(caller, Action::SecretWrite, &object)?;
        let state = self.mirror.state();
        let (key, record) = find(&state, caller, name)?;
        check_revision("secret", name, if_revision, record.revision)?;
        let users = state.users_of_secret(&key);
        if !users.is_empty() && !force {
            return Err(Error::Conflict {
                what: format!("secret `{name}` cannot be removed"),
                reason: format!("it is used by {}", joined(&users)),
                hint: Some(
                    "change those workloads first, or force it: their next start will wait".to_owned(),
                ),
            });
        }
        let at = keys::secret(&key.org, &key.name);
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::SecretWrite,
                object,
                event: Some(
                    self.secret_event(EventKind::SecretRemoved, format!("secret {name} was removed")),
                ),
                summary: format!("removed secret {name}"),
                guards: vec![unchanged(at.clone(), Some(record.revision))?],
                ops: vec![delete(at)?],
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok(())
            }
            TxnOutcome::GuardFailed { .. } => Err(Error::Contended { kind: "secret", name: name.to_owned() }),
        }
    }

    /// Wraps data keys to validators that came since they were made, and away from those that left.
    ///
    /// # Errors
    /// When a key cannot be unwrapped here, or the store fails.
    pub async fn share_data_keys(&self) -> Result<(), Error> {
        let state = self.mirror.state();
        let validators = state.validator_keys();
        for (id, record) in &state.data_keys {
            if record.wrapped.keys().eq(validators.keys()) || validators.is_empty() {
                continue;
            }
            let shared = match self.sealer.share(record, &validators) {
                // Another validator, which can unwrap it, shares it with this one.
                Err(SealError::NotShared { .. }) => continue,
                shared => shared?,
            };
            let at = keys::data_key(&record.org, id);
            let guards = vec![unchanged(at.clone(), Some(record.revision))?];
            let ops = vec![put(at, &shared)?];
            // A lost race means that another validator has just done it.
            self.store.txn(univrs_ports::store::Txn { request: None, guards, ops }).await?;
        }
        Ok(())
    }

    /// The organisation's newest data key; where there is none, a new one that becomes part of the write.
    pub(crate) fn data_key(
        &self,
        state: &State,
        org: &Name,
        guards: &mut Vec<Guard>,
        ops: &mut Vec<Op>,
    ) -> Result<DataKey, Error> {
        let own = state.data_keys.values().filter(|key| key.org == *org);
        if let Some(known) = own.max_by_key(|key| key.created_at) {
            return Ok(DataKey::clone(known));
        }
        let made = self.sealer.new_data_key(org, &state.validator_keys(), self.clock.now())?;
        let at = keys::data_key(org, &made.id);
        guards.push(unchanged(at.clone(), None)?);
        ops.push(put(at, &made)?);
        Ok(made)
    }

    pub(crate) fn with_value(
        &self,
        known: Option<&Record<Secret>>,
        at: &OrgName,
        key: &DataKey,
        value: &SecretValue,
    ) -> Result<Secret, Error> {
        let now = self.clock.now();
        let mut secret = known.map_or_else(
            || Secret {
                id: SecretId::from_bits(rand::random()),
                org: at.org.clone(),
                name: at.name.clone(),
                created_at: now,
                resource: None,
                versions: Vec::new(),
            },
            |known| Secret::clone(known),
        );
        let version = SecretVersion { version: secret.newest().version + 1, secret: secret.id.clone() };
        let binding = Binding { org: &at.org, name: &at.name, version: &version };
        let sealed = self.sealer.seal(key, &binding, value)?;
        secret.versions.push(SealedVersion {
            version: version.version,
            created_at: now,
            key: key.id.clone(),
            sealed,
        });
        let excess = secret.versions.len().saturating_sub(KEPT_VERSIONS);
        secret.versions.drain(..excess);
        Ok(secret)
    }

    fn secret_event(&self, kind: EventKind, message: String) -> Event {
        Event {
            at: self.clock.now(),
            kind,
            severity: Severity::Info,
            workload: None,
            instance: None,
            node: None,
            message,
        }
    }
}

impl State {
    /// Names of the workloads that use a secret, in their present spec or in one that an instance still runs.
    ///
    /// Looks through the organisation's workloads: secrets are written and removed seldom.
    pub(crate) fn users_of_secret(&self, secret: &OrgName) -> Vec<Name> {
        let uses = |spec: &univrs_model::workload::WorkloadSpec| {
            spec.secrets.iter().any(|uses| uses.name == secret.name)
        };
        let own = self.workloads.iter().filter(|(key, _)| key.org == secret.org);
        own.filter(|&(key, record)| {
            uses(&record.spec)
                || self.rollouts.get(key).is_some_and(|rollout| {
                    let used = rollout.revisions.iter().filter(|revision| uses(&revision.spec));
                    let used: Vec<u64> = used.map(|revision| revision.number).collect();
                    !used.is_empty()
                        && self.instances_of(key).iter().any(|instance| {
                            !instance.phase().is_terminal()
                                && used.contains(&instance.assignment.workload_revision)
                        })
                })
        })
        .map(|(key, _)| key.name.clone())
        .collect()
    }

    /// The newest value of each secret that any of these specs uses.
    pub(crate) fn newest_secrets<'a>(
        &self,
        org: &Name,
        specs: impl Iterator<Item = &'a univrs_model::workload::WorkloadSpec>,
    ) -> BTreeMap<Name, SecretVersion> {
        specs
            .flat_map(|spec| &spec.secrets)
            .filter_map(|uses| {
                let at = OrgName { org: org.clone(), name: uses.name.clone() };
                Some((uses.name.clone(), self.secrets.get(&at)?.newest()))
            })
            .collect()
    }
}

fn view(state: &State, key: &OrgName, record: &Record<Secret>) -> SecretView {
    SecretView {
        id: record.id.clone(),
        name: key.name.clone(),
        org: key.org.clone(),
        revision: record.revision.0,
        version: record.newest().version,
        created_at: record.created_at,
        updated_at: record.updated_at(),
        used_by: state.users_of_secret(key),
    }
}

fn find(state: &State, caller: &Caller, wanted: &str) -> Result<(OrgName, Record<Secret>), Error> {
    let known = wanted.parse::<Name>().ok().and_then(|name| {
        let key = OrgName { org: caller.org.clone(), name };
        state.secrets.get(&key).map(|record| (key, record.clone()))
    });
    known.ok_or_else(|| {
        let own = state.secrets.keys().filter(|key| key.org == caller.org);
        Error::NotFound {
            kind: "secret",
            name: wanted.to_owned(),
            near: nearest(wanted, own.map(|key| key.name.as_str())).map(str::to_owned),
        }
    })
}

fn joined(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}
