//! `univrs node rm`.

use clap::Args;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Remove a node from the cluster.
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// Id or name of the node
    node: String,
}

impl RmArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        confirm::removal(context, "node", &self.node)?;
        context.client.delete_node(&self.node).await?;
        context.talk(&format!("node {} removed", self.node))?;
        Ok(Exit::Ok)
    }
}
