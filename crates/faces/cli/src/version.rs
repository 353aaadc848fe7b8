//! `univrs version`: the versions of this program and of the cluster's nodes.

use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;

/// Print the versions of this program and of the cluster's nodes.
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {
    /// Do not ask the cluster
    #[arg(long)]
    client: bool,
}

impl VersionArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let own = context.version;
        let cluster = if self.client { None } else { Some(context.client.cluster().await) };
        let versions = match cluster.map(|reply| reply.and_then(|reply| reply.value())) {
            None => Value::Null,
            Some(Ok(cluster)) => cluster.get("versions").cloned().unwrap_or_default(),
            // This program's version is an answer even when there is no server.
            Some(Err(error)) => {
                context.talk(&format!("no versions of the cluster: {error}"))?;
                Value::Null
            }
        };
        let members: Vec<String> = versions
            .as_object()
            .into_iter()
            .flatten()
            .map(|(version, count)| format!("{version} ({count} nodes)"))
            .collect();
        let dashboard = univrs_dashboard::site::is_present();
        let body = json!({"client": own, "cluster": versions, "dashboard": dashboard}).to_string();
        let built_in = if dashboard { "built in" } else { "absent; this program was built without it" };
        let facts =
            [("client", own.to_owned()), ("cluster", members.join(", ")), ("dashboard", built_in.to_owned())];
        show::details(context, body.as_bytes(), (own, own), &facts)?;
        Ok(Exit::Ok)
    }
}
