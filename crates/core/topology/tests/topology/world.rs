//! What the tests share: compiling texts, and the examples.

use univrs_topology::catalogue::Regions;
use univrs_topology::plan::Plan;
use univrs_topology::source::Format;
use univrs_topology::{Compiled, Input, compile};

pub(crate) const AURIGRAPH: &str = include_str!("../../../../../examples/aurigraph.toml");
pub(crate) const FREETIER: &str = include_str!("../../../../../examples/freetier.toml");
pub(crate) const PLURESDB: &str = include_str!("../../../../../examples/pluresdb.toml");

/// Compiles `text` as TOML with overrides.
pub(crate) fn compiled(text: &str, set: &[&str]) -> Compiled {
    formatted(text, Format::Toml, set)
}

pub(crate) fn formatted(text: &str, format: Format, set: &[&str]) -> Compiled {
    let overrides: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
    let input = Input { file: "test.toml", text, format, overrides: &overrides };
    compile(&input, &Regions::default())
}

/// The plan of a text that has no errors.
pub(crate) fn planned(text: &str, set: &[&str]) -> Plan {
    let compiled = compiled(text, set);
    let errors: Vec<_> = compiled.findings.iter().filter(|f| f.line.is_some()).collect();
    assert!(!compiled.has_errors(), "{errors:#?}");
    compiled.plan.unwrap()
}

/// Findings as `severity code path`, in order.
pub(crate) fn told(compiled: &Compiled) -> Vec<String> {
    let tell = |f: &univrs_topology::finding::Finding| format!("{:?} {} {}", f.severity, f.code, f.path);
    compiled.findings.iter().map(tell).collect()
}
