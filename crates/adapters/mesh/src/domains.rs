//! Who gossips with whom. One domain up to 150 nodes; above, one for each region and a global one that joins them.
//!
//! A message of gossip names every node of its domain, so a domain must not grow without end. What a region's nodes
//! say of themselves reaches the others through its delegates, who belong to both domains.

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::ids::NodeId;

/// Nodes in one domain.
pub const LARGEST: usize = 150;
/// A cluster that shrinks keeps its regions down to this size, so that one node coming and going changes nothing.
pub const SMALLEST: usize = 120;
/// How many nodes of a domain take part in the global one, beside its validators.
pub const DELEGATES: usize = 2;

/// The name of the domain that joins the others.
pub const GLOBAL: &str = "global";

/// What matters of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which node.
    pub node: NodeId,
    /// Where it stands.
    pub region: String,
    /// Whether it holds the state.
    pub validator: bool,
    /// Whether it can speak for others: heard of, and not leaving.
    pub able: bool,
}

/// Who gossips with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All with all.
    One(BTreeSet<NodeId>),
    /// Two levels.
    Two {
        /// Domain → its nodes. A domain is a region, or `region/k` when a region is too large for one.
        regions: BTreeMap<String, BTreeSet<NodeId>>,
        /// Validators, and the delegates of each domain.
        global: BTreeSet<NodeId>,
        /// Those of them that say to each side who is on the other.
        speakers: BTreeSet<NodeId>,
    },
}

impl Layout {
    /// The domains a node takes part in: its own, and the global one, named `global`.
    pub fn of(&self, node: &NodeId) -> Vec<&str> {
        match self {
            Self::One(nodes) => nodes.iter().filter(|member| *member == node).map(|_| "").collect(),
            Self::Two { regions, global, .. } => {
                let own =
                    regions.iter().filter(|(_, nodes)| nodes.contains(node)).map(|(name, _)| name.as_str());
                own.chain(global.contains(node).then_some(GLOBAL)).collect()
            }
        }
    }

    /// Whether a node says to each of its two domains who is in the other.
    pub fn speaks(&self, node: &NodeId) -> bool {
        matches!(self, Self::Two { speakers, .. } if speakers.contains(node))
    }

    /// Whether it has two levels.
    pub const fn is_split(&self) -> bool {
        matches!(self, Self::Two { .. })
    }
}

/// Lays out the domains. Every node computes the same from the same list; `split` is whether there are two levels
/// now, which only matters between [`SMALLEST`] and [`LARGEST`].
pub fn layout(nodes: &[Placed], split: bool) -> Layout {
    let limit = if split { SMALLEST } else { LARGEST };
    if nodes.len() <= limit {
        return Layout::One(nodes.iter().map(|placed| placed.node.clone()).collect());
    }
    let mut regions: BTreeMap<&str, Vec<&Placed>> = BTreeMap::new();
    for placed in nodes {
        regions.entry(&placed.region).or_default().push(placed);
    }
    let mut domains: BTreeMap<String, BTreeSet<NodeId>> = BTreeMap::new();
    let mut global: BTreeSet<NodeId> =
        nodes.iter().filter(|placed| placed.validator).map(|placed| placed.node.clone()).collect();
    let mut speakers = BTreeSet::new();
    for (region, members) in regions {
        // A power of two: when a region outgrows its shards, each splits in two and nobody else moves. The hash is
        // even, but not exactly, hence the quarter of room.
        let shards = (members.len() * 5).div_ceil(LARGEST * 4).next_power_of_two();
        let mut shared: BTreeMap<String, Vec<&Placed>> = BTreeMap::new();
        for placed in members {
            let shard = mix(placed.node.as_str()) % shards as u64;
            let name = if shards == 1 { region.to_owned() } else { format!("{region}/{shard}") };
            shared.entry(name).or_default().push(placed);
        }
        for (name, members) in shared {
            speakers.extend(delegates(&name, &members));
            domains.insert(name, members.into_iter().map(|placed| placed.node.clone()).collect());
        }
    }
    global.extend(speakers.iter().cloned());
    Layout::Two { regions: domains, global, speakers }
}

