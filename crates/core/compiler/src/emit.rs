//! `topology emit`: the files that make the plan true.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use univrs_tofu::{Backend, Gap};
use univrs_topology::Input;
use univrs_topology::allow::accept;
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Report};
use univrs_topology::plan::Plan;
use univrs_topology::topology::Topology;

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

/// The answer of `topology emit -o json` and of the REST call.
#[derive(Clone, Debug, Serialize)]
pub struct EmitDocument<'a> {
    /// Path below the output folder → text.
    pub files: BTreeMap<&'a str, Cow<'a, str>>,
    /// Parts of the plan that no file makes true.
    pub gaps: &'a [Gap],
}

impl Emitted {
    /// The document; absent when anything is an error.
    pub fn document(&self) -> Option<EmitDocument<'_>> {
        self.plan.as_ref()?;
        // Everything that is emitted is text.
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), String::from_utf8_lossy(bytes)));
        Some(EmitDocument { files: files.collect(), gaps: &self.gaps })
    }
}

/// Emits a topology.
pub fn emit(input: &Input<'_>, options: &Options<'_>, backend: Backend) -> Emitted {
    let checked = check(input, options);
    let mut emitted =
        Emitted { report: checked.report, plan: checked.plan, files: BTreeMap::new(), gaps: Vec::new() };
    let Some(plan) = &emitted.plan else { return emitted };
    let topology = checked.topology.as_ref();
    let finding = |code: Code, gap: &Gap| finding(code, gap, topology, input);
    let mut findings = Vec::new();
    match univrs_tofu::emit(plan, &univrs_tofu::Options { backend }) {
        Ok(emission) => {
            findings.extend(emission.gaps.iter().map(|gap| finding(Code::NotEmitted, gap)));
            (emitted.files, emitted.gaps) = (emission.files, emission.gaps);
        }
        Err(error) => {
            findings.extend(error.problems.iter().map(|gap| finding(Code::CannotEmit, gap)));
            emitted.plan = None;
        }
    }
    accept(&mut findings, topology.map_or(&[], |topology| &topology.spec.allow));
    let more = Report::from(findings);
    emitted.report.errors.extend(more.errors);
    emitted.report.warnings.extend(more.warnings);
    emitted.report.facts.extend(more.facts);
    emitted
}

fn finding(code: Code, gap: &Gap, topology: Option<&Topology>, input: &Input<'_>) -> Finding {
    // A gap names its region as `cloud:region`, or all of them as `*`.
    let mut regions = topology.iter().flat_map(|topology| &topology.spec.regions);
    let region = regions.find(|region| region.id.to_string() == gap.region);
    let path = region.map_or_else(String::new, |region| region.path.clone());
    let mut finding = Finding::new(code, path, format!("{}: {}", gap.what, gap.why)).hint(&gap.hint);
    finding.file = Some(input.file.to_owned());
    finding
}
