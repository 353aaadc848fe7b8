//! The jobs of a resource: what of their documents is known when it is made, and what when they run.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use univrs_model::ids::ResourceId;
use univrs_model::resource::{BackupJobs, Promotion};
use univrs_model::workload::{CronSchedule, WorkloadSpec};

use crate::compile::{Context, labelled};
use crate::expand::{Values, expand};
use crate::source::{BackupRule, PromoteRule, Template};
use crate::upkeep::promoted;

/// What becomes known only when a job runs.
const LATER: &[&str] = &["backup.", "target."];

/// What a job is about.
#[derive(Clone, Copy, Debug)]
pub struct JobValues<'a> {
    /// Id of the backup; empty for jobs of another kind.
    pub backup: &'a str,
    /// How many backups are kept.
    pub keep: u32,
    /// The time to restore to, in RFC 3339; empty for the backup's own.
    pub to_time: &'a str,
    /// Name and parameters of the resource that a backup is put into.
    pub target: &'a BTreeMap<String, Value>,
}

/// The jobs that back a resource up.
pub(crate) fn backup(
    rule: &BackupRule,
    schedule: Option<CronSchedule>,
    values: &Values,
    context: &Context<'_>,
) -> Result<BackupJobs, String> {
    let keep = expand(&rule.keep, values, &[])?;
    let keep =
        keep.as_u64().and_then(|keep| u32::try_from(keep).ok()).ok_or("`backup.keep` is not a number")?;
    let jobs = BackupJobs {
        keep,
        schedule,
        backup: expand(&rule.job, values, LATER)?,
        restore: expand(&rule.restore, values, LATER)?,
    };
    example(&jobs.backup, values, context)?;
    example(&jobs.restore, values, context)?;
    Ok(jobs)
}

/// How a replica takes over.
pub(crate) fn promotion(
    rule: &PromoteRule,
    template: &Template,
    values: &Values,
    context: &Context<'_>,
) -> Result<Promotion, String> {
    let becomes = promoted(template, rule, values.get(&rule.parameter))?;
    let job = expand(&rule.job, values, LATER)?;
    example(&job, values, context)?;
    Ok(Promotion { job, parameter: rule.parameter.clone(), becomes })
}

/// What would be faulty when it is needed is faulty now.
fn example(document: &Value, values: &Values, context: &Context<'_>) -> Result<(), String> {
    let target = values.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let about = JobValues { backup: "0-example", keep: 1, to_time: "", target: &target };
    job(document, context.id, about).map(drop)
}

/// The workload of a job.
///
/// # Errors
/// What is wrong with the job, for people.
pub fn job(document: &Value, id: &ResourceId, about: JobValues<'_>) -> Result<WorkloadSpec, String> {
    let mut values: Values =
        about.target.iter().map(|(key, value)| (format!("target.{key}"), value.clone())).collect();
    values.insert("backup.id".to_owned(), json!(about.backup));
    values.insert("backup.keep".to_owned(), json!(about.keep.to_string()));
    values.insert("backup.to_time".to_owned(), json!(about.to_time));
    labelled(expand(document, &values, &[])?, id)
}
