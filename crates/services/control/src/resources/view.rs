//! Resources and templates as people see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use univrs_model::ids::ResourceId;
use univrs_model::operation::OperationStatus;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::resource::{Resource, ResourceStatus, ResourceView};
use univrs_model::usage::{Measured, ResourceUsage};
use univrs_template::Template;
use utoipa::ToSchema;

use crate::operations;
use crate::record::Record;
use crate::state::State;

/// A template as people see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TemplateView {
    /// The template.
    #[serde(flatten)]
    pub template: Template,
    /// JSON Schema of its parameters.
    #[schema(value_type = Object)]
    pub schema: Value,
}

/// A template with the schema of its parameters.
pub(super) fn template(template: &Template) -> TemplateView {
    TemplateView { schema: template.schema(), template: template.clone() }
}

/// A resource as people see it.
pub fn view(state: &State, record: &Record<Resource>) -> ResourceView {
    let operation = state.operations.get(&record.operation).map(operations::view);
    let (stage, progress) = match &operation {
        // What ended long ago is forgotten; the resource is as it left it.
        None => ("complete".to_owned(), 100),
        Some(known) if record.status == ResourceStatus::Failed => ("failed".to_owned(), known.progress),
        Some(known) if known.operation.status == OperationStatus::Running && known.stage == "waiting" => {
            ("init".to_owned(), 0)
        }
        Some(known) => (known.stage.clone(), known.progress),
    };
    let ports = record.ports.iter();
    let host = |port: &String| record.hosts.get(port).unwrap_or(&record.host);
    let endpoints = ports.filter(|_| !record.host.is_empty());
    ResourceView {
        id: record.id.clone(),
        name: record.name.clone(),
        org: record.org.clone(),
        revision: record.revision.0,
        created_at: record.created_at,
        updated_at: record.updated_at,
        template: record.template.clone(),
        provider: record.provider.clone(),
        parameters: record.parameters.clone(),
        status: record.status,
        message: record.message.clone(),
        stage,
        progress,
        operation: record.operation.clone(),
        endpoints: endpoints.map(|(name, port)| (name.clone(), format!("{}:{port}", host(name)))).collect(),
        workloads: record.deployment.workloads.iter().map(|spec| spec.name.clone()).collect(),
        footprint: record.deployment.footprint,
        backups: record.backups.clone(),
        last_backup_at: record.backups.last().map(|backup| backup.created_at),
        rotated_at: record.rotated_at,
        facts: record.facts.clone(),
        differences: record.deployment.differences.clone(),
        usage: None,
    }
}

/// The same with what they use.
pub(super) fn with_usage(state: &State, views: Vec<ResourceView>) -> Vec<ResourceView> {
    let mut measured: BTreeMap<&ResourceId, Vec<&Measured>> = BTreeMap::new();
    for record in state.measured.values().filter(|record| !record.closed) {
        measured.entry(&record.resource).or_default().push(record);
    }
    let with = |view: ResourceView| {
        let usage = measured.get(&view.id).and_then(|parts| usage(parts));
        ResourceView { usage, ..view }
    };
    views.into_iter().map(with).collect()
}

/// What the parts of a resource use together.
fn usage(parts: &[&Measured]) -> Option<ResourceUsage> {
    let sum = |of: fn(&Measured) -> u64| parts.iter().map(|part| of(part)).fold(0, u64::saturating_add);
    let requests: Vec<u64> = parts.iter().filter_map(|part| part.requests).collect();
    Some(ResourceUsage {
        at: parts.iter().map(|part| part.through).max()?,
        cpu: Cpu::millicores(sum(|part| part.cpu_millicores)),
        memory: Bytes::new(sum(|part| part.memory)),
        storage: Bytes::new(sum(|part| part.storage)),
        since: parts.iter().map(|part| part.window).min()?,
        network_in: sum(|part| part.network_in),
        network_out: sum(|part| part.network_out),
        requests: (!requests.is_empty()).then(|| requests.iter().sum()),
    })
}
