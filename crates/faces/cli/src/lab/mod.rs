//! `univrs lab`: many real nodes on this machine, to rehearse on.

mod change;
mod show;
mod up;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use univrs_lab::LabError;
use univrs_lab::state::{Lab, directory};
use univrs_model::name::Name;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Many real nodes on this machine, one network namespace each.
#[derive(Debug, Subcommand)]
pub(crate) enum LabVerb {
    /// Raise a lab; returns when all nodes are ready, and leaves them running
    Up(up::UpArgs),
    /// Show the nodes of a lab, and the address of its API
    Status(Which),
    /// Cut the power of nodes: daemon and containers are gone at once
    Kill(change::SelectArgs),
    /// Stop nodes with their containers until they are healed
    Pause(change::SelectArgs),
    /// Cut the line between two sides; a side is a node, a region or a cloud
    Partition(change::PartitionArgs),
    /// Mend lines, let paused nodes go on and start killed ones; all unless some are named
    Heal(change::SelectArgs),
    /// Remove a lab: processes, containers, namespaces and files
    Down(Which),
    /// The background process of a lab
    #[command(hide = true)]
    Keep {
        /// Directory of the lab
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Which lab is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// Name of the lab
    #[arg(long, env = "UNIVRS_LAB", default_value = "lab")]
    name: Name,
    /// Directory of the lab; one below /var/lib/univrs-lab when absent
    #[arg(long, env = "UNIVRS_LAB_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Which {
    fn dir(&self) -> PathBuf {
        directory(self.name.as_str(), self.dir.as_deref())
    }

    fn load(&self) -> Result<Lab, Fault> {
        Ok(Lab::load(&self.dir())?)
    }
}

impl LabVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Up(args) => args.run(context),
            Self::Status(which) => {
                show::print(context, &which.load()?)?;
                Ok(Exit::Ok)
            }
            Self::Kill(args) => args.kill(context),
            Self::Pause(args) => args.pause(context),
            Self::Partition(args) => args.run(context),
            Self::Heal(args) => args.heal(context),
            Self::Down(which) => {
                let begun = std::time::Instant::now();
                let was = univrs_lab::remove::remove(which.name.as_str(), which.dir.as_deref())?;
                context.talk(&if was {
                    format!("removed lab {} in {:.1} s", which.name, begun.elapsed().as_secs_f32())
                } else {
                    format!("there is no lab {}", which.name)
                })?;
                Ok(Exit::Ok)
            }
            Self::Keep { dir } => {
                univrs_lab::keep::run(&dir).await?;
                Ok(Exit::Ok)
            }
        }
    }
}

impl From<LabError> for Fault {
    fn from(error: LabError) -> Self {
        match error.hint() {
            Some(hint) if matches!(error, LabError::Bad { .. }) => Self::usage(error.to_string(), hint),
            hint => {
                let exit = match error {
                    LabError::Absent { .. } => Exit::NotFound,
                    LabError::Exists { .. } => Exit::Conflict,
                    LabError::NotRoot => Exit::Denied,
                    LabError::NotReady { .. } => Exit::TimedOut,
                    _ => Exit::Failed,
                };
                Self::Ended { exit, detail: crate::fault::chain(&error), hint }
            }
        }
    }
}
