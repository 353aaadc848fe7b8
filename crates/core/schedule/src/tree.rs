//! A tournament tree: the best of many keys, at logarithmic cost for each change.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The key of a place that holds nothing.
pub(crate) const NONE: i64 = i64::MIN;

/// Keys by place, with the greatest always known.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// Node 1 is the root, the children of `n` are `2n` and `2n + 1`, the leaves begin at `leaves`.
    keys: Vec<i64>,
    leaves: usize,
}

impl Tree {
    /// A tree of these keys.
    pub(crate) fn of(keys: &[i64]) -> Self {
        let leaves = keys.len().next_power_of_two().max(1);
        let mut tree = Self { keys: vec![NONE; 2 * leaves], leaves };
        tree.keys[leaves..leaves + keys.len()].copy_from_slice(keys);
        for at in (1..leaves).rev() {
            tree.keys[at] = tree.keys[2 * at].max(tree.keys[2 * at + 1]);
        }
        tree
    }

    /// Changes one key.
    pub(crate) fn set(&mut self, place: usize, key: i64) {
        let mut at = self.leaves + place;
        if self.keys[at] == key {
            return;
        }
        self.keys[at] = key;
        while at > 1 {
            let parent = at / 2;
            let best = self.keys[at].max(self.keys[at ^ 1]);
            if self.keys[parent] == best {
                return;
            }
            self.keys[parent] = best;
            at = parent;
        }
    }

    /// The greatest key; [`NONE`] when nothing is held.
    pub(crate) fn best(&self) -> i64 {
        self.keys[1]
    }

    /// The place of the greatest key, the first of equals.
    pub(crate) fn best_place(&self) -> usize {
        let mut at = 1;
        while at < self.leaves {
            at = if self.keys[2 * at] == self.keys[at] { 2 * at } else { 2 * at + 1 };
        }
        at - self.leaves
    }

    /// The places of the greatest keys, greatest first, at most `most` of them.
    pub(crate) fn top(&self, most: usize) -> Vec<(i64, usize)> {
        let mut found = Vec::with_capacity(most);
        // A frontier of subtrees, of which the best is opened next.
        let mut frontier = BinaryHeap::from([(self.keys[1], Reverse(1_usize))]);
        while let Some((key, Reverse(at))) = frontier.pop() {
            if key == NONE || found.len() == most {
                break;
            }
            if at >= self.leaves {
                found.push((key, at - self.leaves));
            } else {
                frontier.push((self.keys[2 * at], Reverse(2 * at)));
                frontier.push((self.keys[2 * at + 1], Reverse(2 * at + 1)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NONE, Tree};

    proptest! {
        #[test]
        fn the_best_is_the_greatest(
            mut keys in prop::collection::vec(prop_oneof![Just(NONE), 0i64..20], 1..40),
            changes in prop::collection::vec((0usize..40, prop_oneof![Just(NONE), 0i64..20]), 0..60),
        ) {
            let mut tree = Tree::of(&keys);
            for (place, key) in changes {
                let place = place % keys.len();
                keys[place] = key;
                tree.set(place, key);
                let best = keys.iter().copied().max().unwrap();
                prop_assert_eq!(tree.best(), best);
                if best != NONE {
                    prop_assert_eq!(keys[tree.best_place()], best);
                }
                let mut sorted: Vec<i64> = keys.iter().copied().filter(|key| *key != NONE).collect();
                sorted.sort_by_key(|key| std::cmp::Reverse(*key));
                sorted.truncate(5);
                let top: Vec<i64> = tree.top(5).into_iter().map(|(key, _)| key).collect();
                prop_assert_eq!(top, sorted);
            }
        }
    }
}
