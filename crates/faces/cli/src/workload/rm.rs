//! `univrs workload rm`: waits until the last instance is gone.

use clap::Args;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::wait::until;

/// Remove workloads and their instances.
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// Names or ids of the workloads
    #[arg(required = true, value_name = "WORKLOAD")]
    workloads: Vec<String>,
}

impl RmArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let mut ids = Vec::new();
        for name in &self.workloads {
            let id = context.client.workload(name).await?.value()?.id;
            confirm::removal(context, "workload", name)?;
            context.client.delete_workload(name).await?;
            ids.push(id);
        }
        let mut exit = Exit::Ok;
        for (name, id) in self.workloads.iter().zip(ids) {
            if context.detach {
                context.talk(&format!("{name}: removal accepted, not waiting"))?;
                continue;
            }
            exit = exit.or(gone(context, name, id.as_str()).await?);
        }
        Ok(exit)
    }
}

/// Waits until a workload is gone; one that took its name since counts as gone.
pub(crate) async fn gone(context: &mut Context<'_>, name: &str, id: &str) -> Result<Exit, Fault> {
    let what = format!("removing workload {name}");
    until(context, &what, &format!("univrs ps {name}"), async |context, progress| {
        let gone = match context.client.workload(name).await {
            Err(error) if error.is_not_found() => true,
            Err(error) => return Err(error.into()),
            Ok(reply) => {
                let view = reply.value()?;
                let left = if view.instances == 0 {
                    "removing".to_owned()
                } else {
                    format!("removing, {} instances left", view.instances)
                };
                progress.say(context.io, name, &left)?;
                view.id.as_str() != id
            }
        };
        if gone {
            progress.say(context.io, name, "removed")?;
        }
        Ok(gone)
    })
    .await
}
