//! Compose files as workloads.
//!
//! A [compose file](https://github.com/compose-spec/compose-spec/blob/main/spec.md) becomes one workload per service,
//! in the order in which they depend on each other. What a workload cannot say is never dropped in silence: it is
//! either an error (the container would not be what the file asks for) or a [`Note`] that says what differs.
//!
//! [`convert`] is the whole of it. Files that a compose file refers to (`env_file`) and the environment come in as
//! parameters.

mod health;
mod interpolate;
mod keys;
mod reader;
mod resources;
mod service;
mod storage;
mod taken;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use univrs_model::field::FieldError;
use univrs_model::name::Name;
use univrs_model::workload::WorkloadSpec;

pub use interpolate::interpolate;
pub use service::env_file;

/// What the caller has around the file.
pub struct Surroundings<'a> {
    /// Variables for `${…}`.
    pub env: &'a BTreeMap<String, String>,
    /// Profiles that are active; a service that names profiles takes part only in those.
    pub profiles: &'a BTreeSet<String>,
    /// Reads a file named in `env_file`; `Err` says why it cannot be read.
    pub read: &'a dyn Fn(&str) -> Result<String, String>,
    /// Whether the file becomes one resource: that has a stated size, is given its ports of the host, has its secrets
    /// generated, and may be on any machine.
    pub as_resource: bool,
}

/// Something that works otherwise than under Docker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where, such as `services.web.networks`.
    pub field: String,
    /// What differs, in a sentence.
    pub detail: String,
}

/// A compose file as workloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// The workloads; each comes after those it depends on.
    pub workloads: Vec<WorkloadSpec>,
    /// What differs from Docker.
    pub notes: Vec<Note>,
    /// Paths of the keys that mean what they mean to Docker.
    pub taken: Vec<String>,
    /// What of a resource leads to it from outside: workload and name of the container's port.
    pub published: Vec<(Name, Name)>,
    /// Names of the secrets that are generated for a resource.
    pub generated: Vec<Name>,
}

/// Whether a document is a compose file rather than a workload: it has `services`, which no workload has.
pub fn is_compose(document: &Value) -> bool {
    document.get("services").is_some_and(Value::is_object)
}

/// Turns a compose file into workloads.
///
/// # Errors
/// Every fault of the file at once, with the path of each.
pub fn convert(text: &str, around: &Surroundings<'_>) -> Result<Converted, Vec<FieldError>> {
    let document = parse(text).map_err(|fault| vec![fault])?;
    let mut reader = reader::Reader::new(around);
    let document = reader.interpolated("", document);
    let workloads = reader.file(&document);
    let reader::Reader { mut errors, mut notes, published, generated, .. } = reader;
    let workloads = match in_order(workloads) {
        Ok(workloads) => workloads,
        Err(fault) => {
            errors.push(fault);
            Vec::new()
        }
    };
    for workload in &workloads {
        errors.extend(univrs_model::check::workload(workload).into_iter().map(|fault| FieldError {
            field: format!("services.{}: {}", workload.name, fault.field),
            ..fault
        }));
    }
    notes.sort();
    notes.dedup();
    if !errors.is_empty() {
        // Two services that use one thing find the same fault in it.
        let mut told: Vec<FieldError> = Vec::new();
        for fault in errors {
            if !told.contains(&fault) {
                told.push(fault);
            }
        }
        return Err(told);
    }
    let taken = taken::keys(&document, &notes);
    Ok(Converted { workloads, notes, taken, published, generated: generated.into_iter().collect() })
}

fn parse(text: &str) -> Result<Value, FieldError> {
    let syntax = |error: serde_norway::Error| FieldError::new("", error.to_string());
    let mut document: serde_norway::Value = serde_norway::from_str(text).map_err(syntax)?;
    document.apply_merge().map_err(syntax)?;
    serde_norway::from_value(document).map_err(syntax)
}

/// Each workload after those it depends on; otherwise in the order of their names.
fn in_order(workloads: Vec<WorkloadSpec>) -> Result<Vec<WorkloadSpec>, FieldError> {
    let mut left: BTreeMap<Name, WorkloadSpec> =
        workloads.into_iter().map(|workload| (workload.name.clone(), workload)).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |workload: &WorkloadSpec| {
            workload.depends_on.iter().any(|other| left.contains_key(&other.workload))
        };
        let ready: Vec<Name> =
            left.values().filter(|workload| !waits(workload)).map(|workload| workload.name.clone()).collect();
        if ready.is_empty() {
            let names: Vec<&str> = left.keys().map(Name::as_str).collect();
            let detail = format!("these services wait for each other: {}", names.join(", "));
            return Err(FieldError::new("services", detail).hint("take one `depends_on` out of the circle"));
        }
        for name in ready {
            ordered.extend(left.remove(&name));
        }
    }
    Ok(ordered)
}