/// The nodes that speak for a domain: those able to with the smallest mix of their id and the domain's name, so that
/// the loss of one changes one, and the same node does not speak for everyone. Should none be able, the first do.
fn delegates(domain: &str, members: &[&Placed]) -> Vec<NodeId> {
    let mut order: Vec<(bool, u64, &NodeId)> = members
        .iter()
        .map(|placed| (!placed.able, mix(&format!("{domain} {}", placed.node)), &placed.node))
        .collect();
    order.sort_unstable();
    order.into_iter().take(DELEGATES).map(|(_, _, node)| node.clone()).collect()
}

/// FNV-1a with a final mix (that of SplitMix64): the same on every machine and in every version.
fn mix(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cluster(counts: &[usize]) -> Vec<Placed> {
        let mut bits = 0_u128;
        let mut nodes = Vec::new();
        for (region, count) in counts.iter().enumerate() {
            for index in 0..*count {
                bits += 0x1234_5678_9abc_def1_2345;
                nodes.push(Placed {
                    node: NodeId::from_bits(bits),
                    region: format!("region-{region}"),
                    validator: index == 0,
                    able: true,
                });
            }
        }
        nodes
    }

    #[test]
    fn a_small_cluster_is_one_domain() {
        let nodes = cluster(&[50, 50, 50]);
        let one = layout(&nodes, false);
        assert!(!one.is_split());
        assert_eq!(one.of(&nodes[0].node), [""]);
        assert!(layout(&nodes, true).is_split(), "what is split stays so until it is clearly smaller");
        assert!(!layout(&nodes[..SMALLEST], true).is_split());
        assert!(layout(&cluster(&[51, 50, 50]), false).is_split());
    }

    #[test]
    fn a_large_one_has_a_domain_for_each_region_and_one_that_joins_them() {
        let nodes = cluster(&[100, 60, 1]);
        let Layout::Two { regions, global, .. } = layout(&nodes, false) else { panic!("not split") };
        assert_eq!(regions.keys().collect::<Vec<_>>(), ["region-0", "region-1", "region-2"]);
        assert_eq!(regions.values().map(BTreeSet::len).collect::<Vec<_>>(), [100, 60, 1]);
        assert!((5..=7).contains(&global.len()), "three validators and two of each region: {}", global.len());
        for placed in nodes.iter().filter(|placed| placed.validator) {
            assert_eq!(layout(&nodes, false).of(&placed.node), [placed.region.as_str(), "global"]);
        }
    }

    #[test]
    fn a_delegate_that_is_lost_is_replaced_and_the_other_stays() {
        let mut nodes = cluster(&[100, 100]);
        nodes.iter_mut().for_each(|placed| placed.validator = false);
        let Layout::Two { global: before, .. } = layout(&nodes, false) else { panic!("not split") };
        let lost = before.iter().next().unwrap().clone();
        nodes.iter_mut().filter(|placed| placed.node == lost).for_each(|placed| placed.able = false);
        let Layout::Two { global: after, .. } = layout(&nodes, false) else { panic!("not split") };
        assert!(!after.contains(&lost));
        assert_eq!(before.intersection(&after).count(), 3);
        assert_eq!(after.len(), 4);
    }

    proptest! {
        /// Everyone is in exactly one domain of the lower level, no domain is too large, and every domain can be
        /// reached from the global one.
        #[test]
        fn nobody_is_left_out(counts in prop::collection::vec(0_usize..700, 1..6), split: bool) {
            let nodes = cluster(&counts);
            match layout(&nodes, split) {
                Layout::One(all) => prop_assert_eq!(all.len(), nodes.len()),
                Layout::Two { regions, global, .. } => {
                    prop_assert_eq!(regions.values().map(BTreeSet::len).sum::<usize>(), nodes.len());
                    for members in regions.values() {
                        prop_assert!(members.len() <= LARGEST + LARGEST / 4, "{}", members.len());
                        prop_assert!(members.intersection(&global).count() >= DELEGATES.min(members.len()));
                    }
                    for placed in &nodes {
                        prop_assert!(regions.values().filter(|members| members.contains(&placed.node)).count() == 1);
                    }
                }
            }
        }

        /// The order in which nodes are listed does not matter.
        #[test]
        fn everyone_computes_the_same(seed: u64) {
            let mut nodes = cluster(&[90, 80, 70]);
            let first = layout(&nodes, false);
            nodes.sort_by_key(|placed| mix(&format!("{seed}{}", placed.node)));
            prop_assert_eq!(first, layout(&nodes, false));
        }
    }
}
