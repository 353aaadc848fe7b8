//! The bridge at work: it looks whenever either view changes and when what was tried in vain is due again, and else rests.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use univrs_model::ids::NodeId;
use univrs_ports::discovery::{Discovery, PeerView};
use univrs_ports::membership::Membership;

use super::{Action, Pacing, Sight, Wish, reconcile};

/// Connected members that are enough, once all were met.
const DEGREE: usize = 24;

/// Keeps both views one for as long as it exists.
pub struct Bridge(JoinHandle<()>);

impl Bridge {
    /// Starts it for this node.
    pub fn start(own: NodeId, members: Arc<dyn Membership>, peers: Arc<dyn Discovery>) -> Self {
        Self(tokio::spawn(run(Wish { own, degree: DEGREE }, members, peers)))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(wish: Wish, membership: Arc<dyn Membership>, discovery: Arc<dyn Discovery>) {
    let (mut members, mut peers) = (membership.members(), discovery.peers());
    let mut pacing = Pacing::default();
    let start = Instant::now();
    loop {
        let known = Arc::clone(&members.borrow_and_update());
        let sights: Vec<Sight> = peers.borrow_and_update().iter().map(sight).collect();
        for action in pacing.due(start.elapsed(), reconcile(&wish, &known, &sights)) {
            tracing::debug!(?action, "the views of members and peers differ");
            match action {
                Action::Introduce { address, .. } => membership.introduce(address),
                Action::Dial { peer, addresses, .. } => discovery.dial(&peer, &addresses).await,
            }
        }
        let again = pacing.next().map(|next| start + next);
        tokio::select! {
            changed = members.changed() => if changed.is_err() { return },
            changed = peers.changed() => if changed.is_err() { return },
            () = sleep_until(again.unwrap_or(start)), if again.is_some() => {}
        }
    }
}

fn sight(view: &PeerView) -> Sight {
    Sight {
        peer: view.peer.clone(),
        node: Some(view.node.clone()),
        connected: view.connected,
        gossip: view.record.gossip,
    }
}
