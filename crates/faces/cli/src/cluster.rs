//! `univrs cluster`: what is done to the cluster as a whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::operation::follow;
use crate::show;

/// The cluster as a whole.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Give every node another program, one failure domain at a time
    Upgrade(UpgradeArgs),
}

/// Give every node another program, one failure domain at a time
///
/// Nodes that do not vote come first, then the voters one by one, who leads last. Containers run on. A node that does not
/// work with the program goes back to what it ran before, and then all do; the command fails.
#[derive(Args, Debug)]
pub(crate) struct UpgradeArgs {
    /// The program: a file, or `self` for the one that runs this command
    #[arg(long, value_name = "FILE|self")]
    to: String,
    /// How long each node has to show that it works with it
    #[arg(long, value_name = "SPAN", default_value = "2m")]
    deadline: String,
    /// Leave the feature level of the state as it is, so that there is a way back
    #[arg(long)]
    keep_level: bool,
    /// Show in which order nodes would change, and change nothing
    #[arg(long)]
    plan: bool,
}

impl ClusterVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Upgrade(args) => args.run(context).await,
        }
    }
}

impl UpgradeArgs {
    async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let path = match self.to.as_str() {
            "self" => PathBuf::from("/proc/self/exe"),
            file => PathBuf::from(file),
        };
        let doing = || format!("open {}", path.display());
        let file = tokio::fs::File::open(&path).await.map_err(|source| Fault::local(doing(), source))?;
        let sent: Value =
            context.client.send_program(ReaderStream::with_capacity(file, 256 << 10)).await?.value()?;
        let text = |field: &str| sent.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (digest, version) = (text("digest"), text("version"));
        context.talk(&format!("sent version {version}, {digest}"))?;
        let body = json!({"digest": digest, "deadline": self.deadline, "keep_level": self.keep_level});
        let accepted = context.client.upgrade_cluster(&body, self.plan).await?;
        if self.plan {
            return planned(context, &accepted.value_as()?, accepted.body());
        }
        let id = accepted.value()?.operation.operation.id.to_string();
        context.talk(&format!("upgrade to {version}: operation {id}"))?;
        if context.detach {
            show::written(context, accepted.body(), &id, &version)?;
            return Ok(Exit::Ok);
        }
        let exit = follow(context, &id).await?;
        if exit == Exit::Ok {
            let reply = context.client.operation(&id).await?;
            show::written(context, reply.body(), &id, &version)?;
        }
        Ok(exit)
    }
}

/// The steps of the operation that would begin.
fn planned(context: &mut Context<'_>, plan: &Value, body: &[u8]) -> Result<Exit, Fault> {
    let steps = plan.pointer("/changes/0/after/steps").and_then(Value::as_array);
    for step in steps.into_iter().flatten() {
        let name = step.get("name").and_then(Value::as_str).unwrap_or_default();
        context.talk(&format!("would {name}"))?;
    }
    let id = plan.get("plan_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    show::written(context, body, &id, &id)?;
    Ok(Exit::Ok)
}
