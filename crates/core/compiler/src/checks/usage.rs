//! Amounts that the file does not state, and that are therefore in no sum.

use std::collections::BTreeMap;

use univrs_cost::estimate::{Estimate, Gap};
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::plan::Plan;

use crate::items::{Bill, spans_zones};

/// Says when traffic that leaves is not stated.
pub(super) fn check_egress(plan: &Plan, findings: &mut Findings) {
    if plan.machines().next().is_none() {
        return;
    }
    let stated = plan.egress.clone().unwrap_or_default();
    let clouds = plan.clouds.len();
    let shares_cloud = plan
        .regions
        .iter()
        .enumerate()
        .any(|(i, one)| plan.regions[..i].iter().any(|o| o.cloud == one.cloud));
    let kinds = [
        ("internet", "to the internet", true, stated.internet),
        ("between_clouds", "between clouds", clouds > 1, stated.between_clouds),
        ("between_regions", "between regions of a cloud", shares_cloud, stated.between_regions),
        ("between_zones", "between zones", plan.regions.iter().any(spans_zones), stated.between_zones),
    ];
    let missing: Vec<_> =
        kinds.into_iter().filter(|(_, _, happens, stated)| *happens && stated.is_none()).collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|(_, name, _, _)| *name).collect();
    let keys: Vec<String> = missing.iter().map(|(key, ..)| format!("{key} = …")).collect();
    let message = format!(
        "traffic {} is not stated and is in no sum; it is often the largest part of the bill",
        names.join(", ")
    );
    let hint = format!("add egress = {{ {} }} to [traffic], in GB a month", keys.join(", "));
    findings.push(Finding::new(Code::MissingEgress, "traffic.egress", message).hint(hint));
}

/// Lists what else has no stated amount.
pub(super) fn check_undeclared(bill: &Bill, estimate: &Estimate, findings: &mut Findings) {
    let mut parts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for resource in &estimate.resources {
        let path = bill.path(&resource.name);
        let open = resource.components.iter().filter(|component| component.gap == Some(Gap::Amount));
        for component in open.filter(|_| !path.starts_with("traffic.egress")) {
            *parts.entry((path, component.name.as_str())).or_default() += 1;
        }
    }
    if parts.is_empty() {
        return;
    }
    let listed: Vec<String> = parts
        .iter()
        .map(|((path, name), many)| {
            let times = if *many > 1 { format!(" ×{many}") } else { String::new() };
            format!("{name}{times} ({path})")
        })
        .collect();
    let message = format!("no amount is stated for {}", listed.join(", "));
    findings.push(Finding::new(Code::UndeclaredUsage, "", message));
}
