//! Measured round trips first, the formula for the rest.

use univrs_cost::PriceBook;
use univrs_cost::latency::{RoundTripBasis, estimated, round_trip};

use crate::build::place;

fn between(from: &str, to: &str) -> univrs_cost::latency::RoundTripTime {
    round_trip(PriceBook::builtin(), &place(from), &place(to)).unwrap()
}

#[test]
fn measured_pairs() {
    for (from, to, micros) in [
        ("aws:us-east-1", "aws:us-west-2", 64_800),
        ("azure:eastus", "azure:westus", 69_000),
        ("aws:us-east-1", "aws:eu-central-1", 93_000),
    ] {
        let time = between(from, to);
        assert!(matches!(time.basis, RoundTripBasis::Measured { .. }), "{from} {to}");
        assert!(time.micros.abs_diff(micros) < 1_000, "{from} {to}: {time}");
    }
}

#[test]
fn of_two_measurements_the_newer_counts() {
    // 2024: 158 ms; 2026-07-30: 162 ms.
    let time = between("azure:japaneast", "azure:eastus");
    assert_eq!(time.micros, 162_000);
}

#[test]
fn other_pairs_by_distance() {
    let time = between("aws:us-east-1", "gcp:us-west1");
    let RoundTripBasis::Estimated { km, low_micros, high_micros } = time.basis else { panic!("{time:?}") };
    assert!((3_400..4_000).contains(&km), "{km}");
    assert!(low_micros < time.micros && time.micros < high_micros);
    assert_eq!(time, between("gcp:us-west1", "aws:us-east-1"), "the same both ways");
    assert_eq!(estimated(1_000).micros, 21_300);
    assert_eq!(round_trip(PriceBook::builtin(), &place("aws:us-east-1"), &place("aws:moon-1")), None);
}

#[test]
fn the_three_cloud_example_misses_50_ms() {
    let regions =
        ["aws:us-east-1", "aws:us-west-2", "azure:eastus", "azure:westus", "gcp:us-central1", "gcp:us-west1"];
    let mut times = Vec::new();
    for (index, from) in regions.iter().enumerate() {
        times.extend(regions[index + 1..].iter().map(|to| between(from, to).micros));
    }
    times.sort_unstable();
    assert_eq!(times.len(), 15);
    assert_eq!(times.iter().filter(|time| **time > 50_000).count(), 6, "{times:?}");
}
