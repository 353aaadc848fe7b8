//! `univrs lab kill`, `pause`, `heal` and `partition`.

use clap::Args;
use univrs_lab::faults::{self, Selection};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::lab::Which;

/// Which nodes of which lab.
#[derive(Args, Debug)]
pub(crate) struct SelectArgs {
    /// Node; may be repeated
    #[arg(long = "node", value_name = "N", value_delimiter = ',')]
    nodes: Vec<String>,
    /// All nodes of a region; may be repeated
    #[arg(long = "region", value_name = "R", value_delimiter = ',')]
    regions: Vec<String>,
    /// All nodes of a cloud; may be repeated
    #[arg(long = "cloud", value_name = "C", value_delimiter = ',')]
    clouds: Vec<String>,
    #[command(flatten)]
    which: Which,
}

impl SelectArgs {
    fn selection(&self) -> Selection {
        Selection { nodes: self.nodes.clone(), regions: self.regions.clone(), clouds: self.clouds.clone() }
    }

    pub(super) fn kill(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let killed = faults::kill(&self.which.dir(), &self.selection())?;
        tell(context, "killed", &killed)
    }

    pub(super) fn pause(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let paused = faults::pause(&self.which.dir(), &self.selection())?;
        tell(context, "paused", &paused)
    }

    pub(super) fn heal(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let back = faults::heal(&self.which.dir(), &self.selection())?;
        if back.is_empty() {
            context.talk("lines are mended; all nodes ran")?;
            return Ok(Exit::Ok);
        }
        tell(context, "brought back", &back)
    }
}

/// Two sides of a lab.
#[derive(Args, Debug)]
pub(crate) struct PartitionArgs {
    /// Node, region or cloud
    #[arg(value_name = "A")]
    from: String,
    /// Node, region or cloud; all others when absent
    #[arg(value_name = "B")]
    to: Option<String>,
    /// Drop only what goes from A to B
    #[arg(long)]
    one_way: bool,
    #[command(flatten)]
    which: Which,
}

impl PartitionArgs {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let cut = faults::partition(&self.which.dir(), &self.from, self.to.as_deref(), self.one_way)?;
        let to = self.to.as_deref().unwrap_or("all others");
        let how = if self.one_way { "nothing comes from" } else { "nothing passes between" };
        let joint = if self.one_way { "to" } else { "and" };
        context.talk(&format!("{how} {} {joint} {to} any more ({cut} lines cut)", self.from))?;
        Ok(Exit::Ok)
    }
}

fn tell(context: &mut Context<'_>, what: &str, nodes: &[String]) -> Result<Exit, Fault> {
    context.talk(&format!("{what} {}", nodes.join(", ")))?;
    Ok(Exit::Ok)
}
