//! `univrs workload update`: one container's image, environment or resources, or the workload's scale.

use clap::Args;
use univrs_client::Reply;
use univrs_model::decode::nearest;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::rollout::WorkloadView;
use univrs_model::workload::{ContainerSpec, WorkloadSpec};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::up::key_value;
use crate::workload::edit;

/// How often a change is made anew because someone else was faster.
const ATTEMPTS: u32 = 3;

/// Change a workload.
#[derive(Args, Debug)]
#[group(id = "change", required = true, multiple = true, args = ["image", "env", "unset", "cpu", "memory", "cpu_limit", "memory_limit", "replicas"])]
pub(crate) struct UpdateArgs {
    /// Name or id of the workload
    workload: String,
    /// The container to change; needed when there are several
    #[arg(long)]
    container: Option<String>,
    /// Run this image
    #[arg(long)]
    image: Option<String>,
    /// Set a variable of the environment; may be repeated
    #[arg(long, value_name = "K=V", value_parser = key_value)]
    env: Vec<(String, String)>,
    /// Remove a variable of the environment; may be repeated
    #[arg(long, value_name = "K")]
    unset: Vec<String>,
    /// Processor time to ask for
    #[arg(long)]
    cpu: Option<Cpu>,
    /// Memory to ask for
    #[arg(long)]
    memory: Option<Bytes>,
    /// Processor time it can never exceed
    #[arg(long)]
    cpu_limit: Option<Cpu>,
    /// Memory beyond which it is killed
    #[arg(long)]
    memory_limit: Option<Bytes>,
    /// How many instances
    #[arg(long)]
    replicas: Option<u32>,
}

impl UpdateArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = self.write(context).await?;
        edit::finish(context, &reply).await
    }

    /// Reads, changes and writes the spec; what others wrote in between is kept.
    async fn write(&self, context: &Context<'_>) -> Result<Reply<WorkloadView>, Fault> {
        let mut attempt = 1;
        loop {
            let current = context.client.workload(&self.workload).await?;
            let view = current.value()?;
            let spec = serde_json::to_value(self.changed(view.spec)?)
                .map_err(|error| Fault::failed(format!("the spec cannot be written: {error}"), None))?;
            match context.client.replace_workload(view.name.as_str(), &spec, current.etag()).await {
                Err(error) if error.is_stale() && attempt < ATTEMPTS => attempt += 1,
                outcome => return Ok(outcome?),
            }
        }
    }

    fn changed(&self, mut spec: WorkloadSpec) -> Result<WorkloadSpec, Fault> {
        spec.replicas = self.replicas.unwrap_or(spec.replicas);
        let within = !self.env.is_empty()
            || !self.unset.is_empty()
            || self.cpu.is_some()
            || self.memory.is_some()
            || self.cpu_limit.is_some()
            || self.memory_limit.is_some();
        if !within && self.image.is_none() {
            return Ok(spec);
        }
        let mut containers = spec.containers();
        self.change(self.pick(&mut containers)?);
        // The short form stays short as long as it can say everything.
        match (&spec.image, within, containers.as_slice()) {
            (Some(_), false, [only]) => spec.image = Some(only.image.clone()),
            _ => {
                spec.image = None;
                spec.containers = containers;
            }
        }
        Ok(spec)
    }

    fn pick<'a>(&self, containers: &'a mut [ContainerSpec]) -> Result<&'a mut ContainerSpec, Fault> {
        let names: Vec<String> = containers.iter().map(|container| container.name.to_string()).collect();
        let known = names.join(", ");
        let index = match &self.container {
            Some(wanted) => names.iter().position(|name| name == wanted).ok_or_else(|| {
                let near = nearest(wanted, names.iter().map(String::as_str));
                let hint =
                    near.map_or_else(|| format!("it has {known}"), |near| format!("did you mean `{near}`?"));
                Fault::usage(format!("{} has no container {wanted}", self.workload), hint)
            })?,
            None if names.len() == 1 => 0,
            None => {
                let hint = format!("name one of {known} with --container");
                return Err(Fault::usage(format!("{} has several containers", self.workload), hint));
            }
        };
        Ok(&mut containers[index])
    }

    fn change(&self, container: &mut ContainerSpec) {
        if let Some(image) = &self.image {
            container.image.clone_from(image);
        }
        for key in &self.unset {
            container.env.remove(key);
        }
        container.env.extend(self.env.iter().cloned());
        let resources = &mut container.resources;
        resources.cpu = self.cpu.unwrap_or(resources.cpu);
        resources.memory = self.memory.unwrap_or(resources.memory);
        resources.cpu_limit = self.cpu_limit.or(resources.cpu_limit);
        resources.memory_limit = self.memory_limit.or(resources.memory_limit);
    }
}
