//! `univrs workload`: named sets of containers to keep running.

pub(crate) mod edit;
pub(crate) mod exec;
mod explain;
mod get;
mod history;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod ps;
pub(crate) mod rm;
mod rollback;
pub(crate) mod scale;
mod update;
mod wait;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Workloads.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkloadVerb {
    /// List workloads
    Ls(ls::LsArgs),
    /// Show a workload
    Get(get::GetArgs),
    /// List instances
    Ps(ps::PsArgs),
    /// Show what a workload's containers wrote
    Logs(logs::LogsArgs),
    /// Execute a command in an instance
    Exec(exec::ExecArgs),
    /// Set how many instances workloads have
    Scale(scale::ScaleArgs),
    /// Change a workload
    Update(Box<update::UpdateArgs>),
    /// Go back to a kept version
    Rollback(rollback::RollbackArgs),
    /// List the kept versions
    History(history::HistoryArgs),
    /// Say why instances are where they are, or nowhere
    Explain(explain::ExplainArgs),
    /// Wait until a workload has settled
    Wait(wait::WaitArgs),
    /// Remove workloads and their instances
    Rm(rm::RmArgs),
}

impl WorkloadVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls(args) => args.run(context).await,
            Self::Get(args) => args.run(context).await,
            Self::Ps(args) => args.run(context).await,
            Self::Logs(args) => args.run(context).await,
            Self::Exec(args) => args.run(context).await,
            Self::Scale(args) => args.run(context).await,
            Self::Update(args) => args.run(context).await,
            Self::Rollback(args) => args.run(context).await,
            Self::History(args) => args.run(context).await,
            Self::Explain(args) => args.run(context).await,
            Self::Wait(args) => args.run(context).await,
            Self::Rm(args) => args.run(context).await,
        }
    }
}
