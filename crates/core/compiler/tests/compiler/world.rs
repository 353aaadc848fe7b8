//! What the tests share: the examples, and calls with a fixed day.

use univrs_compiler::{Checked, Costed, Emitted, Finding, Input, Optimized, Options, PriceDate, Rules};
use univrs_topology::source::Format;

pub(crate) const AURIGRAPH: &str = include_str!("../../../../../examples/aurigraph.toml");
pub(crate) const FREETIER: &str = include_str!("../../../../../examples/freetier.toml");
pub(crate) const PLURESDB: &str = include_str!("../../../../../examples/pluresdb.toml");

/// A price book read on this day is young enough for every example.
pub(crate) fn options() -> Options<'static> {
    Options::on(PriceDate::new(2026, 11, 21).unwrap())
}

fn overrides(set: &[&str]) -> Vec<String> {
    set.iter().map(|text| (*text).to_owned()).collect()
}

pub(crate) fn input<'a>(text: &'a str, overrides: &'a [String]) -> Input<'a> {
    Input { file: "test.toml", text, format: Format::Toml, overrides }
}

pub(crate) fn checked(text: &str, set: &[&str]) -> Checked {
    univrs_compiler::check(&input(text, &overrides(set)), &options())
}

pub(crate) fn costed(text: &str, set: &[&str]) -> Costed {
    univrs_compiler::cost(&input(text, &overrides(set)), &options())
}

pub(crate) fn optimized(text: &str, set: &[&str]) -> Optimized {
    univrs_compiler::optimize(&input(text, &overrides(set)), &options(), Rules::default())
}

pub(crate) fn emitted(text: &str, set: &[&str]) -> Emitted {
    univrs_compiler::emit(&input(text, &overrides(set)), &options(), univrs_compiler::Backend::default())
}

/// `code path` of each finding, in order.
pub(crate) fn told(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{} {}", finding.code, finding.path)).collect()
}

/// The findings of a code.
pub(crate) fn of<'a>(findings: &'a [Finding], code: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|finding| finding.code.as_str() == code).collect()
}
