//! The whole way on the examples, and how it grows with the number of nodes.
//!
//! Targets: check, plan and price the example of 66 nodes in 50 ms as a process, of that 10 ms pricing; 10,000 nodes
//! over 60 regions in 2 s; optimise the example in 1 s; time linear in the nodes.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot be set up has to stop")]

use divan::Bencher;
use univrs_compiler::{
    Backend, Checked, Costed, Emitted, Input, Optimized, Options, PriceBook, PriceDate, Rules,
};
use univrs_topology::source::Format;

const AURIGRAPH: &str = include_str!("../../../../examples/aurigraph.toml");

fn main() {
    // Reading the book is measured by the cost crate.
    divan::black_box(PriceBook::builtin());
    divan::main();
}

fn options() -> Options<'static> {
    Options::on(PriceDate::new(2026, 11, 21).unwrap())
}

fn input(text: &str) -> Input<'_> {
    Input { file: "bench.toml", text, format: Format::Toml, overrides: &[] }
}

/// Check, plan and price.
#[divan::bench]
fn cost_the_example() -> Costed {
    univrs_compiler::cost(&input(AURIGRAPH), &options())
}

#[divan::bench]
fn optimise_the_example() -> Optimized {
    univrs_compiler::optimize(&input(AURIGRAPH), &options(), Rules::default())
}

#[divan::bench]
fn emit_the_example() -> Emitted {
    univrs_compiler::emit(&input(AURIGRAPH), &options(), Backend::default())
}

/// Check, plan and price so many nodes over 60 regions.
#[divan::bench(args = [100, 1_000, 10_000])]
fn check_nodes(bencher: Bencher<'_, '_>, nodes: u32) {
    let text = large(nodes);
    let checked = univrs_compiler::check(&input(&text), &options());
    assert_eq!(checked.plan.unwrap().machines().count(), nodes as usize);
    bencher.bench(|| -> Checked { univrs_compiler::check(&input(&text), &options()) });
}

/// A topology of so many nodes over 60 regions of three clouds.
fn large(nodes: u32) -> String {
    let mut text = String::from(
        "name = \"large\"\n[network]\nmesh = \"wireguard\"\nadmin_cidrs = [\"203.0.113.0/24\"]\nsubnets = { public = 22, private = 21 }\n",
    );
    let catalogue = univrs_topology::catalogue::Regions::default();
    for cloud in ["aws", "azure", "gcp"] {
        use univrs_topology::catalogue::Catalogue;
        for name in catalogue.regions(cloud.parse().unwrap()).into_iter().take(20) {
            text.push_str(&format!("[[region]]\ncloud = \"{cloud}\"\nname = \"{name}\"\n"));
        }
    }
    let machine = "machine = { aws = \"t3.large\", azure = \"Standard_B2s\", gcp = \"e2-standard-2\" }";
    text.push_str(&format!("[role.voter]\ncount = 60\n{machine}\nunivrs = {{ role = \"validator\" }}\n"));
    text.push_str(&format!(
        "[role.slim]\ncount = {}\n{machine}\nunivrs = {{ role = \"slim\" }}\n",
        nodes - 60
    ));
    text.push_str("[objectives]\ncross_cloud_rtt = { p90 = \"300ms\" }\n");
    text
}
