//! `univrs lab up`.

use clap::{Args, ValueEnum};
use univrs_lab::raise::{Options, raise};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::lab::{Which, show};

/// Raise a lab.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// How many nodes; they go round the regions
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: usize,
    /// Regions, separated by commas
    #[arg(
        long,
        value_name = "CLOUD:REGION",
        value_delimiter = ',',
        default_value = "aws:us-east-1,azure:eastus,gcp:us-central1"
    )]
    clouds: Vec<String>,
    /// Nodes behind a router of their own that hides them, separated by commas; `:symmetric` after one lets nobody make
    /// a hole in its router
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    nat: Vec<String>,
    /// Do not hold packets between regions as long as the real distance would
    #[arg(long)]
    no_delay: bool,
    /// What containers run on
    #[arg(long, value_enum, default_value_t = Runtime::Oci)]
    runtime: Runtime,
    /// Leave a lab that did not become ready, to look at it
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    which: Which,
}

/// What containers of a lab run on.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Runtime {
    /// Real containers without a daemon
    Oci,
    /// None: scripted, for many nodes
    Simulated,
}

impl UpArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let begun = std::time::Instant::now();
        let runtime = match self.runtime {
            Runtime::Oci => "oci",
            Runtime::Simulated => "simulated",
        };
        let options = Options {
            name: self.which.name.to_string(),
            dir: self.which.dir,
            nodes: self.nodes,
            clouds: self.clouds,
            hidden: self.nat,
            delayed: !self.no_delay,
            runtime: runtime.to_owned(),
            keep: self.keep,
        };
        let lab = raise(options, &mut |line| {
            // Nothing depends on whether somebody listens.
            let _ = context.io.talk(line);
        })?;
        let (nodes, regions) = (lab.layout.seats.len(), lab.layout.regions.len());
        let seconds = begun.elapsed().as_secs_f32();
        context.talk(&format!("{nodes} nodes in {regions} regions are ready after {seconds:.1} s"))?;
        show::talk_distances(context, &lab)?;
        show::print(context, &lab)?;
        Ok(Exit::Ok)
    }
}
