//! `univrs status`: the cluster and its nodes.

use clap::Args;
use serde_json::Value;
use univrs_model::node::NodeView;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;

/// Show the cluster.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {}

impl StatusArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.cluster().await?;
        let cluster = reply.value()?;
        let id = text(&cluster, "id");
        let name = if text(&cluster, "name").is_empty() { id.clone() } else { text(&cluster, "name") };
        let facts = [
            ("server", context.client.server().to_owned()),
            ("cluster", id.clone()),
            ("health", text(&cluster, "health")),
            ("problems", text(&cluster, "problems")),
            ("leader", text(&cluster, "leader")),
            ("voters", text(&cluster, "voters")),
            ("versions", text(&cluster, "versions")),
            ("capacity", text(&cluster, "capacity")),
            ("requested", text(&cluster, "requested")),
            ("workloads", text(&cluster, "workloads")),
            ("instances", text(&cluster, "instances")),
            ("revision", text(&cluster, "revision")),
        ];
        show::details(context, reply.body(), (&id, &name), &facts)?;
        let plain = !context.quiet && !context.for_programs() && context.format != crate::args::Format::Name;
        if plain {
            let listing = whole(None, async |page| context.client.nodes(&page).await).await?;
            let body = listing.body.clone();
            let nodes: Vec<NodeView> = listing.decode()?;
            context.io.data("")?;
            show::nodes(&nodes).print(context, &body)?;
        }
        Ok(Exit::Ok)
    }
}

/// One member of an object in a few words.
fn text(object: &Value, key: &str) -> String {
    object.get(key).map(words).unwrap_or_default()
}

fn words(value: &Value) -> String {
    let named = |value: &Value| value.get("name").or_else(|| value.get("id")).cloned();
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().map(words).collect();
            parts.join(", ")
        }
        Value::Object(fields) => match named(value) {
            Some(name) => words(&name),
            None => {
                let parts: Vec<String> =
                    fields.iter().map(|(key, value)| format!("{key} {}", words(value))).collect();
                parts.join(", ")
            }
        },
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
