//! What one address may hold of the connections that come in: a machine that opens thousands leaves room for the rest.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::ConnectionEstablished;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

/// Handshakes at once with one address; a quarter of all there may be.
const HANDSHAKES: usize = 16;
/// Connections at once with one address, handshakes among them: several nodes may stand behind one router.
const CONNECTIONS: usize = 128;

/// A connection was refused: its address holds enough of them.
#[derive(Debug, thiserror::Error)]
#[error("{0} holds as many connections as one address may")]
struct Full(IpAddr);

/// How many connections there are with each address.
#[derive(Debug, Default)]
struct Counts {
    /// Connections, and whether their handshake is over.
    of: HashMap<ConnectionId, (IpAddr, bool)>,
    /// Handshakes and all connections.
    held: HashMap<IpAddr, (usize, usize)>,
}

impl Counts {
    fn begin(&mut self, id: ConnectionId, from: IpAddr) -> Result<(), Full> {
        let (handshakes, all) = self.held.get(&from).copied().unwrap_or_default();
        if handshakes >= HANDSHAKES || all >= CONNECTIONS {
            return Err(Full(from));
        }
        self.held.insert(from, (handshakes + 1, all + 1));
        self.of.insert(id, (from, false));
        Ok(())
    }

    fn established(&mut self, id: ConnectionId) {
        let Some((from, done)) = self.of.get_mut(&id) else { return };
        if !std::mem::replace(done, true)
            && let Some((handshakes, _)) = self.held.get_mut(from)
        {
            *handshakes -= 1;
        }
    }

    fn end(&mut self, id: ConnectionId) {
        self.established(id);
        let Some((from, _)) = self.of.remove(&id) else { return };
        if let Some((_, all)) = self.held.get_mut(&from) {
            *all -= 1;
            if *all == 0 {
                self.held.remove(&from);
            }
        }
    }
}

/// Refuses what is too much before anything is done for it.
#[derive(Debug, Default)]
pub(super) struct PerAddress(Counts);

impl NetworkBehaviour for PerAddress {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match address(remote) {
            Some(from) => self.0.begin(id, from).map_err(ConnectionDenied::new),
            None => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { connection_id, .. }) => {
                self.0.established(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.0.end(connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Where a connection comes from; nothing for one that a member carries, which holds back its own clients.
fn address(remote: &Multiaddr) -> Option<IpAddr> {
    if remote.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    match remote.iter().next()? {
        Protocol::Ip4(address) => Some(address.into()),
        Protocol::Ip6(address) => Some(address.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(index: usize) -> ConnectionId {
        ConnectionId::new_unchecked(index)
    }

    proptest! {
        /// Whatever happens in whatever order, nobody holds more than allowed, and what is over is forgotten.
        #[test]
        fn limits_hold_and_nothing_is_left(steps in prop::collection::vec((0_u8..3, 0_usize..400, 0_u8..3), 0..2000)) {
            let mut counts = Counts::default();
            for (what, index, from) in steps {
                match what {
                    0 if !counts.of.contains_key(&id(index)) => {
                        let from = IpAddr::from([10, 0, 0, from]);
                        let before = counts.held.get(&from).copied().unwrap_or_default();
                        let full = before.0 == HANDSHAKES || before.1 == CONNECTIONS;
                        prop_assert_eq!(counts.begin(id(index), from).is_err(), full);
                    }
                    0 => {}
                    1 => counts.established(id(index)),
                    _ => counts.end(id(index)),
                }
                for (address, held) in &counts.held {
                    let of = counts.of.values().filter(|(from, _)| from == address);
                    let handshakes = of.clone().filter(|(_, done)| !done).count();
                    prop_assert_eq!(*held, (handshakes, of.count()));
                    prop_assert!(held.0 <= HANDSHAKES && held.1 <= CONNECTIONS);
                }
            }
            for index in 0..400 {
                counts.end(id(index));
            }
            prop_assert!(counts.held.is_empty() && counts.of.is_empty());
        }
    }

    #[test]
    fn addresses_are_read() {
        for (text, wanted) in [
            ("/ip4/10.0.0.7/tcp/4000", Some("10.0.0.7")),
            ("/ip6/fd00::7/udp/4000/quic-v1", Some("fd00::7")),
            ("/ip4/10.0.0.7/tcp/4000/p2p-circuit", None),
            ("/memory/5", None),
        ] {
            assert_eq!(address(&text.parse().unwrap()).map(|ip| ip.to_string()).as_deref(), wanted, "{text}");
        }
    }
}
