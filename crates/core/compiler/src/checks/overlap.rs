//! Ranges that another topology has too: the two could never be joined.

use ipnet::Ipv4Net;
use univrs_topology::codes::{Code, Severity};
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::plan::Plan;
use univrs_topology::topology::Topology;
use univrs_topology::{Input, compile};

use crate::Market;

/// Checks the ranges of `plan` against those of `with`.
pub(super) fn check(
    topology: &Topology,
    plan: &Plan,
    market: &Market<'_>,
    with: &[Input<'_>],
    findings: &mut Findings,
) {
    for other in with {
        let compiled = compile(other, market);
        let Some(theirs) = &compiled.plan else {
            let error = compiled.findings.iter().find(|finding| finding.severity == Severity::Error);
            let why = error.map_or("", |error| error.message.as_str());
            let message = format!("{} cannot be planned: {why}", other.file);
            let finding = Finding::new(Code::OtherTopology, "", message);
            findings.push(finding.hint(format!("run `univrs topology check {}`", other.file)));
            continue;
        };
        against(topology, plan, other.file, theirs, findings);
    }
}

/// Ranges of a topology with what has them. Meshes of their own are left out: two of them meet only in ranges.
fn ranges(plan: &Plan) -> Vec<(Ipv4Net, String)> {
    plan.regions.iter().map(|region| (region.cidr, region.id.to_string())).collect()
}

fn overlaps(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

fn against(topology: &Topology, plan: &Plan, file: &str, theirs: &Plan, findings: &mut Findings) {
    let mut taken = ranges(theirs);
    taken.extend(theirs.mesh.as_ref().map(|mesh| (mesh.range, "its mesh".to_owned())));
    for region in &plan.regions {
        for (range, name) in taken.iter().filter(|(range, _)| overlaps(*range, region.cidr)) {
            let message = format!("{} of {} overlaps {range} of {name} in {file}", region.cidr, region.id);
            let stated = topology.spec.regions.iter().find(|stated| stated.id == region.id);
            let path = stated.map_or_else(String::new, |stated| stated.path.clone());
            let path = if region.assigned { path } else { format!("{path}.cidr") };
            let hint =
                format!("choose another `cidr`, or add \"{range}\" to network.reserved and leave it out");
            findings.push(Finding::new(Code::RangeOverlap, path, message).hint(hint));
        }
    }
    let Some(mesh) = &plan.mesh else { return };
    for (range, name) in ranges(theirs).into_iter().filter(|(range, _)| overlaps(*range, mesh.range)) {
        let message = format!("{} of the mesh overlaps {range} of {name} in {file}", mesh.range);
        findings.push(Finding::new(Code::RangeOverlap, "network.mesh_cidr", message));
    }
}
