//! `univrs workload get`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;
use crate::table::{age, word};

/// Show a workload.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// Name or id of the workload
    workload: String,
}

impl GetArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.workload(&self.workload).await?;
        let view = reply.value()?;
        let labels: Vec<String> =
            view.spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let reverted =
            view.reverted_from.map(|version| format!("version {version} failed")).unwrap_or_default();
        let now = (context.io.now)();
        let facts = [
            ("name", view.name.to_string()),
            ("id", view.id.to_string()),
            ("org", view.org.to_string()),
            ("kind", word(&view.spec.kind)),
            ("status", word(&view.status)),
            ("message", view.message.clone()),
            ("version", view.version.to_string()),
            ("reverted", reverted),
            ("ready", format!("{} of {}", view.ready, view.replicas)),
            ("updated", format!("{} of {}", view.updated, view.instances)),
            ("images", show::images(&view.spec)),
            ("labels", labels.join(", ")),
            ("made", format!("{} ago", age(now, view.created_at))),
            ("changed", format!("{} ago", age(now, view.updated_at))),
        ];
        show::details(context, reply.body(), (view.id.as_str(), view.name.as_str()), &facts)?;
        Ok(Exit::Ok)
    }
}
