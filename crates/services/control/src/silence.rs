//! A node that falls silent in gossip is asked at once, over the way that its lease travels too. What comes of it is
//! said; the lease alone decides, so nothing here writes anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use univrs_model::ids::NodeId;
use univrs_ports::membership::{Membership, Standing};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// A way to a node that gossip does not take.
#[async_trait]
pub trait Ask: Send + Sync + 'static {
    /// Whether the node answers.
    ///
    /// # Errors
    /// Why it does not.
    async fn ask(&self, node: &NodeId) -> Result<(), String>;
}

/// Asks each node that falls silent once, until gossip ends.
pub async fn ask_the_silent(membership: Arc<dyn Membership>, ask: Arc<dyn Ask>, own: NodeId) {
    let mut members = membership.members();
    let mut before: BTreeSet<NodeId> = BTreeSet::new();
    let mut asking = JoinSet::new();
    while members.changed().await.is_ok() {
        let suspects: BTreeSet<NodeId> = {
            let members = members.borrow_and_update();
            let silent = members
                .values()
                .filter(|member| member.standing == Standing::Suspected && member.node != own);
            silent.map(|member| member.node.clone()).collect()
        };
        for node in suspects.difference(&before) {
            let (node, ask) = (node.clone(), Arc::clone(&ask));
            asking.spawn(async move {
                match tokio::time::timeout(PATIENCE, ask.ask(&node)).await {
                    Ok(Ok(())) => tracing::info!(%node, "a node fell silent in gossip and answers when asked"),
                    Ok(Err(reason)) => {
                        tracing::warn!(%node, reason, "a node fell silent and does not answer; its lease decides");
                    }
                    Err(_) => {
                        tracing::warn!(%node, "a node fell silent and does not answer; its lease decides")
                    }
                }
            });
        }
        while asking.try_join_next().is_some() {}
        before = suspects;
    }
}
