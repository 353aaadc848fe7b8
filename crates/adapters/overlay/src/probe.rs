//! Echoes through the encrypted network: how long they take, how many are lost, and how large they may be.
//!
//! A probe is a UDP packet from one node's bridge address to another's. It is answered with its own bytes, never with
//! more, and only within the cluster's range, so that nobody can be flooded by way of it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

/// The port of echoes, on the bridge address.
const PORT: u16 = 51821;
/// How often each peer is asked.
const EVERY: Duration = Duration::from_secs(2);
/// Every so many probes one is as large as the interface lets through.
const LARGE_EVERY: u64 = 5;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many probes are remembered: a minute.
const REMEMBERED: usize = 30;
/// What every probe begins with.
const MAGIC: &[u8; 4] = b"uvm1";
const ASK: u8 = 0;
const ANSWER: u8 = 1;
/// A probe without padding: magic, kind, three unused bytes, number.
const SMALL: usize = 16;
/// The headers of IPv4 and UDP before a probe.
const HEADERS: usize = 28;

/// One probe.
#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    at: Instant,
    size: usize,
    took: Option<Duration>,
}

/// What is known of one peer.
#[derive(Clone, Debug, Default)]
struct Seen {
    sent: VecDeque<Sent>,
    answered: Option<Instant>,
}

/// What the echoes of a peer tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Echoes {
    /// Median round trip.
    pub(crate) rtt: Option<Duration>,
    /// Thousandths without an answer.
    pub(crate) loss: Option<u32>,
    /// The largest packet that came back.
    pub(crate) mtu: Option<u32>,
    /// How long ago one came back.
    pub(crate) age: Option<Duration>,
}

impl Seen {
    fn echoes(&self, now: Instant) -> Echoes {
        let due = |sent: &&Sent| sent.took.is_some() || now.duration_since(sent.at) > PATIENCE;
        let judged: Vec<&Sent> = self.sent.iter().filter(due).collect();
        let mut times: Vec<Duration> = judged.iter().filter_map(|sent| sent.took).collect();
        times.sort_unstable();
        let lost = judged.len() - times.len();
        let asked_large = judged.iter().any(|sent| sent.size > SMALL);
        let largest = judged.iter().filter(|sent| sent.took.is_some()).map(|sent| sent.size + HEADERS).max();
        Echoes {
            rtt: times.get(times.len() / 2).copied(),
            loss: (!judged.is_empty()).then(|| u32::try_from(lost * 1000 / judged.len()).unwrap_or(1000)),
            age: self.answered.map(|at| now.duration_since(at)),
            mtu: largest.filter(|_| asked_large).and_then(|size| u32::try_from(size).ok()),
        }
    }
}

/// Asks peers for echoes and answers theirs.
pub(crate) struct Probe {
    socket: UdpSocket,
    cluster: Ipv4Net,
    mtu: u32,
    seen: Mutex<BTreeMap<Ipv4Addr, Seen>>,
    /// Other peers are asked from now on.
    others: Notify,
}

impl Probe {
    /// Listens at the bridge's address.
    pub(crate) async fn bind(gateway: Ipv4Addr, cluster: Ipv4Net, mtu: u32) -> io::Result<Self> {
        let socket = UdpSocket::bind((gateway, PORT)).await?;
        Ok(Self { socket, cluster, mtu, seen: Mutex::default(), others: Notify::new() })
    }

    /// From now on these peers are asked, by their bridges' addresses.
    pub(crate) fn set(&self, peers: impl IntoIterator<Item = Ipv4Addr>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next: BTreeMap<Ipv4Addr, Seen> = BTreeMap::new();
        for peer in peers {
            next.insert(peer, seen.remove(&peer).unwrap_or_default());
        }
        *seen = next;
        self.others.notify_one();
    }

    fn has_peers(&self) -> bool {
        !self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What the echoes of a peer tell.
    pub(crate) fn echoes(&self, peer: Ipv4Addr) -> Echoes {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&peer).map(|seen| seen.echoes(Instant::now())).unwrap_or_default()
    }

    /// Asks and answers until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            tokio::select! {
                _ = tick.tick(), if self.has_peers() => {
                    number += 1;
                    self.ask(number).await;
                }
                () = self.others.notified() => {}
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.hear(&mut buffer[..length], from).await,
                    // Such as a port that is not open yet at the other end.
                    Err(_) => tokio::task::yield_now().await,
                },
            }
        }
    }

    async fn ask(&self, number: u64) {
        let large = usize::try_from(self.mtu).unwrap_or(0).saturating_sub(HEADERS).max(SMALL);
        let size = if number.is_multiple_of(LARGE_EVERY) { large } else { SMALL };
        let mut bytes = vec![0; size];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = ASK;
        bytes[8..16].copy_from_slice(&number.to_be_bytes());
        let peers: Vec<Ipv4Addr> = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for known in seen.values_mut() {
                known.sent.push_back(Sent { number, at: Instant::now(), size, took: None });
                if known.sent.len() > REMEMBERED {
                    known.sent.pop_front();
                }
            }
            seen.keys().copied().collect()
        };
        for peer in peers {
            // One that cannot be sent counts as lost.
            let _ = self.socket.send_to(&bytes, (peer, PORT)).await;
        }
    }

    async fn hear(&self, bytes: &mut [u8], from: SocketAddr) {
        let SocketAddr::V4(from) = from else { return };
        if bytes.len() < SMALL || &bytes[..4] != MAGIC || !self.cluster.contains(from.ip()) {
            return;
        }
        if bytes[4] == ASK {
            bytes[4] = ANSWER;
            // Whoever asked asks again.
            let _ = self.socket.send_to(bytes, from).await;
            return;
        }
        let Ok(number) = bytes[8..16].try_into().map(u64::from_be_bytes) else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = seen.get_mut(from.ip()) else { return };
        if let Some(sent) = seen.sent.iter_mut().find(|sent| sent.number == number && sent.took.is_none()) {
            sent.took = Some(sent.at.elapsed());
            seen.answered = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Echoes, Seen, Sent};

    #[test]
    fn what_has_no_answer_in_time_is_lost_and_what_is_under_way_is_not() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let mut seen = Seen::default();
        assert_eq!(seen.echoes(now), Echoes::default());
        let answered = |number, millis, size| Sent {
            number,
            at: ago(20),
            size,
            took: Some(Duration::from_millis(millis)),
        };
        seen.sent.extend([
            answered(1, 10, 16),
            answered(2, 30, 1392),
            answered(3, 20, 16),
            Sent { number: 4, at: ago(10), size: 16, took: None },
            Sent { number: 5, at: ago(1), size: 16, took: None },
        ]);
        let echoes = seen.echoes(now);
        assert_eq!(echoes.rtt, Some(Duration::from_millis(20)));
        assert_eq!((echoes.loss, echoes.mtu), (Some(250), Some(1420)));
    }
}
