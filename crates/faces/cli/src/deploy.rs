//! `univrs deploy`: workloads become what their files say, after the plan was shown and agreed to.

use std::collections::BTreeSet;

use clap::Args;
use univrs_client::Plan;

use crate::confirm;
use crate::context::Context;
use crate::documents::{self, Document};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::plan;
use crate::show;
use crate::table::print_body;
use crate::wait::{Target, settle};

/// Make workloads what their files say.
#[derive(Args, Debug)]
pub(crate) struct DeployArgs {
    /// Workload files (JSON, YAML, TOML) with one or several documents, or compose files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// A profile of the compose files whose services take part
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
}

/// A document and how it is to be written.
struct Write {
    document: Document,
    /// Present when the workload exists: the state that the plan was made from.
    existing: Option<Option<String>>,
    plan: Plan,
    plan_body: Vec<u8>,
}

impl DeployArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let profiles: BTreeSet<String> = self.profiles.iter().cloned().collect();
        let mut documents = Vec::new();
        for file in &self.files {
            documents.extend(documents::read(context, file, &profiles)?);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = documents.iter().find(|document| !names.insert(document.name.clone())) {
            let detail = format!("workload {} is written in two documents", twice.name);
            return Err(Fault::usage(detail, "keep one of them"));
        }
        let mut writes = Vec::new();
        for document in documents {
            writes.push(planned(context, document).await?);
        }
        let plans: Vec<Plan> = writes.iter().map(|write| write.plan.clone()).collect();
        if context.dry_run {
            return show_plan(context, &writes, &plans);
        }
        for line in plan::lines(&plans) {
            context.talk(&line)?;
        }
        writes.retain(|write| !write.plan.changes.is_empty());
        if writes.is_empty() {
            return Ok(Exit::Ok);
        }
        if !confirm::agreed(context, "go on?")? {
            context.talk("nothing was changed")?;
            return Ok(Exit::Failed);
        }
        let mut targets = Vec::new();
        let mut last = None;
        for write in &writes {
            let name = &write.document.name;
            let reply = match &write.existing {
                None => context.client.create_workload(&write.document.value).await?,
                Some(etag) => {
                    context.client.replace_workload(name, &write.document.value, etag.as_deref()).await?
                }
            };
            targets.push(Target::from(&reply.value()?));
            last = Some(reply);
        }
        let exit = settle(context, &targets).await?;
        print_outcome(context, &targets, last.as_ref().map(|reply| reply.body().to_vec())).await?;
        Ok(exit)
    }
}

async fn planned(context: &Context<'_>, document: Document) -> Result<Write, Fault> {
    let existing = match context.client.workload(&document.name).await {
        Ok(reply) => Some(reply.etag().map(str::to_owned)),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let reply = match existing {
        None => context.client.plan_create_workload(&document.value).await?,
        Some(_) => context.client.plan_replace_workload(&document.name, &document.value).await?,
    };
    let plan = reply.value()?;
    Ok(Write { document, existing, plan, plan_body: reply.body().to_vec() })
}

/// With `--dry-run` the plan is the data.
fn show_plan(context: &mut Context<'_>, writes: &[Write], plans: &[Plan]) -> Result<Exit, Fault> {
    if !context.for_programs() {
        for line in plan::lines(plans) {
            context.io.data(&line)?;
        }
        return Ok(Exit::Ok);
    }
    match writes {
        [only] => print_body(context, &only.plan_body)?,
        _ => {
            let bodies: Vec<&[u8]> = writes.iter().map(|write| write.plan_body.as_slice()).collect();
            print_body(context, &joined(&bodies))?;
        }
    }
    Ok(Exit::Ok)
}

/// After waiting, programs get the workloads as they are now.
async fn print_outcome(
    context: &mut Context<'_>,
    targets: &[Target],
    body: Option<Vec<u8>>,
) -> Result<(), Fault> {
    if !context.for_programs() {
        for target in targets {
            show::written(context, &[], &target.name, &target.name)?;
        }
        return Ok(());
    }
    if let (true, [_], Some(body)) = (context.detach, targets, body) {
        return print_body(context, &body);
    }
    let mut bodies = Vec::new();
    for target in targets {
        bodies.push(context.client.workload(&target.name).await?.body().clone());
    }
    match bodies.as_slice() {
        [only] => print_body(context, only),
        _ => print_body(context, &joined(&bodies.iter().map(|body| body.as_ref()).collect::<Vec<_>>())),
    }
}

/// Several bodies as one list.
fn joined(bodies: &[&[u8]]) -> Vec<u8> {
    let mut list = br#"{"items":["#.to_vec();
    list.extend(bodies.join(&b","[..]));
    list.extend(b"]}");
    list
}
