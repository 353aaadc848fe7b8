//! Writes of one workload: send, wait, print.

use univrs_client::Reply;
use univrs_model::rollout::WorkloadView;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;
use crate::wait::{Target, settle};

/// Waits until an accepted write has settled and prints the workload as it is then.
pub(crate) async fn finish(context: &mut Context<'_>, reply: &Reply<WorkloadView>) -> Result<Exit, Fault> {
    let view = reply.value()?;
    let exit = settle(context, &[Target::from(&view)]).await?;
    let (id, name) = (view.id.as_str(), view.name.as_str());
    if context.for_programs() && !context.detach {
        let settled = context.client.workload(name).await?;
        show::written(context, settled.body(), id, name)?;
    } else {
        show::written(context, reply.body(), id, name)?;
    }
    Ok(exit)
}
