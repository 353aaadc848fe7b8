//! Asking for backups and for their restoration.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use univrs_authz::Action;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::resource::{Backup, Resource, ResourceStatus};
use univrs_ports::store::Revision;
use utoipa::ToSchema;

use super::faces::Begun;
use super::find;
use super::kinds::{self, Kind};
use crate::error::Error;
use crate::handle::Control;
use crate::record::Record;

/// Which backup to put into a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSpec {
    /// The resource it was made of, by name or id; the one that is restored when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Id of the backup; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// The time to go to, where the template keeps the log of changes; the backup's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to_time: Option<Timestamp>,
}

impl Control {
    /// The backups of a resource, oldest first.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn list_backups(&self, caller: &Caller, wanted: &str) -> Result<(Vec<Backup>, Revision), Error> {
        self.allow(caller, Action::ResourceRead, &format!("resource/{wanted}"))?;
        let state = self.mirror.state();
        Ok((find(&state, caller, wanted)?.backups.clone(), state.revision))
    }

    /// Begins to back a resource up.
    ///
    /// # Errors
    /// When it does not exist, cannot be backed up, is being changed, or the caller may not.
    pub async fn back_up_resource(&self, caller: &Caller, wanted: &str) -> Result<Begun, Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, &format!("resource/{wanted}"))?;
        let resource = find(&self.mirror.state(), caller, wanted)?;
        can_be_backed_up(&resource)?;
        serving(&resource, "backed up")?;
        let mut parameters = Map::new();
        parameters.insert("backup".into(), json!(backup_id(self.clock.now())));
        let operation = kinds::operation(Kind::Backup, caller, &resource, parameters, self.clock.now());
        self.begin(caller, allowed_by, &[&resource], operation, resource.status).await
    }

    /// Begins to put a backup into a resource, whose data it replaces.
    ///
    /// # Errors
    /// When either does not exist, they are of different templates, or as [`Control::back_up_resource`].
    pub async fn restore_resource(
        &self,
        caller: &Caller,
        wanted: &str,
        spec: &RestoreSpec,
    ) -> Result<Begun, Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, &format!("resource/{wanted}"))?;
        let state = self.mirror.state();
        let target = find(&state, caller, wanted)?;
        let source =
            find(&state, caller, spec.from.as_deref().unwrap_or(wanted)).map_err(|error| match error {
                Error::NotFound { .. } => Error::field(FieldError::new("from", error.to_string())),
                other => other,
            })?;
        can_be_backed_up(&source)?;
        serving(&target, "restored")?;
        if (&source.template, &source.provider) != (&target.template, &target.provider) {
            let detail = format!(
                "`{}` is a {} on {} and `{}` a {} on {}",
                source.name, source.template, source.provider, target.name, target.template, target.provider
            );
            return Err(Error::field(FieldError::new("from", detail).hint("restore into one like it")));
        }
        if let Some(to_time) = spec.to_time {
            reachable(&source, spec.backup.as_deref(), to_time, self.clock.now())?;
        }
        let leads = |backup: &&Backup| {
            spec.to_time.is_none_or(|wanted| backup.usable_from.is_some_and(|from| from <= wanted))
        };
        let chosen = match &spec.backup {
            Some(wanted) => source.backups.iter().find(|backup| backup.id == *wanted),
            None => source.backups.iter().rfind(leads),
        };
        let Some(chosen) = chosen else {
            let known: Vec<&str> = source.backups.iter().map(|backup| backup.id.as_str()).collect();
            let detail = match &spec.backup {
                Some(wanted) => format!("`{}` has no backup `{wanted}`", source.name),
                None => format!("`{}` has no backups", source.name),
            };
            return Err(Error::field(FieldError::new("backup", detail).hint(match known.as_slice() {
                [] => format!("make one: `univrs resource backup {}`", source.name),
                known => format!("it has {}", known.join(", ")),
            })));
        };
        let mut parameters = Map::new();
        parameters.insert("backup".into(), json!(chosen.id));
        parameters.insert("source".into(), json!(source.name));
        parameters.insert("source_id".into(), json!(source.id));
        if let Some(to_time) = spec.to_time {
            parameters.insert("to_time".into(), json!(to_time));
        }
        let operation = kinds::operation(Kind::Restore, caller, &target, parameters, self.clock.now());
        let both = [&target, &source];
        let changed = if source.id == target.id { &both[..1] } else { &both[..] };
        self.begin(caller, allowed_by, changed, operation, ResourceStatus::Maintenance).await
    }
}

/// Refuses a time that no backup leads to.
fn reachable(
    source: &Resource,
    named: Option<&str>,
    to_time: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let refused =
        |detail: String, hint: &str| Err(Error::field(FieldError::new("to_time", detail).hint(hint)));
    if to_time > now {
        return refused(format!("{to_time} is still to come"), "choose a time that has passed");
    }
    let known = source.backups.iter().filter(|backup| named.is_none_or(|named| backup.id == named));
    let Some(earliest) = known.filter_map(|backup| backup.usable_from).min() else {
        let detail = format!("no backup of `{}` leads to other times than its own", source.name);
        return refused(
            detail,
            "leave the time out; a template that keeps the log of changes, such as postgres-medium, can do it",
        );
    };
    if to_time < earliest {
        return refused(
            format!("the earliest time that can be gone to is {earliest}"),
            "choose a later time",
        );
    }
    Ok(())
}

/// An id that sorts by time.
pub(super) fn backup_id(now: Timestamp) -> String {
    let time = now.strftime("%Y%m%d-%H%M%S");
    format!("{time}-{:04x}", rand::random::<u16>())
}

fn can_be_backed_up(resource: &Record<Resource>) -> Result<(), Error> {
    if resource.deployment.backup.is_some() {
        return Ok(());
    }
    Err(Error::Conflict {
        what: format!("resource `{}` cannot be backed up", resource.name),
        reason: format!("the template {} has no backups", resource.template),
        hint: None,
    })
}

pub(super) fn serving(resource: &Record<Resource>, what: &str) -> Result<(), Error> {
    if matches!(resource.status, ResourceStatus::Active | ResourceStatus::Degraded) {
        return Ok(());
    }
    Err(Error::Conflict {
        what: format!("resource `{}` cannot be {what}", resource.name),
        reason: format!("it is {}", format!("{:?}", resource.status).to_uppercase()),
        hint: Some(format!("see `univrs operation get {}`", resource.operation)),
    })
}
