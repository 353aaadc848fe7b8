//! `univrs run`: one container from an image, kept running, or with `--rm` run in the foreground once.

mod foreground;
mod spec;

use clap::Args;
use univrs_model::name::Name;
use univrs_model::quantity::{Bytes, Cpu};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::up::key_value;
use crate::workload::edit;
use spec::Publish;

/// Run a container.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The image
    image: String,
    /// Name of the workload; taken from the image when absent
    #[arg(long)]
    name: Option<Name>,
    /// How many instances
    #[arg(long, default_value_t = 1)]
    replicas: u32,
    /// Lead a port of the node to a port of the container; may be repeated
    #[arg(short, long, value_name = "HOST:CONTAINER[/udp]")]
    publish: Vec<Publish>,
    /// Set a variable of the environment; may be repeated
    #[arg(short, long, value_name = "K=V", value_parser = key_value)]
    env: Vec<(String, String)>,
    /// Processor time to ask for
    #[arg(long)]
    cpu: Option<Cpu>,
    /// Memory to ask for
    #[arg(long)]
    memory: Option<Bytes>,
    /// Label of the workload; may be repeated
    #[arg(short, long = "label", value_name = "K=V", value_parser = key_value)]
    labels: Vec<(String, String)>,
    /// Run once in the foreground, pass output and exit code on, and remove it
    #[arg(long, conflicts_with_all = ["replicas", "detach"])]
    rm: bool,
    /// Arguments for the image's entrypoint, in place of its command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl RunArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let spec = self.spec()?;
        let body = serde_json::to_value(&spec)
            .map_err(|error| Fault::failed(format!("the spec cannot be written: {error}"), None))?;
        let reply = context.client.create_workload(&body).await.map_err(|error| taken(error, &spec.name))?;
        if self.rm {
            return foreground::attend(context, &reply.value()?).await;
        }
        if self.name.is_none() && !context.for_programs() {
            context.talk(&format!("workload {}", spec.name))?;
        }
        edit::finish(context, &reply).await
    }
}

/// A name that is taken is said with the way out of it.
fn taken(error: univrs_client::Error, name: &Name) -> Fault {
    match error {
        univrs_client::Error::Problem(mut problem)
            if problem.status == 409 && problem.code != "idempotency_key_reused" =>
        {
            problem.hint = Some(format!(
                "choose another name with --name, or change it with `univrs workload update {name}`"
            ));
            univrs_client::Error::Problem(problem).into()
        }
        other => other.into(),
    }
}
