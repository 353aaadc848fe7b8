//! `univrs topology cost`: what it costs in a month of 730 hours, and what a change costs.

use clap::Args;

use super::report;
use super::source::{Source, Text, print_document};
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Show what it costs in a month.
#[derive(Args, Debug)]
pub(crate) struct CostArgs {
    #[command(flatten)]
    source: Source,
    /// Show what changed since this topology, which is read as it stands, without --set
    #[arg(long, value_name = "FILE")]
    against: Option<String>,
}

impl CostArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let read = self.source.read(context)?;
        let costed = read.with_options(univrs_compiler::cost);
        if report::talk(context, read.file(), &costed.report)? {
            return Ok(Exit::CheckFailed);
        }
        let past = match &self.against {
            Some(file) => {
                let text = Text::read(context, file)?;
                let past = read.compile(&text, univrs_compiler::cost);
                if report::talk(context, file, &past.report)? {
                    return Ok(Exit::CheckFailed);
                }
                Some(past)
            }
            None => None,
        };
        if context.for_programs() {
            print_document(context, &costed.document(past.as_ref()))?;
        } else if let Some(past) = &past {
            context.io.raw(costed.difference_table(past).unwrap_or_default().as_bytes())?;
        } else {
            context.io.raw(costed.table().unwrap_or_default().as_bytes())?;
        }
        match costed.over_budget() {
            Some(over) => {
                context.talk(&format!("the known parts alone are {} USD over the budget", over.rounded()))?;
                Ok(Exit::OverBudget)
            }
            None => Ok(Exit::Ok),
        }
    }
}
