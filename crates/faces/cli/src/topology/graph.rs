//! `univrs topology graph`: the network drawn, as Mermaid or SVG.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use univrs_topology::graph;

use super::report;
use super::source::Source;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Draw the network.
#[derive(Args, Debug)]
pub(crate) struct GraphArgs {
    #[command(flatten)]
    source: Source,
    /// How it is drawn
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Form::Mermaid)]
    format: Form,
    /// File to write instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How it is drawn.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// A Mermaid flowchart, for Markdown
    Mermaid,
    /// A map with a place for each region
    Svg,
}

impl GraphArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let read = self.source.read(context)?;
        let planned = read.with_options(univrs_compiler::plan);
        if report::talk(context, read.file(), &planned.report)? {
            return Ok(Exit::CheckFailed);
        }
        let Some(plan) = &planned.plan else { return Ok(Exit::CheckFailed) };
        let text = match self.format {
            Form::Mermaid => graph::mermaid(plan),
            Form::Svg => graph::svg(plan),
        };
        match &self.out {
            Some(file) => std::fs::write(file, text)
                .map_err(|source| Fault::local(format!("write {}", file.display()), source))?,
            None => context.io.raw(text.as_bytes())?,
        }
        Ok(Exit::Ok)
    }
}
