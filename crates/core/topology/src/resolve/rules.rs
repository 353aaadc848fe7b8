//! Names in rules: roles of objectives and flows, weights, who may get in.

use univrs_model::decode::nearest;

use super::place;
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::placeholder::Scope;
use crate::spec::{PortFrom, PortSpec, Selector, Spec};
use crate::topology::{Region, Role};

/// Says that no role has that name.
pub(super) fn known_role(spec: &Spec, name: &str, path: String, findings: &mut Findings) {
    let names: Vec<&str> = spec.roles.iter().map(|role| role.name.as_str()).collect();
    if names.contains(&name) {
        return;
    }
    let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let message = format!("there is no role `{}`", super::clip(name));
    findings.push(Finding::new(Code::UnknownRole, path, message).maybe_hint(hint));
}

/// The weights as stated; nothing when none are, or when they make no sense.
pub(super) fn weights(spec: &Spec, regions: &[Region], findings: &mut Findings) -> Vec<(Selector, u32)> {
    let stated = &spec.traffic.weights;
    let before = findings.len();
    for (selector, _) in stated {
        if !regions.iter().any(|region| selector.takes(&region.id)) {
            place::unused(selector, regions, format!("traffic.weights.{selector}"), findings);
        }
        if let Selector::Region(id) = selector
            && stated.iter().any(|(other, _)| *other == Selector::Cloud(id.cloud))
        {
            let message = format!("{id} has a weight of its own and one through its cloud");
            findings.push(Finding::new(Code::BadWeights, format!("traffic.weights.{selector}"), message));
        }
    }
    let sum: u32 = stated.iter().map(|(_, weight)| weight).sum();
    if !stated.is_empty() && sum != 100 {
        let message = format!("the weights sum to {sum}, not to 100");
        findings.push(Finding::new(Code::BadWeights, "traffic.weights", message));
    }
    if findings.len() > before { Vec::new() } else { stated.clone() }
}

/// Checks what spans several parts of the file.
pub(super) fn check(spec: &Spec, roles: &[Role], findings: &mut Findings) {
    if let Some(quorum) = &spec.objectives.quorum {
        known_role(spec, &quorum.role, "objectives.quorum.role".into(), findings);
    }
    for (index, flow) in spec.traffic.flows.iter().enumerate() {
        for (key, end) in [("from", &flow.from), ("to", &flow.to)] {
            if !spec.services.iter().any(|service| service.name == *end) {
                known_role(spec, end, format!("traffic.flow[{index}].{key}"), findings);
            }
        }
    }
    for (key, template) in &spec.outputs {
        place::check(template, Scope::Output, &format!("outputs.{key}"), findings);
    }
    let starts = |role: &&Role| role.spec.univrs.as_ref().is_some_and(|univrs| univrs.bootstrap);
    let mut bootstraps = roles.iter().filter(starts);
    if let (Some(first), Some(second)) = (bootstraps.next(), bootstraps.next()) {
        let message = format!("`{}` starts the cluster already", first.spec.name);
        let path = format!("role.{}.univrs.bootstrap", second.spec.name);
        findings.push(Finding::new(Code::SeveralBootstraps, path, message));
    }
    for role in roles {
        let path = format!("role.{}", role.spec.name);
        tier(spec, role, &path, findings);
        priorities(role, &path, findings);
        if spec.network.admin_cidrs.is_empty() {
            let stated = role.spec.ports.iter().position(|port| port.from == PortFrom::Admin);
            if let Some(index) = stated {
                let message = "a port is open to `admin`, but network.admin_cidrs is empty";
                findings.push(Finding::new(Code::NoAdmin, format!("{path}.ports[{index}].from"), message));
            } else if role.spec.univrs.is_some() {
                let message = "nobody can reach SSH and the API: network.admin_cidrs is empty";
                findings.push(Finding::new(Code::NoAdmin, format!("{path}.univrs"), message));
            }
        }
    }
}

/// Two rules of one priority would be in no order.
fn priorities(role: &Role, path: &str, findings: &mut Findings) {
    let ports = &role.spec.ports;
    for (index, port) in ports.iter().enumerate() {
        let same = |other: &PortSpec| port.priority.is_some() && other.priority == port.priority;
        if ports[..index].iter().any(same) {
            let message = "another port of the role has this priority";
            findings.push(Finding::new(Code::BadValue, format!("{path}.ports[{index}].priority"), message));
        }
    }
}

fn tier(spec: &Spec, role: &Role, path: &str, findings: &mut Findings) {
    let Some(tier) = &role.spec.tier else { return };
    let mut known: Vec<&str> = spec.network.subnets.iter().map(|tier| tier.name.as_str()).collect();
    if known.is_empty() {
        known = crate::plan::address::USUAL_TIERS.iter().map(|(name, _)| *name).collect();
    }
    if known.contains(&tier.as_str()) {
        return;
    }
    let hint = nearest(tier, known.iter().copied())
        .map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
    let message = format!("there is no kind of subnet `{}`", super::clip(tier));
    findings.push(Finding::new(Code::UnknownTier, format!("{path}.tier"), message).hint(hint));
}
