//! Names of the things a node makes in the kernel. They carry the node's id, so two nodes can share a machine,
//! and are short enough for the kernel (15 bytes for a link).

use univrs_model::ids::{InstanceId, NodeId};

/// The letters of the node's id that its names carry.
const NODE_LETTERS: usize = 8;
/// The letters of the instance's id that its link carries.
const INSTANCE_LETTERS: usize = 12;

/// The names that belong to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The bridge, such as `uv3f9k2m8q`.
    pub(crate) bridge: String,
    /// The nft table of family `inet`, such as `univrs_3f9k2m8q`.
    pub(crate) table: String,
}

impl Names {
    pub(crate) fn of(node: &NodeId) -> Self {
        let letters = node.as_str().strip_prefix(NodeId::PREFIX).unwrap_or(node.as_str());
        let short: String = letters.chars().take(NODE_LETTERS).collect();
        Self { bridge: format!("uv{short}"), table: format!("univrs_{short}") }
    }
}

/// The host's end of an instance's link, such as `uve3f9k2m8qxzab`.
pub(crate) fn host_end(instance: &InstanceId) -> String {
    let letters = instance.as_str().strip_prefix(InstanceId::PREFIX).unwrap_or(instance.as_str());
    if letters.len() <= INSTANCE_LETTERS {
        return format!("uve{letters}");
    }
    // Ids of our own making have 12 letters. A longer one is folded, so that a shared beginning does not collide.
    let folded = letters.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("uve{:012x}", folded & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::{InstanceId, NodeId};

    use super::{Names, host_end};

    #[test]
    fn names_fit_the_kernel() {
        let names = Names::of(&NodeId::from_bits(u128::MAX));
        assert_eq!(names.bridge.len(), 10);
        assert_eq!(host_end(&InstanceId::from_bits(u128::MAX)).len(), 15);
        let long = |text: &str| host_end(&text.parse::<InstanceId>().unwrap());
        assert_eq!(long("in_aaaaaaaaaaaaaaaaaaaaaaaab").len(), 15);
        assert_ne!(long("in_aaaaaaaaaaaaaaaaaaaaaaaab"), long("in_aaaaaaaaaaaaaaaaaaaaaaaac"));
    }

    #[test]
    fn nodes_do_not_share_names() {
        assert_ne!(Names::of(&NodeId::from_bits(1)), Names::of(&NodeId::from_bits(2)));
    }
}
