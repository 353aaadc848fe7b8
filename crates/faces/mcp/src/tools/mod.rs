//! The tools: what each is called and takes (`definitions.rs`), and what it does.

mod cluster;
mod definitions;
mod logs;
mod nodes;
mod plans;
mod resources;
mod summary;
mod topology;
mod workloads;

use std::sync::{Arc, LazyLock};

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use crate::api::Api;
use crate::arguments::read;
use crate::reply::{Answer, Refusal};
use crate::wait::Patience;
use definitions::{Effect, Known, TOOLS};

/// Most tools that are ever offered: a model has to read them all.
pub const MOST_TOOLS: usize = 24;
/// Largest list of tools, in bytes of JSON.
pub const MOST_BYTES: usize = 20_000;

static LISTED: LazyLock<Vec<Tool>> = LazyLock::new(|| TOOLS.iter().map(Known::tool).collect());

/// All tools, in a fixed order; the same for every caller.
pub fn listed() -> Vec<Tool> {
    LISTED.clone()
}

/// The tool with this name.
pub(crate) fn find(name: &str) -> Option<&'static Known> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl Known {
    fn tool(&self) -> Tool {
        let schema = |text: &str| -> Arc<JsonObject> {
            // Tests read every schema; a faulty one would show as a tool that takes anything.
            Arc::new(serde_json::from_str(text).unwrap_or_default())
        };
        let hints = ToolAnnotations::new().open_world(false);
        let hints = match self.effect {
            Effect::Reads => hints.read_only(true),
            Effect::Plans => hints.read_only(false).destructive(false).idempotent(false),
            Effect::Applies => hints.read_only(false).destructive(true).idempotent(false),
        };
        Tool::new(self.name, self.description, schema(self.input))
            .with_raw_output_schema(schema(self.output))
            .with_annotations(hints)
    }
}

/// Carries out a plan that the person in front of the client has agreed to.
pub(crate) async fn apply_agreed(
    api: &dyn Api,
    patience: &Patience,
    arguments: Option<JsonObject>,
) -> Result<Answer, Refusal> {
    plans::apply(api, patience, read(arguments)?, true).await
}

/// Does what a tool is for.
pub(crate) async fn run(
    tool: &Known,
    api: &dyn Api,
    patience: &Patience,
    arguments: Option<JsonObject>,
) -> Result<Answer, Refusal> {
    match tool.name {
        "find_problems" => cluster::problems(api, read(arguments)?).await,
        "cluster_overview" => cluster::overview(api, read(arguments)?).await,
        "events_timeline" => cluster::timeline(api, read(arguments)?).await,
        "image_list" => cluster::images(api, read(arguments)?).await,
        "operation_get" => cluster::operation(api, patience, read(arguments)?).await,
        "workload_list" => workloads::list(api, read(arguments)?).await,
        "workload_get" => workloads::get(api, read(arguments)?).await,
        "workload_logs" => logs::read(api, read(arguments)?).await,
        "explain_placement" => workloads::explain(api, read(arguments)?).await,
        "workload_deploy" => workloads::deploy(api, read::<JsonObject>(arguments).map(Value::Object)?).await,
        "workload_update" => workloads::update(api, read(arguments)?).await,
        "workload_scale" => workloads::scale(api, read(arguments)?).await,
        "workload_rollback" => workloads::roll_back(api, read(arguments)?).await,
        "workload_delete" => workloads::delete(api, read(arguments)?).await,
        "node_list" => nodes::list(api, read(arguments)?).await,
        "node_get" => nodes::get(api, read(arguments)?).await,
        "node_drain" => nodes::drain(api, read(arguments)?).await,
        "template_list" => resources::templates(api, read(arguments)?).await,
        "resource_get" => resources::get(api, read(arguments)?).await,
        "resource_create" => resources::create(api, read::<JsonObject>(arguments).map(Value::Object)?).await,
        "topology_check" => topology::check(api, read(arguments)?).await,
        "topology_cost" => topology::cost(api, read(arguments)?).await,
        "plan_get" => plans::get(api, read(arguments)?).await,
        "plan_apply" => plans::apply(api, patience, read(arguments)?, false).await,
        other => Err(Refusal {
            code: "internal".to_owned(),
            detail: format!("the tool `{other}` is listed and does nothing"),
            ..Refusal::default()
        }),
    }
}
