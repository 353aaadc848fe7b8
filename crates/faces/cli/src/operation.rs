//! `univrs operation`: long changes, how far they are, and stopping them.

use clap::Subcommand;
use univrs_model::operation::{OperationStatus, OperationView};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, word};
use crate::wait::until;

/// How many looks an operation may be unknown at the beginning, or when another node is asked.
const UNHEARD: u32 = 25;

/// Long changes.
#[derive(Debug, Subcommand)]
pub(crate) enum OperationVerb {
    /// List operations, newest first
    Ls,
    /// Show an operation
    Get {
        /// Its id, or a beginning of it that no other has
        id: String,
    },
    /// Wait until an operation has ended
    Watch {
        /// Its id, or a beginning of it that no other has
        id: String,
    },
    /// Stop an operation and take back what it did
    Cancel {
        /// Its id, or a beginning of it that no other has
        id: String,
    },
}

impl OperationVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let listing = whole(None, async |page| context.client.operations(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
                Ok(Exit::Ok)
            }
            Self::Get { id } => {
                show(context, &id).await?;
                Ok(Exit::Ok)
            }
            Self::Watch { id } => {
                let exit = follow(context, &id).await?;
                show(context, &id).await?;
                Ok(exit)
            }
            Self::Cancel { id } => {
                let operation = context.client.cancel_operation(&id).await?.value()?.operation;
                let subject = format!("{} of {}", operation.kind.replace('_', " "), operation.subject);
                context.talk(&format!("{subject}: asked to stop"))?;
                if !context.detach {
                    let exit = follow(context, operation.id.as_str()).await;
                    // That it was stopped is what was wanted; that it went through all the same is not.
                    let ended =
                        context.client.operation(operation.id.as_str()).await?.value()?.operation.status;
                    match (exit, ended) {
                        (Err(fault), OperationStatus::Running | OperationStatus::Failed) => {
                            return Err(fault);
                        }
                        (Ok(exit), OperationStatus::Running) => return Ok(exit),
                        (_, OperationStatus::Succeeded) => {
                            return Err(Fault::failed(
                                format!("{subject} had succeeded before it could stop"),
                                None,
                            ));
                        }
                        _ => {}
                    }
                }
                show(context, operation.id.as_str()).await?;
                Ok(Exit::Ok)
            }
        }
    }
}

/// Waits until an operation has ended, telling each stage; an end that is not success is a fault with its cause.
pub(crate) async fn follow(context: &mut Context<'_>, id: &str) -> Result<Exit, Fault> {
    let mut last = None;
    let mut unheard = UNHEARD;
    let exit = until(
        context,
        "the operation's end",
        &format!("univrs operation get {id}"),
        async |context, progress| {
            let view = match context.client.operation(id).await {
                // The node that is asked now may not have heard of it yet.
                Err(error) if error.is_not_found() && unheard > 0 => {
                    unheard -= 1;
                    return Ok(false);
                }
                answer => answer?.value()?,
            };
            unheard = UNHEARD;
            let operation = &view.operation;
            let subject = format!("{} of {}", operation.kind.replace('_', " "), operation.subject);
            let waits = operation.steps.iter().find_map(|step| step.error.as_deref());
            let because = waits.map_or_else(String::new, |error| format!(": {error}"));
            progress.say(context.io, &subject, &format!("{} {}%{because}", view.stage, view.progress))?;
            let ended = operation.status != OperationStatus::Running;
            last = Some(view);
            Ok(ended)
        },
    )
    .await?;
    let Some(view) = last.filter(|_| exit == Exit::Ok) else { return Ok(exit) };
    let operation = view.operation;
    if operation.status == OperationStatus::Succeeded {
        return Ok(Exit::Ok);
    }
    let cause = operation.error.as_deref().unwrap_or("someone asked it to stop");
    Err(Fault::failed(
        format!(
            "{} of {} ended {}: {cause}",
            operation.kind.replace('_', " "),
            operation.subject,
            word(&operation.status)
        ),
        Some(&format!("`univrs operation get {id}` shows its steps")),
    ))
}

async fn show(context: &mut Context<'_>, id: &str) -> Result<(), Fault> {
    let reply = context.client.operation(id).await?;
    let view = reply.value()?;
    let operation = &view.operation;
    let steps: Vec<String> =
        operation.steps.iter().map(|step| format!("{} ({})", step.name, word(&step.status))).collect();
    let facts = [
        ("id", operation.id.to_string()),
        ("kind", operation.kind.clone()),
        ("subject", operation.subject.clone()),
        ("status", word(&operation.status)),
        ("stage", format!("{} {}%", view.stage, view.progress)),
        ("steps", steps.join(", ")),
        ("error", operation.error.clone().unwrap_or_default()),
        ("began", operation.created_at.to_string()),
        ("moved", operation.updated_at.to_string()),
    ];
    let id = operation.id.to_string();
    show::details(context, reply.body(), (&id, &id), &facts)
}

fn table(views: &[OperationView]) -> Table {
    let columns = ["ID", "KIND", "SUBJECT", "STATUS", "STAGE", "AGE"].map(column).to_vec();
    let row = |view: &OperationView| Row {
        id: view.operation.id.to_string(),
        name: view.operation.id.to_string(),
        cells: vec![
            view.operation.id.as_str().into(),
            view.operation.kind.as_str().into(),
            view.operation.subject.as_str().into(),
            Cell::State(word(&view.operation.status)),
            format!("{} {}%", view.stage, view.progress).into(),
            Cell::Time(Some(view.operation.created_at)),
        ],
    };
    Table { columns, rows: views.iter().map(row).collect() }
}
