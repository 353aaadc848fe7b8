//! The whole way from a text to a plan.

use crate::allow::accept;
use crate::catalogue::Catalogue;
use crate::codes::Severity;
use crate::finding::Finding;
use crate::plan::{Plan, plan};
use crate::resolve::resolve;
use crate::source::{Document, Format};
use crate::spec;
use crate::topology::Topology;

/// A topology as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Name of the file, for findings.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
    /// How it is written.
    pub format: Format,
    /// `path=value`, applied in order.
    pub overrides: &'a [String],
}

/// What a text came to.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The text with its places, for findings of later checks.
    pub document: Document,
    /// The topology; absent when its names could not be resolved. It may be there without a plan.
    pub topology: Option<Topology>,
    /// The plan; absent when anything is an error.
    pub plan: Option<Plan>,
    /// Everything that was found, in the order of the stages.
    pub findings: Vec<Finding>,
}

impl Compiled {
    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Reads, resolves and plans.
pub fn compile(input: &Input<'_>, catalogue: &dyn Catalogue) -> Compiled {
    let (document, mut findings) = Document::read(input.file, input.text, input.format, input.overrides);
    let read_well = !findings.has_errors();
    let mut topology = None;
    let mut made = None;
    let mut allow = Vec::new();
    // What a broken text seems to say would only confuse.
    if read_well {
        let parsed = spec::read(&document);
        findings.append(parsed.findings);
        allow.clone_from(&parsed.spec.allow);
        let resolved = resolve(parsed.spec, catalogue);
        findings.append(resolved.findings);
        let planned = plan(&resolved.topology);
        let errors = findings.has_errors();
        // A warning about the plan of what is wrong anyway would only confuse.
        findings.append(if errors { planned.findings.errors() } else { planned.findings });
        made = planned.plan.filter(|_| !errors);
        topology = (!errors).then_some(resolved.topology);
    }
    let mut findings = findings.located(&document);
    accept(&mut findings, &allow);
    Compiled { document, topology, plan: made, findings }
}
