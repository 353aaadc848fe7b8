//! The control plane, agents, leases and gossip of a whole cluster in one thread and in virtual time, with faults drawn from a
//! seed (`docs/adr/0022-history-and-simulation.md`). Everything that decides is the product's; store, lines,
//! containers and clocks are models.
//!
//! `UNIVRS_SOAK_ROUNDS` says how many seeds are run (100); `UNIVRS_SIMULATION_SEED` runs one of them again, exactly.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod chance;
mod gossip;
mod host;
mod hub;
mod link;
mod planner;
mod promises;
mod unreachable;
mod world;

use link::Plant;
use world::run;

/// A planted bug is found within so many seeds.
const SEEDS_FOR_A_BUG: u64 = 1000;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn holds(seed: u64) -> world::Outcome {
    let outcome = run(seed, Plant::Nothing);
    assert!(outcome.failure.is_none(), "{}", outcome.failure.unwrap_or_default());
    outcome
}

#[test]
fn promises_hold_whatever_happens() {
    if let Some(seed) = number_of("UNIVRS_SIMULATION_SEED") {
        holds(seed);
        return;
    }
    for seed in 0..number_of("UNIVRS_SOAK_ROUNDS").unwrap_or(100) {
        let outcome = holds(seed);
        assert!(outcome.revisions > 20, "seed {seed}: nothing happened");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        let (first, second) = (run(seed, Plant::Nothing), run(seed, Plant::Nothing));
        let differs = first.told.iter().zip(&second.told).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let (one, other) = (&first.told[..=at], &second.told[..=at]);
            panic!(
                "seed {seed}: after {:#?}\none: {}\nother: {}",
                &one[at.saturating_sub(12)..at],
                one[at],
                other[at]
            );
        }
        assert_eq!((first.trace, first.revisions), (second.trace, second.revisions), "seed {seed}");
    }
}

/// The promises that the first broken run of a planted bug names.
fn found(plant: Plant) -> String {
    let failures = (0..SEEDS_FOR_A_BUG).filter_map(|seed| run(seed, plant).failure);
    let failure = failures.into_iter().next();
    failure.unwrap_or_else(|| panic!("{plant:?} was not found in {SEEDS_FOR_A_BUG} seeds"))
}

#[test]
fn an_agent_that_ignores_its_lease_is_found_out() {
    let failure = found(Plant::EternalLease);
    assert!(failure.contains("runs more than once") || failure.contains("without its lease"), "{failure}");
}

#[test]
fn a_node_that_takes_silence_for_death_is_found_out() {
    let failure = found(Plant::SilenceIsDeath);
    assert!(failure.contains("could be reached") || failure.contains("while its lease held"), "{failure}");
}

#[test]
fn a_loop_that_writes_whatever_has_changed_is_found_out() {
    found(Plant::NoGuards);
}
