//! Round trips between clouds, and what synchronous copies cost in time.

use univrs_cost::PriceBook;
use univrs_cost::latency::{RoundTripBasis, RoundTripTime, round_trip};
use univrs_model::span::Span;
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::topology::{Region, Topology};

use crate::market::place;

/// Pairs a message lists at the most.
const MOST_PAIRS: usize = 12;

/// The round trip between two regions; nothing when it is neither measured nor can be estimated.
pub(super) fn between(book: &PriceBook, one: &Region, other: &Region) -> Option<RoundTripTime> {
    let time = round_trip(book, &place(&one.id), &place(&other.id))?;
    let known =
        matches!(time.basis, RoundTripBasis::Measured { .. }) || (one.at.is_some() && other.at.is_some());
    known.then_some(time)
}

/// Two regions and how far they are apart.
struct Pair<'a> {
    one: &'a Region,
    other: &'a Region,
    time: RoundTripTime,
}

/// Checks `objectives.cross_cloud_rtt`.
pub(super) fn check(topology: &Topology, book: &PriceBook, findings: &mut Findings) {
    let stated = topology.spec.objectives.cross_cloud_rtt;
    let parts = [("p50", 50, stated.p50), ("p90", 90, stated.p90), ("p99", 99, stated.p99)];
    if parts.iter().all(|(_, _, limit)| limit.is_none()) {
        return;
    }
    let mut pairs = Vec::new();
    let mut unknown = Vec::new();
    for (index, one) in topology.regions.iter().enumerate() {
        for other in topology.regions.iter().skip(index + 1).filter(|o| o.id.cloud != one.id.cloud) {
            match between(book, one, other) {
                Some(time) => pairs.push(Pair { one, other, time }),
                None => unknown.push(format!("{}–{}", one.id, other.id)),
            }
        }
    }
    if !unknown.is_empty() {
        let many = unknown.len();
        unknown.truncate(MOST_PAIRS);
        let message = format!("{many} round trips are not known, among them {}", unknown.join(", "));
        findings.push(Finding::new(Code::RoundTripUnknown, "objectives.cross_cloud_rtt", message));
    }
    pairs.sort_by_key(|pair| pair.time.micros);
    for (name, percent, limit) in parts {
        if let Some(limit) = limit.filter(|_| !pairs.is_empty()) {
            judge(&pairs, (name, percent, limit), findings);
        }
    }
}

/// `pairs` by their round trips, shortest first.
fn judge(pairs: &[Pair<'_>], (name, percent, limit): (&str, usize, Span), findings: &mut Findings) {
    // Nearest rank: the least that so many percent of the pairs stay within.
    let rank = (pairs.len() * percent).div_ceil(100).max(1);
    let path = format!("objectives.cross_cloud_rtt.{name}");
    let most = limit.as_millis() * 1000;
    let reached = pairs[rank - 1].time;
    if u64::from(reached.micros) > most {
        let beyond: Vec<&Pair<'_>> =
            pairs.iter().rev().filter(|pair| u64::from(pair.time.micros) > most).collect();
        let mut listed: Vec<String> = beyond
            .iter()
            .take(MOST_PAIRS)
            .map(|pair| format!("{}–{} {}", pair.one.id, pair.other.id, pair.time))
            .collect();
        if beyond.len() > MOST_PAIRS {
            listed.push(format!("and {} more", beyond.len() - MOST_PAIRS));
        }
        let message = format!(
            "{name} of the {} pairs of regions in different clouds is {} ms, not {limit}; {} take longer: {}",
            pairs.len(),
            reached.millis(),
            beyond.len(),
            listed.join(", ")
        );
        let finding = Finding::new(Code::RoundTrip, path, message);
        let hint =
            format!("choose regions that are nearer, or state {} ms or more", reached.micros.div_ceil(1000));
        findings.push(finding.hint(hint));
        return;
    }
    let worst = |time: &RoundTripTime| match time.basis {
        RoundTripBasis::Measured { .. } => time.micros,
        RoundTripBasis::Estimated { high_micros, .. } => high_micros,
    };
    let mut at_worst: Vec<u32> = pairs.iter().map(|pair| worst(&pair.time)).collect();
    at_worst.sort_unstable();
    if u64::from(at_worst[rank - 1]) > most {
        let message = format!(
            "{name} is {} ms by estimate, within {limit}; at the upper end of the estimate's error it is {} ms",
            reached.millis(),
            at_worst[rank - 1].div_ceil(1000)
        );
        findings.push(Finding::new(Code::RoundTripMargin, path, message));
    }
}
