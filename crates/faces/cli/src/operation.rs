//! `univrs operation`: long changes and how far they are.

use clap::Subcommand;
use univrs_model::operation::{Operation, StepStatus};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, word};

/// Long changes.
#[derive(Debug, Subcommand)]
pub(crate) enum OperationVerb {
    /// List operations
    Ls,
    /// Show an operation
    Get {
        /// Its id
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
            }
            Self::Get { id } => {
                let reply = context.client.operation(&id).await?;
                let operation = reply.value()?;
                let steps: Vec<String> = operation
                    .steps
                    .iter()
                    .map(|step| format!("{} ({})", step.name, word(&step.status)))
                    .collect();
                let facts = [
                    ("id", operation.id.to_string()),
                    ("kind", operation.kind.clone()),
                    ("subject", operation.subject.clone()),
                    ("status", word(&operation.status)),
                    ("stage", stage(&operation)),
                    ("steps", steps.join(", ")),
                    ("error", operation.error.clone().unwrap_or_default()),
                    ("began", operation.created_at.to_string()),
                    ("moved", operation.updated_at.to_string()),
                ];
                let id = operation.id.to_string();
                show::details(context, reply.body(), (&id, &id), &facts)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// The stage of the step that is under way, or of the last one done.
fn stage(operation: &Operation) -> String {
    let current = operation.steps.iter().rfind(|step| step.status != StepStatus::Waiting);
    current.map_or_else(String::new, |step| format!("{} {}%", step.stage, step.progress))
}

fn table(operations: &[Operation]) -> Table {
    let columns = ["ID", "KIND", "SUBJECT", "STATUS", "STAGE", "AGE"].map(column).to_vec();
    let row = |operation: &Operation| Row {
        id: operation.id.to_string(),
        name: operation.id.to_string(),
        cells: vec![
            operation.id.as_str().into(),
            operation.kind.as_str().into(),
            operation.subject.as_str().into(),
            Cell::State(word(&operation.status)),
            stage(operation).into(),
            Cell::Time(Some(operation.created_at)),
        ],
    };
    Table { columns, rows: operations.iter().map(row).collect() }
}
