//! A node that falls silent is asked at once, over the way that its lease travels too. What comes of it is said; the
//! lease alone decides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use univrs_model::ids::NodeId;
use univrs_ports::membership::{Membership, Standing};
use univrs_trust::tls::NODES;

use crate::cluster::dial::NodeDial;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(membership: Arc<dyn Membership>, dial: Arc<NodeDial>, own: NodeId) {
    let mut members = membership.members();
    let mut before: BTreeSet<NodeId> = BTreeSet::new();
    while members.changed().await.is_ok() {
        let suspects: BTreeSet<NodeId> = {
            let members = members.borrow_and_update();
            let silent = members
                .values()
                .filter(|member| member.standing == Standing::Suspected && member.node != own);
            silent.map(|member| member.node.clone()).collect()
        };
        for node in suspects.difference(&before) {
            let (node, dial) = (node.clone(), Arc::clone(&dial));
            tokio::spawn(async move {
                match tokio::time::timeout(PATIENCE, dial.connect(&node, NODES)).await {
                    Ok(Ok(_)) => tracing::info!(%node, "a node fell silent in gossip and answers when asked"),
                    Ok(Err(error)) => {
                        tracing::warn!(%node, %error, "a node fell silent and does not answer; its lease decides");
                    }
                    Err(_) => {
                        tracing::warn!(%node, "a node fell silent and does not answer; its lease decides")
                    }
                }
            });
        }
        before = suspects;
    }
}
