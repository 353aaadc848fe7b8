//! Whether others can reach this peer, as far as they were asked to try.

use std::collections::HashSet;

use libp2p::Multiaddr;

/// What tests of own addresses say. Each address is tested once, by a peer that this one has dialled.
#[derive(Debug, Default)]
pub(super) struct Reach {
    reached: HashSet<Multiaddr>,
    failed: bool,
}

impl Reach {
    pub(super) fn tested(&mut self, address: Multiaddr, reached: bool) {
        if reached {
            self.reached.insert(address);
        } else {
            self.reached.remove(&address);
            self.failed = true;
        }
    }

    /// Whether somebody has tried and succeeded.
    pub(super) fn is_reached(&self) -> bool {
        !self.reached.is_empty()
    }

    /// Whether others have tried in vain, and nobody has succeeded.
    pub(super) fn is_hidden(&self) -> bool {
        self.failed && self.reached.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Reach;

    #[test]
    fn one_address_that_is_reached_is_enough() {
        let [quic, tcp] = ["/ip4/10.0.0.1/udp/9000/quic-v1", "/ip4/10.0.0.1/tcp/9000"]
            .map(|address| address.parse::<libp2p::Multiaddr>().unwrap());
        let mut reach = Reach::default();
        assert!(!reach.is_hidden(), "nobody has tried");
        reach.tested(tcp.clone(), false);
        assert!(reach.is_hidden());
        reach.tested(quic.clone(), true);
        reach.tested(tcp, false);
        assert!(!reach.is_hidden());
        reach.tested(quic, false);
        assert!(reach.is_hidden());
    }
}
