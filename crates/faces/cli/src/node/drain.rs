//! `univrs node drain`: waits until the last instance has left.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;
use crate::wait::until;

/// Move all instances away from a node.
#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    /// Id or name of the node
    node: String,
}

impl DrainArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let node = self.node;
        let reply = context.client.drain_node(&node).await?;
        if context.detach {
            context.talk(&format!("node {node}: accepted, not waiting"))?;
            show::written(context, reply.body(), &node, &node)?;
            return Ok(Exit::Ok);
        }
        let what = format!("draining node {node}");
        let exit = until(context, &what, &format!("univrs node get {node}"), async |context, progress| {
            let view = context.client.node(&node).await?.value()?;
            progress.say(
                context.io,
                &format!("node {node}"),
                &format!("{} instances left", view.instances),
            )?;
            Ok(view.instances == 0)
        })
        .await?;
        if exit == Exit::Ok {
            let reply = context.client.node(&node).await?;
            show::written(context, reply.body(), &node, &node)?;
        }
        Ok(exit)
    }
}
