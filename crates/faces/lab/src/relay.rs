//! Distance between regions, where the kernel has no `netem`: packets from one region to another are routed into a
//! TUN interface of the router, held for half the round trip, and put back.
//!
//! Packets of one pair of regions keep their order, since all of them wait equally long.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tun::AbstractDevice;

use crate::error::LabError;
use crate::layout::{Layout, Region};
use crate::wires::{MTU, RELAY};

/// How many bytes may be under way; what comes beyond is lost, as on a full link.
const MOST_BYTES: usize = 64 << 20;

/// A packet that waits.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    /// The order of arrival, for packets that are due at the same instant.
    number: u64,
    bytes: Vec<u8>,
}

/// The packets under way.
#[derive(Default)]
struct Waiting {
    packets: BinaryHeap<Reverse<Held>>,
    bytes: usize,
}

/// Half the round trip between two regions, by their numbers.
struct Delays(Vec<(u8, u8, Duration)>);

impl Delays {
    fn of(layout: &Layout) -> Self {
        let half = |micros: u32| Duration::from_micros(u64::from(micros) / 2);
        let both = layout.distances.iter().flat_map(|distance| {
            let half = half(distance.micros);
            [(distance.from, distance.to, half), (distance.to, distance.from, half)]
        });
        Self(both.collect())
    }

    /// How long a packet is under way; not at all where it is not between two regions.
    fn of_packet(&self, packet: &[u8]) -> Duration {
        let address = |at: usize| {
            packet.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(Ipv4Addr::from)
        };
        let (Some(from), Some(to)) = (address(12), address(16)) else { return Duration::ZERO };
        let pair = (Region::number_of(from), Region::number_of(to));
        self.0.iter().find(|(from, to, _)| (*from, *to) == pair).map_or(Duration::ZERO, |(_, _, half)| *half)
    }
}

/// Makes the interface in the namespace of this thread and starts the two threads that carry packets.
pub(crate) fn start(layout: &Layout) -> Result<(), LabError> {
    let mut configuration = tun::Configuration::default();
    configuration.tun_name(RELAY).mtu(MTU).up();
    let device = tun::create(&configuration)
        .map_err(|error| LabError::step("make the interface of the relay", error))?;
    let name = device.tun_name().map_err(|error| LabError::step("look at the relay's interface", error))?;
    debug_assert_eq!(name, RELAY);
    let device = Arc::new(device);
    let waiting = Arc::new((Mutex::new(Waiting::default()), Condvar::new()));
    let delays = Delays::of(layout);
    let (input, arrived) = (Arc::clone(&device), Arc::clone(&waiting));
    let failed = |error| LabError::step("start the relay", error);
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    thread("relay-in").spawn(move || take(&input, &delays, &arrived)).map_err(failed)?;
    thread("relay-out").spawn(move || give(&device, &waiting)).map_err(failed)?;
    Ok(())
}

/// Takes packets off the interface until it is gone.
fn take(device: &tun::Device, delays: &Delays, waiting: &(Mutex<Waiting>, Condvar)) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut number = 0;
    loop {
        let Ok(length) = device.recv(&mut buffer) else { return };
        let bytes = buffer[..length].to_vec();
        let due = Instant::now() + delays.of_packet(&bytes);
        number += 1;
        let mut queue = waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.bytes + length > MOST_BYTES {
            continue;
        }
        queue.bytes += length;
        let first = queue.packets.peek().is_none_or(|Reverse(first)| due < first.due);
        queue.packets.push(Reverse(Held { due, number, bytes }));
        drop(queue);
        if first {
            waiting.1.notify_one();
        }
    }
}

/// Puts packets back when they are due.
fn give(device: &tun::Device, waiting: &(Mutex<Waiting>, Condvar)) {
    let mut queue = waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        let wait = queue.packets.peek().map(|Reverse(first)| first.due.saturating_duration_since(now));
        queue = match wait {
            None => waiting.1.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(wait) if !wait.is_zero() => {
                waiting.1.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                let Some(Reverse(packet)) = queue.packets.pop() else { continue };
                queue.bytes -= packet.bytes.len();
                drop(queue);
                // A packet that the kernel does not take is lost, as packets are.
                let _ = device.send(&packet.bytes);
                waiting.0.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Delays;
    use crate::layout::Layout;

    fn packet(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[12..16].copy_from_slice(&from);
        packet[16..20].copy_from_slice(&to);
        packet
    }

    #[test]
    fn a_packet_waits_half_the_round_trip_in_both_directions() {
        let places = ["moon:a".to_owned(), "mars:b".to_owned()];
        let delays = Delays::of(&Layout::of(2, &places).unwrap());
        let there = delays.of_packet(&packet([10, 90, 1, 10], [10, 90, 2, 10]));
        let back = delays.of_packet(&packet([10, 90, 2, 10], [10, 90, 1, 10]));
        assert_eq!((there, back), (Duration::from_micros(32_500), Duration::from_micros(32_500)));
        assert_eq!(delays.of_packet(&packet([10, 90, 1, 10], [10, 90, 9, 1])), Duration::ZERO);
        assert_eq!(delays.of_packet(&[0x60]), Duration::ZERO);
    }
}
