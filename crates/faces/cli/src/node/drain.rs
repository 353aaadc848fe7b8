//! `univrs node drain`: waits until the last instance has left.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::operation::follow;
use crate::show;

/// Move all instances away from a node.
#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    /// Id or name of the node
    node: String,
    /// How long it may take, such as 10m; after that new instances may come to the node again
    #[arg(long, value_name = "SPAN")]
    deadline: Option<String>,
}

impl DrainArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let node = self.node;
        let accepted = context.client.drain_node(&node, self.deadline.as_deref()).await?;
        let id = accepted.value()?.operation.operation.id.to_string();
        if context.detach {
            context.talk(&format!("node {node}: accepted as operation {id}, not waiting"))?;
            show::written(context, accepted.body(), &id, &node)?;
            return Ok(Exit::Ok);
        }
        let exit = follow(context, &id).await?;
        if exit == Exit::Ok {
            let reply = context.client.node(&node).await?;
            show::written(context, reply.body(), &node, &node)?;
        }
        Ok(exit)
    }
}
