//! Packets of two other nodes that no path leads to each other, passed on as they are: this node cannot read them.
//! Pure; times are given.
//!
//! A handshake proves in its plain part for whom it is meant (`mac1`, keyed with that node's public key), so a node that
//! cannot reach another may send it to a third. The third remembers the numbers that both ends give their session: later
//! packets carry no more than those.
//!
//! - **CAR-1** Only what comes from where a member was heard is passed on, only to where a member was heard.
//! - **CAR-2** One packet in is at most one packet out, and none is longer than before.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};

/// Sessions that are remembered, two numbers each.
const SESSIONS: usize = 4096;
/// WireGuard uses no session for longer than three minutes.
const FORGOTTEN: Duration = Duration::from_secs(240);
/// Kinds of packets, by their first byte, and their lengths.
const INITIATION: (u8, usize) = (1, 148);
const RESPONSE: (u8, usize) = (2, 92);
const COOKIE: (u8, usize) = (3, 64);
const DATA: u8 = 4;
/// The least length of a data packet: a keepalive.
const LEAST_DATA: usize = 32;

/// What `mac1` of a handshake for a node is made with: `HASH("mac1----" || public key)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark([u8; 32]);

impl Mark {
    /// That of a node with this public key.
    pub(crate) fn of(public_key: &[u8; 32]) -> Self {
        Self(Blake2s256::new().chain_update(b"mac1----").chain_update(public_key).finalize().into())
    }

    /// Whether a packet begins a handshake with that node.
    pub(crate) fn begins(&self, packet: &[u8]) -> bool {
        (packet.first().copied(), packet.len()) == (Some(INITIATION.0), INITIATION.1) && self.is_on(packet)
    }

    /// Whether a packet answers that node's beginning of a handshake.
    pub(crate) fn answers(&self, packet: &[u8]) -> bool {
        (packet.first().copied(), packet.len()) == (Some(RESPONSE.0), RESPONSE.1) && self.is_on(packet)
    }

    /// Both kinds end with two authentications of 16 bytes each, of which the first is this.
    fn is_on(&self, packet: &[u8]) -> bool {
        let (said, mac) = packet.split_at(packet.len() - 32);
        let Ok(hash) = <Blake2sMac<U16> as KeyInit>::new_from_slice(&self.0) else { return false };
        hash.chain_update(said).verify_slice(&mac[..16]).is_ok()
    }
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is for this node, or nobody's: the device looks at it.
    Own,
    /// It is passed on.
    Pass(SocketAddr),
}

/// A session's way on.
#[derive(Clone, Copy, Debug)]
struct Way {
    to: SocketAddr,
    used: Duration,
}

/// What is carried, between whom.
#[derive(Default)]
pub(crate) struct Carry {
    own: Option<Mark>,
    members: Vec<(Mark, SocketAddr)>,
    /// From where and with what number → where to.
    ways: HashMap<(SocketAddr, u32), Way>,
}

impl Carry {
    /// Of the node with this mark.
    pub(crate) fn new(own: Mark) -> Self {
        Self { own: Some(own), ..Self::default() }
    }

    /// From now on these nodes can be reached, and use this one.
    pub(crate) fn set(&mut self, now: Duration, members: Vec<(Mark, SocketAddr)>) {
        self.members = members;
        self.ways.retain(|_, way| now.saturating_sub(way.used) < FORGOTTEN);
    }

    /// What to do with a packet from there.
    pub(crate) fn judge(&mut self, now: Duration, from: SocketAddr, packet: &[u8]) -> Verdict {
        match (packet.first().copied(), packet.len()) {
            (Some(kind), length) if (kind, length) == INITIATION => self.begun(now, from, packet),
            (Some(kind), length) if (kind, length) == RESPONSE => {
                let passed = self.known(now, from, number(packet, 8));
                if let Verdict::Pass(to) = passed {
                    // What the first one sends from now on carries the second one's number.
                    self.remember(now, to, number(packet, 4), from);
                }
                passed
            }
            (Some(kind), length) if (kind, length) == COOKIE => self.known(now, from, number(packet, 4)),
            (Some(DATA), LEAST_DATA..) => self.known(now, from, number(packet, 4)),
            _ => Verdict::Own,
        }
    }

