//! `univrs workload rollback`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::workload::edit;

/// Go back to a kept version.
#[derive(Args, Debug)]
pub(crate) struct RollbackArgs {
    /// Name or id of the workload
    workload: String,
    /// The version to go back to; the one before when absent
    version: Option<u64>,
}

impl RollbackArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.roll_back_workload(&self.workload, self.version).await?;
        edit::finish(context, &reply).await
    }
}
