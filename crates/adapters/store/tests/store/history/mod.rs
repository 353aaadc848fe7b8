//! Clients use three voters while lines are cut and processes paused and killed; what they saw must be what one
//! register per key, and one order of all changes, could have answered (`docs/adr/0022-history-and-simulation.md`).
//!
//! `UNIVRS_SOAK_ROUNDS` says how many seeds are run (20); `UNIVRS_HISTORY_SEED` runs one of them again. A seed decides
//! what clients and faults do; when exactly, the machine decides, so a seed may have to be run several times:
//! `UNIVRS_SOAK_ROUNDS` then says how often.

mod clients;
mod faults;
mod linear;
mod order;
mod voter;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use clients::{CLIENTS, Client, Shared};
use faults::{FAULTS, Fault, Plant, Storm};

/// Runs at the same time: they mostly wait.
const AT_ONCE: usize = 3;
/// A planted bug is found within so many seeds.
const SEEDS_FOR_A_BUG: u64 = 20;

/// What one run has shown.
struct Outcome {
    seed: u64,
    calls: usize,
    unknown: usize,
    /// What is wrong, for people.
    failure: Option<String>,
}

async fn run(seed: u64, plant: Plant, faults: &'static [Fault]) -> Outcome {
    let mut storm = tokio::task::spawn_blocking(move || Storm::gather(seed, plant, faults)).await.unwrap();
    let shared = Shared::new(storm.voters.iter().map(|voter| voter.address.clone()).collect());
    let done = CancellationToken::new();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(Client::new(number, seed, &shared).run(done.clone()));
    }
    let storm = tokio::task::spawn_blocking(move || {
        storm.blow();
        storm
    });
    let storm = storm.await.unwrap();
    done.cancel();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap_or_else(|error| panic!("seed {seed}, {:?}: {error}", storm.log));
    }
    let history = shared.take();
    let mut failure = String::new();
    for (name, calls) in &history.calls {
        if !linear::is_linearizable(calls) {
            let smallest = linear::smallest_failure(calls);
            failure += &format!("{name} is not linearizable:\n{}", linear::told(&smallest));
        }
    }
    for fault in order::faults(&history).iter().take(10) {
        failure += &format!("{fault}\n");
    }
    if !failure.is_empty() {
        failure = format!(
            "seed {seed} (again with UNIVRS_HISTORY_SEED={seed} UNIVRS_SOAK_ROUNDS=20), faults {:?}:\n{failure}",
            storm.log
        );
    }
    let calls = || history.calls.values().flatten();
    Outcome {
        seed,
        calls: calls().count(),
        unknown: calls().filter(|call| call.returned.is_none()).count(),
        failure: Some(failure).filter(|failure| !failure.is_empty()),
    }
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Runs these seeds, a few at a time, and shows the first that fails. Answers how many calls got no answer.
async fn all_hold(seeds: impl IntoIterator<Item = u64>, faults: &'static [Fault]) -> usize {
    let mut seeds = seeds.into_iter();
    let (mut running, mut unknown) = (JoinSet::new(), 0);
    loop {
        while running.len() < AT_ONCE
            && let Some(seed) = seeds.next()
        {
            running.spawn(run(seed, Plant::Nothing, faults));
        }
        let Some(ended) = running.join_next().await else { return unknown };
        let outcome = ended.unwrap();
        assert!(outcome.failure.is_none(), "{}", outcome.failure.unwrap_or_default());
        assert!(outcome.calls > 50, "seed {}: only {} calls", outcome.seed, outcome.calls);
        unknown += outcome.unknown;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_see_is_linearizable() {
    let rounds = number_of("UNIVRS_SOAK_ROUNDS").unwrap_or(20);
    let unknown = match number_of("UNIVRS_HISTORY_SEED") {
        Some(seed) => all_hold((0..rounds).map(|_| seed), &FAULTS).await,
        None => all_hold(0..rounds, &FAULTS).await,
    };
    // A storm in which every answer came would have been none.
    assert!(unknown > 0 || rounds < 20, "every call was answered");
}

/// A leader that is killed and comes back does not know what its followers have acknowledged meanwhile and after: it
/// must be elected anew. Going on as the leader, it read stale values and overwrote acknowledged writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_comes_back_does_not_go_on_leading() {
    all_hold(0..6, &[Fault::PowerCut, Fault::PowerCut, Fault::Killed]).await;
}

/// The checker finds what it is there for.
async fn finds(plant: Plant, faults: &'static [Fault]) {
    for seed in 0..SEEDS_FOR_A_BUG {
        let failure = run(seed, plant, faults).await.failure.unwrap_or_default();
        if failure.contains("is not linearizable") {
            return;
        }
    }
    panic!("{plant:?} was not found in {SEEDS_FOR_A_BUG} seeds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_without_the_leader_are_found_out() {
    finds(Plant::StaleReads, &FAULTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledging_before_the_disk_has_it_is_found_out() {
    finds(Plant::LostTail, &[Fault::PowerCut]).await;
}
