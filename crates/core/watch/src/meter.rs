//! From readings of counters to what was used within a window.

use std::collections::BTreeMap;

use univrs_model::Timestamp;
use univrs_model::usage::{Allocation, Amounts, Measured, Meter, Reading, WINDOW_SECONDS, window_of};

use crate::price::mebibytes;

/// What a node saw of an instance at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// The counters of its containers and of its network, by a name of each; without those that could not be read.
    pub readings: BTreeMap<String, Reading>,
    /// Bytes of memory in use.
    pub memory: u64,
    /// Bytes on disk in use.
    pub storage: u64,
}

/// Adds a look to what was measured before. Answers a window that is over by that, which gets what happened until the
/// look that came after its end: use between two looks belongs to the window of the first.
pub fn look(measured: &mut Measured, look: &Look) -> Option<Measured> {
    let millis = millis_between(measured.through, look.at);
    let mut cpu = 0;
    let mut readings = look.readings.clone();
    for (name, now) in &mut readings {
        let before = measured.readings.get(name).filter(|before| before.since == now.since);
        cpu += grown(before.map(|before| before.cpu_micros), now.cpu_micros);
        measured.network_in += grown(before.map(|before| before.network_in), now.network_in);
        measured.network_out += grown(before.map(|before| before.network_out), now.network_out);
        // It is said now and then; until it is said again it is what it was.
        let requests = before.and_then(|before| before.requests);
        now.requests = now.requests.or(requests);
        if let Some(all) = now.requests {
            measured.requests = Some(measured.requests.unwrap_or(0) + grown(requests, all));
        }
    }
    measured.cpu_micros += cpu;
    measured.memory_byte_millis += u128::from(look.memory) * u128::from(millis);
    measured.storage_byte_millis += u128::from(look.storage) * u128::from(millis);
    measured.memory = look.memory;
    measured.cpu_millicores = cpu.checked_div(millis).unwrap_or(0);
    measured.storage = look.storage;
    // A counter that could not be read now is not one that began anew.
    measured.readings.extend(readings);
    measured.through = measured.through.max(look.at);
    let window = window_of(look.at);
    if window <= measured.window {
        return None;
    }
    let next = Measured {
        window,
        through: look.at,
        closed: false,
        cpu_micros: 0,
        memory_byte_millis: 0,
        storage_byte_millis: 0,
        network_in: 0,
        network_out: 0,
        requests: measured.requests.map(|_| 0),
        ..measured.clone()
    };
    let over = std::mem::replace(measured, next);
    Some(Measured { closed: true, readings: BTreeMap::new(), ..over })
}

/// A counter that shrank began anew: all that it says is new.
fn grown(before: Option<u64>, now: u64) -> u64 {
    match before {
        Some(before) if now >= before => now - before,
        Some(_) | None => now,
    }
}

fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0)
}

/// What an allocation comes to from its beginning until `to`, in seconds that were begun.
pub fn allocated(allocation: &Allocation, to: Timestamp) -> Amounts {
    let seconds = u64::try_from(to.as_second() - allocation.since.as_second()).unwrap_or(0);
    let limits = &allocation.limits;
    [
        (Meter::CpuLimit, limits.cpu.as_millicores()),
        (Meter::MemoryLimit, mebibytes(limits.memory.get())),
        (Meter::StorageLimit, mebibytes(limits.storage.get())),
    ]
    .into_iter()
    .map(|(meter, size)| (meter, size.saturating_mul(seconds)))
    .filter(|(_, amount)| *amount > 0)
    .collect()
}

/// The end of the window after `since`, if it is over at `now`.
pub fn boundary(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let end = Timestamp::from_second(window_of(since).as_second() + WINDOW_SECONDS).ok()?;
    (end <= now).then_some(end)
}
