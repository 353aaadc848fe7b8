//! `univrs workload explain`: why here, or why not at all.

use clap::Args;

use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::{print_body, yaml};

/// Say why instances are where they are, or nowhere.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// Name or id of the workload
    workload: String,
}

impl ExplainArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.explain_workload(&self.workload).await?;
        match context.format {
            Format::Json => print_body(context, reply.body())?,
            // The answer is a tree of counts and terms, which reads best as an outline.
            Format::Table | Format::Wide | Format::Yaml => context.io.raw(yaml(reply.body())?.as_bytes())?,
            Format::Name => context.io.data(&self.workload)?,
        }
        Ok(Exit::Ok)
    }
}
