//! When the raft clock runs.
//!
//! The library looks fifty times a second whether a heartbeat or an election is due, and shows its figures anew each
//! time: half of what an idle daemon takes. Two kinds of members have neither to do, so their clock stands still until
//! the membership says otherwise, which wakes it for the next look within 20 ms:
//!
//! - **The only member, while it leads.** It has nobody to send heartbeats to and nobody to be deposed by; alone it is a
//!   quorum, so that its lease is good without them.
//! - **A member without a vote.** It never calls an election. One whose vote is taken away by an entry that is not
//!   committed yet may still have to.

use std::sync::Arc;

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;

use crate::node::Core;
use crate::types::StoredMembership;

/// Starts and stops the clock until the store is closed.
pub(crate) async fn run(core: Arc<Core>) {
    let mut metrics = core.raft.server_metrics();
    loop {
        let needed = {
            let seen = metrics.borrow_and_update();
            needs_ticks(seen.id, seen.state, [&seen.membership_config, &seen.committed_membership_config])
        };
        core.raft.runtime_config().tick(needed);
        tokio::select! {
            () = core.shutdown.cancelled() => return,
            changed = metrics.changed() => if changed.is_err() { return },
        }
    }
}

/// Whether a heartbeat or an election may become due for `own`: by the membership in effect and the last that is committed.
fn needs_ticks(own: u64, state: ServerState, memberships: [&StoredMembership; 2]) -> bool {
    match state {
        ServerState::Leader => memberships.iter().any(|all| all.nodes().any(|(id, _)| *id != own)),
        ServerState::Learner => memberships.iter().any(|all| all.voter_ids().any(|id| id == own)),
        ServerState::Follower | ServerState::Candidate | ServerState::Shutdown => true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::impls::BasicNode;
    use openraft::{Membership, ServerState};

    use super::needs_ticks;
    use crate::types::StoredMembership;

    const OWN: u64 = 1;

    /// A membership of these voters, and of these others.
    fn membership(voters: &[&[u64]], others: &[u64]) -> StoredMembership {
        let sets: Vec<BTreeSet<u64>> = voters.iter().map(|set| set.iter().copied().collect()).collect();
        let all = sets.iter().flatten().chain(others).map(|id| (*id, BasicNode::default()));
        let nodes: BTreeMap<u64, BasicNode> = all.collect();
        StoredMembership::new(None, Membership::new(sets, nodes).unwrap())
    }

    #[test]
    fn who_may_elect_or_be_missed_has_a_clock() {
        let alone = || membership(&[&[1]], &[]);
        let three = || membership(&[&[1, 2, 3]], &[]);
        let voteless = || membership(&[&[2, 3]], &[1]);
        let removed = || membership(&[&[2, 3]], &[]);
        for (state, now, committed, wanted, why) in [
            (ServerState::Leader, alone(), alone(), false, "nobody hears its heartbeats"),
            (ServerState::Leader, membership(&[&[1]], &[2]), alone(), true, "somebody gets a copy"),
            (ServerState::Leader, three(), three(), true, "others vote"),
            (ServerState::Leader, alone(), three(), true, "others voted a moment ago"),
            (ServerState::Follower, alone(), alone(), true, "it must come to lead"),
            (ServerState::Candidate, three(), three(), true, "an election may have to be repeated"),
            (ServerState::Follower, three(), three(), true, "the leader may fall silent"),
            (ServerState::Learner, voteless(), voteless(), false, "it never elects"),
            (ServerState::Learner, removed(), removed(), false, "it never elects"),
            (ServerState::Learner, voteless(), three(), true, "its vote may still be needed"),
            (
                ServerState::Learner,
                membership(&[&[2, 3], &[1, 2, 3]], &[]),
                voteless(),
                true,
                "its vote is new",
            ),
        ] {
            assert_eq!(needs_ticks(OWN, state, [&now, &committed]), wanted, "{why}");
        }
    }
}
