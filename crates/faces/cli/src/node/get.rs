//! `univrs node get`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;
use crate::table::{size, word};

/// Show a node.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// Id or name of the node
    node: String,
}

impl GetArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.node(&self.node).await?;
        let view = reply.value()?;
        let node = &view.node;
        let roles: Vec<String> = node.roles.iter().map(word).collect();
        let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let place = &node.location;
        let facts = [
            ("name", node.name.to_string()),
            ("id", node.id.to_string()),
            ("state", show::node_state(&view)),
            ("roles", roles.join(", ")),
            ("cloud", place.cloud.clone()),
            ("region", place.region.clone()),
            ("zone", place.zone.clone()),
            ("operator", place.operator.clone()),
            ("cpu", format!("{} of {}", view.requested.cpu, node.capacity.cpu)),
            (
                "memory",
                format!("{} of {}", size(view.requested.memory.get()), size(node.capacity.memory.get())),
            ),
            ("disk", format!("{} of {}", size(view.requested.disk.get()), size(node.capacity.disk.get()))),
            ("instances", view.instances.to_string()),
            ("runtime", node.runtime.as_ref().map(word).unwrap_or_default()),
            ("version", node.version.clone()),
            ("api", node.api_address.clone()),
            ("labels", labels.join(", ")),
            ("joined", node.created_at.to_string()),
        ];
        show::details(context, reply.body(), (node.id.as_str(), node.name.as_str()), &facts)?;
        Ok(Exit::Ok)
    }
}
