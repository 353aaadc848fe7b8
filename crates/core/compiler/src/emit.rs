//! `topology emit`: the files that make the plan true.

use std::collections::BTreeMap;

use univrs_tofu::{Backend, Gap};
use univrs_topology::Input;
use univrs_topology::allow::accept;
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Report};
use univrs_topology::plan::Plan;

use crate::{Options, check};

/// An emitted topology.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// Everything that was found, and what the files do not make true.
    pub report: Report,
    /// The plan; absent when anything is an error.
    pub plan: Option<Plan>,
    /// Path below the output folder → bytes. Empty when anything is an error.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Parts of the plan that no file makes true; they stand in the report and in the emitted `README.md` too.
    pub gaps: Vec<Gap>,
}

/// Emits a topology.
pub fn emit(input: &Input<'_>, options: &Options<'_>, backend: Backend) -> Emitted {
    let checked = check(input, options);
    let mut emitted =
        Emitted { report: checked.report, plan: checked.plan, files: BTreeMap::new(), gaps: Vec::new() };
    let Some(plan) = &emitted.plan else { return emitted };
    let mut findings = Vec::new();
    match univrs_tofu::emit(plan, &univrs_tofu::Options { backend }) {
        Ok(emission) => {
            findings.extend(emission.gaps.iter().map(|gap| finding(Code::NotEmitted, gap, input)));
            (emitted.files, emitted.gaps) = (emission.files, emission.gaps);
        }
        Err(error) => {
            findings.extend(error.problems.iter().map(|gap| finding(Code::CannotEmit, gap, input)));
            emitted.plan = None;
        }
    }
    accept(&mut findings, checked.topology.as_ref().map_or(&[], |topology| &topology.spec.allow));
    let more = Report::from(findings);
    emitted.report.errors.extend(more.errors);
    emitted.report.warnings.extend(more.warnings);
    emitted.report.facts.extend(more.facts);
    emitted
}

fn finding(code: Code, gap: &Gap, input: &Input<'_>) -> Finding {
    let path = match gap.region.as_str() {
        "*" => String::new(),
        region => format!("region.{region}"),
    };
    let mut finding = Finding::new(code, path, format!("{}: {}", gap.what, gap.why)).hint(&gap.hint);
    finding.file = Some(input.file.to_owned());
    finding
}
