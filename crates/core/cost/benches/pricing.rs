//! Reading the book, pricing and optimising the example of 66 nodes, and how pricing grows with the number of items.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot be set up has to stop")]

use divan::Bencher;
use univrs_cost::estimate::{Document, Options, estimate};
use univrs_cost::optimize::{Flow, Problem, optimize};
use univrs_cost::{Item, PriceBook, PriceDate};

#[path = "../tests/pricing/aurigraph.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod aurigraph;

fn main() {
    // So that the first measurement does not read it.
    let _book = PriceBook::builtin();
    divan::main();
}

fn options() -> Options {
    Options::on(PriceDate::new(2026, 11, 21).unwrap())
}

/// What the first use of the book costs.
#[divan::bench]
fn read_the_book() -> usize {
    PriceBook::read().tables().services.len()
}

/// The target is 10 ms.
#[divan::bench]
fn price_the_example(bencher: Bencher<'_, '_>) {
    let (items, options) = (aurigraph::items(1), options());
    bencher.bench(|| {
        let priced = estimate(PriceBook::builtin(), &items, &options);
        Document::new("aurigraph", &priced, None, &options)
    });
}

/// The target is 1 s.
#[divan::bench(args = [false, true])]
fn optimise_the_example(bencher: Bencher<'_, '_>, open: bool) {
    let (problem, options) = (aurigraph::problem(open), options());
    bencher.bench(|| optimize(PriceBook::builtin(), &problem, &options));
}

/// The example's groups over and over, each free to stand in six regions; each copy talks within itself.
#[divan::bench(args = [10, 100, 1_000], sample_count = 5)]
fn optimise_copies(bencher: Bencher<'_, '_>, copies: usize) {
    let one = aurigraph::problem(true);
    let groups: Vec<_> = (0..copies).flat_map(|_| one.groups.clone()).collect();
    let shifted = |copy: usize| {
        let by = copy * one.groups.len();
        one.flows.iter().map(move |flow| Flow { a: flow.a + by, b: flow.b + by, ..*flow })
    };
    let flows = (0..copies).flat_map(shifted).collect();
    let problem = Problem { groups, flows, ..one.clone() };
    let options = options();
    bencher.bench(|| optimize(PriceBook::builtin(), &problem, &options));
}

/// Time grows with the number of items and not faster.
#[divan::bench(args = [100, 1_000, 10_000])]
fn price_items(bencher: Bencher<'_, '_>, count: usize) {
    let items: Vec<Item> = aurigraph::items(1).into_iter().cycle().take(count).collect();
    let options = options();
    bencher.bench(|| estimate(PriceBook::builtin(), &items, &options));
}
