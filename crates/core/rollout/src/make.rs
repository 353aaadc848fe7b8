//! New instances: their ids, slots and what they ask for.

use std::collections::BTreeSet;

use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, Desired};

use crate::work::Work;

impl Work<'_> {
    /// Makes an instance of the target revision.
    pub(crate) fn make(&mut self, slot: u32, node: Option<NodeId>, reason: &str) {
        let id = self.next_id();
        let workload = &self.input.workload;
        let assignment = Assignment {
            id,
            org: workload.org.clone(),
            workload_id: workload.id.clone(),
            workload: workload.spec.name.clone(),
            workload_revision: self.rollout.target,
            slot,
            requests: self.spec.requests(),
            node,
            desired: Desired::Run,
            fence: 1,
            created_at: self.now(),
            stop_requested_at: None,
            reason: reason.to_owned(),
            lost: false,
        };
        self.add(assignment);
    }

    /// The lowest slots that are not in `taken`, without end.
    pub(crate) fn free_slots(taken: BTreeSet<u32>) -> impl Iterator<Item = u32> {
        (0..u32::MAX).filter(move |slot| !taken.contains(slot))
    }

    /// The next id of the seed that no instance has.
    fn next_id(&mut self) -> InstanceId {
        loop {
            let id = InstanceId::from_bits(mix(self.input.id_seed, self.ids_made));
            self.ids_made += 1;
            if !self.index.contains_key(&id) {
                return id;
            }
        }
    }
}

/// Spreads a seed and a counter over 128 bits (two rounds of the SplitMix64 finisher).
fn mix(seed: u128, counter: u64) -> u128 {
    #[expect(clippy::cast_possible_truncation, reason = "the halves are wanted")]
    let (low, high) = (seed as u64, (seed >> 64) as u64);
    let finish = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let step = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let first = finish(low.wrapping_add(step));
    let second = finish(high.wrapping_add(step) ^ first);
    (u128::from(first) << 64) | u128::from(second)
}
