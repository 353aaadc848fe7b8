//! `univrs workload wait`: the waiting that every write does, on its own.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::wait::{Target, settle};

/// Wait until a workload has settled.
#[derive(Args, Debug)]
pub(crate) struct WaitArgs {
    /// Name or id of the workload
    workload: String,
}

impl WaitArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let view = context.client.workload(&self.workload).await?.value()?;
        context.detach = false;
        settle(context, &[Target::from(&view)]).await
    }
}