    fn begun(&mut self, now: Duration, from: SocketAddr, packet: &[u8]) -> Verdict {
        if self.own.is_some_and(|own| own.begins(packet)) {
            return Verdict::Own;
        }
        if !self.members.iter().any(|(_, endpoint)| *endpoint == from) {
            return Verdict::Own;
        }
        let meant = self.members.iter().find(|(mark, endpoint)| *endpoint != from && mark.begins(packet));
        match meant.map(|(_, to)| *to) {
            Some(to) if self.ways.len() < SESSIONS * 2 => {
                self.remember(now, to, number(packet, 4), from);
                Verdict::Pass(to)
            }
            _ => Verdict::Own,
        }
    }

    fn known(&mut self, now: Duration, from: SocketAddr, number: u32) -> Verdict {
        match self.ways.get_mut(&(from, number)) {
            Some(way) => {
                way.used = now;
                Verdict::Pass(way.to)
            }
            None => Verdict::Own,
        }
    }

    fn remember(&mut self, now: Duration, from: SocketAddr, number: u32, to: SocketAddr) {
        self.ways.insert((from, number), Way { to, used: now });
    }
}

/// Whose packets a session's are, as far as this node is one of its ends: what is sent carries the other's number.
#[derive(Default)]
pub(crate) struct Sessions {
    /// This node's number in a handshake it began → with whom.
    begun: HashMap<u32, Mark>,
    /// The other's number → who it is.
    others: HashMap<u32, Mark>,
}

impl Sessions {
    /// Something is sent; tells to which of these it goes, as far as it is known.
    pub(crate) fn sent<'a>(
        &mut self,
        packet: &[u8],
        marks: impl IntoIterator<Item = &'a Mark>,
    ) -> Option<Mark> {
        match packet.first().copied() {
            Some(DATA) => self.others.get(&number(packet, 4)).copied(),
            Some(kind) if kind == INITIATION.0 => {
                let mark = marks.into_iter().find(|mark| mark.begins(packet)).copied()?;
                keep(&mut self.begun, number(packet, 4), mark);
                Some(mark)
            }
            Some(kind) if kind == RESPONSE.0 => {
                let mark = marks.into_iter().find(|mark| mark.answers(packet)).copied()?;
                keep(&mut self.others, number(packet, 8), mark);
                Some(mark)
            }
            _ => None,
        }
    }

    /// Something for this node arrived.
    pub(crate) fn received(&mut self, packet: &[u8]) {
        if (packet.first().copied(), packet.len()) == (Some(RESPONSE.0), RESPONSE.1)
            && let Some(mark) = self.begun.get(&number(packet, 8)).copied()
        {
            keep(&mut self.others, number(packet, 4), mark);
        }
    }
}

/// Old numbers are of no use, and there is one more every two minutes for each peer.
fn keep(numbers: &mut HashMap<u32, Mark>, number: u32, mark: Mark) {
    if numbers.len() >= SESSIONS {
        numbers.clear();
    }
    numbers.insert(number, mark);
}

