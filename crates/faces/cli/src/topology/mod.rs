//! `univrs topology`: files of clouds, checked, planned, priced, optimised and emitted on this machine. No server is
//! asked.

mod cost;
mod emit;
mod fmt;
mod graph;
mod optimize;
mod plan;
mod report;
mod source;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use source::Source;

/// Files of clouds.
#[derive(Debug, Subcommand)]
pub(crate) enum TopologyVerb {
    /// Say what is wrong, what is doubtful and what is good to know
    Check(CheckArgs),
    /// Put keys in their usual order, with their comments
    Fmt(fmt::FmtArgs),
    /// Show everything that will exist, with its addresses
    Plan(plan::PlanArgs),
    /// Show what it costs in a month
    Cost(cost::CostArgs),
    /// Show what would be cheaper, and what may go wrong then
    Optimize(optimize::OptimizeArgs),
    /// Write the OpenTofu files that make it true
    Emit(emit::EmitArgs),
    /// Draw the network
    Graph(graph::GraphArgs),
    /// Print the JSON Schema of the language
    Schema,
}

impl TopologyVerb {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Check(args) => args.run(context),
            Self::Fmt(args) => args.run(context),
            Self::Plan(args) => args.run(context),
            Self::Cost(args) => args.run(context),
            Self::Optimize(args) => args.run(context),
            Self::Emit(args) => args.run(context),
            Self::Graph(args) => args.run(context),
            Self::Schema => {
                context.io.raw(univrs_topology::schema::text().as_bytes())?;
                Ok(Exit::Ok)
            }
        }
    }
}

/// Say what is wrong, what is doubtful and what is good to know.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    source: Source,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
}

impl CheckArgs {
    fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let read = self.source.read(context)?;
        let checked = read.with_options(univrs_compiler::check);
        if context.for_programs() {
            source::print_document(context, &checked.report)?;
        } else {
            report::data(context, &checked.report)?;
        }
        Ok(if checked.failed(self.strict) { Exit::CheckFailed } else { Exit::Ok })
    }
}
