//! Plans and emissions that the tests share.

use std::collections::BTreeMap;

use serde_json::Value;
use univrs_tofu::check::check_project;
use univrs_tofu::{Emission, Options, emit};
use univrs_topology::catalogue::Regions;
use univrs_topology::plan::Plan;
use univrs_topology::source::Format;
use univrs_topology::{Input, compile};

use crate::schemas::SCHEMAS;

pub(crate) const AURIGRAPH: &str = include_str!("../../../../../examples/aurigraph.toml");
pub(crate) const FREETIER: &str = include_str!("../../../../../examples/freetier.toml");
pub(crate) const PLURESDB: &str = include_str!("../../../../../examples/pluresdb.toml");

/// The plan of a text that must have no errors.
pub(crate) fn planned(text: &str, set: &[&str]) -> Plan {
    let overrides: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
    let input = Input { file: "test.toml", text, format: Format::Toml, overrides: &overrides };
    let compiled = compile(&input, &Regions::default());
    let errors = compiled.has_errors().then_some(&compiled.findings);
    assert!(errors.is_none(), "{errors:#?}\n{text}");
    compiled.plan.unwrap()
}

/// Emits a text.
pub(crate) fn emitted(text: &str, set: &[&str]) -> Emission {
    emit(&planned(text, set), &Options::default()).unwrap()
}

/// What the checker has to say of the files, unchecked types included.
pub(crate) fn complaints(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    check_project(&SCHEMAS, files).findings.iter().map(ToString::to_string).collect()
}

/// All resources of a type, as `folder/name` and body.
pub(crate) fn resources(files: &BTreeMap<String, Vec<u8>>, kind: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".tf.json")) {
        let document: Value = serde_json::from_slice(bytes).unwrap();
        let folder = path.split('/').next().unwrap_or_default();
        for (name, body) in document["resource"][kind].as_object().into_iter().flatten() {
            found.push((format!("{folder}/{name}"), body.clone()));
        }
    }
    found
}