/// Four bytes of a packet that is long enough.
fn number(packet: &[u8], at: usize) -> u32 {
    packet.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use blake2::Blake2sMac;
    use blake2::digest::consts::U16;
    use blake2::digest::{KeyInit, Mac};

    use super::{Carry, Mark, Sessions, Verdict};

    const NOW: Duration = Duration::from_secs(5);

    fn at(last: u8) -> std::net::SocketAddr {
        std::net::SocketAddr::from(([10, 0, 0, last], 51820))
    }

    fn mark(node: u8) -> Mark {
        Mark::of(&[node; 32])
    }

    fn begin(to: u8, number: u32) -> Vec<u8> {
        let mut packet = vec![0; 148];
        packet[0] = 1;
        packet[4..8].copy_from_slice(&number.to_le_bytes());
        let hash = <Blake2sMac<U16> as KeyInit>::new_from_slice(&mark(to).0).unwrap();
        let mac = hash.chain_update(&packet[..116]).finalize().into_bytes();
        packet[116..132].copy_from_slice(&mac);
        packet
    }

    fn packet(kind: u8, length: usize, numbers: &[u32]) -> Vec<u8> {
        let mut packet = vec![0; length];
        packet[0] = kind;
        for (index, number) in numbers.iter().enumerate() {
            packet[4 + index * 4..8 + index * 4].copy_from_slice(&number.to_le_bytes());
        }
        packet
    }

    /// Node 9 in the middle of 1 and 2.
    fn middle() -> Carry {
        let mut carry = Carry::new(mark(9));
        carry.set(NOW, vec![(mark(1), at(1)), (mark(2), at(2))]);
        carry
    }

    #[test]
    fn a_session_of_two_others_is_passed_on_both_ways() {
        let mut carry = middle();
        for (from, bytes, verdict) in [
            (1, begin(2, 11), Verdict::Pass(at(2))),
            (2, packet(2, 92, &[22, 11]), Verdict::Pass(at(1))),
            (1, packet(4, 32, &[22]), Verdict::Pass(at(2))),
            (2, packet(4, 1400, &[11]), Verdict::Pass(at(1))),
            (2, packet(3, 64, &[11]), Verdict::Pass(at(1))),
            // Others' numbers, and this node's own sessions.
            (3, packet(4, 32, &[22]), Verdict::Own),
            (1, packet(4, 32, &[23]), Verdict::Own),
            (1, begin(9, 12), Verdict::Own),
        ] {
            assert_eq!(carry.judge(NOW, at(from), &bytes), verdict, "from {from}: {:?}", &bytes[..12]);
        }
        carry.set(NOW + Duration::from_secs(300), Vec::new());
        assert_eq!(carry.judge(NOW, at(1), &packet(4, 32, &[22])), Verdict::Own, "sessions are forgotten");
    }

    #[test]
    fn both_ends_know_whose_packets_a_session_has() {
        let marks = [mark(1), mark(2)];
        let mut answer = packet(2, 92, &[22, 11]);
        let hash = <Blake2sMac<U16> as KeyInit>::new_from_slice(&mark(1).0).unwrap();
        let mac = hash.chain_update(&answer[..60]).finalize().into_bytes();
        answer[60..76].copy_from_slice(&mac);
        let whose = |sessions: &mut Sessions, packet: &[u8]| {
            sessions.sent(packet, &marks).and_then(|mark| marks.iter().position(|known| *known == mark))
        };
        // Node 1 began, node 2 answered.
        let (mut first, mut second) = (Sessions::default(), Sessions::default());
        assert_eq!(whose(&mut first, &begin(2, 11)), Some(1));
        assert_eq!(whose(&mut second, &answer), Some(0));
        first.received(&answer);
        assert_eq!(whose(&mut first, &packet(4, 32, &[22])), Some(1));
        assert_eq!(whose(&mut second, &packet(4, 32, &[11])), Some(0));
        assert_eq!(whose(&mut first, &packet(4, 32, &[11])), None);
    }

    #[test]
    fn strangers_are_carried_nowhere_and_nobody_to_strangers() {
        let mut carry = middle();
        assert_eq!(carry.judge(NOW, at(7), &begin(2, 1)), Verdict::Own);
        assert_eq!(carry.judge(NOW, at(1), &begin(7, 1)), Verdict::Own);
        assert_eq!(carry.judge(NOW, at(1), &begin(1, 1)), Verdict::Own, "not back to where it came from");
        let mut forged = begin(2, 1);
        forged[120] ^= 1;
        assert_eq!(carry.judge(NOW, at(1), &forged), Verdict::Own);
        for short in [vec![], vec![4], vec![1; 20], vec![4; 31]] {
            assert_eq!(carry.judge(NOW, at(1), &short), Verdict::Own);
        }
    }
}
