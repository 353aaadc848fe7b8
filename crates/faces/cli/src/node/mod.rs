//! `univrs node`: the machines of the cluster.

mod add;
mod drain;
mod get;
mod label;
mod ls;
mod rm;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;

/// Nodes of the cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// List nodes
    Ls(ls::LsArgs),
    /// Show a node
    Get(get::GetArgs),
    /// Move all instances away from a node
    Drain(drain::DrainArgs),
    /// Keep new instances away from a node
    Cordon {
        /// Id or name of the node
        node: String,
    },
    /// Let new instances come to a node again
    Uncordon {
        /// Id or name of the node
        node: String,
    },
    /// Set or remove labels of a node
    Label(label::LabelArgs),
    /// Remove a node from the cluster
    Rm(rm::RmArgs),
    Add(Box<add::AddArgs>),
}

impl NodeVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls(args) => args.run(context).await,
            Self::Get(args) => args.run(context).await,
            Self::Drain(args) => args.run(context).await,
            Self::Cordon { node } => {
                let reply = context.client.cordon_node(&node).await?;
                context.talk(&format!("node {node} takes no new instances"))?;
                show::written(context, reply.body(), &node, &node)?;
                Ok(Exit::Ok)
            }
            Self::Uncordon { node } => {
                let reply = context.client.uncordon_node(&node).await?;
                context.talk(&format!("node {node} takes new instances again"))?;
                show::written(context, reply.body(), &node, &node)?;
                Ok(Exit::Ok)
            }
            Self::Label(args) => args.run(context).await,
            Self::Rm(args) => args.run(context).await,
            Self::Add(args) => args.run(context).await,
        }
    }
}
