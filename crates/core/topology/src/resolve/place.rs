//! Which regions a role or service takes, how many machines each gets, and the texts that are filled in.

use std::collections::BTreeMap;

use univrs_model::decode::nearest;

use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::placeholder::{self, Scope};
use crate::spec::{Per, RoleSpec, Selector, Spec};
use crate::topology::{Placement, Region};

/// Indices of the regions that `at` takes and `except` leaves.
pub(super) fn eligible(
    regions: &[Region],
    at: &[Selector],
    except: &[Selector],
    path: &str,
    findings: &mut Findings,
) -> Vec<usize> {
    let before = findings.len();
    for (key, selectors) in [("at", at), ("except", except)] {
        for selector in selectors {
            if !regions.iter().any(|region| selector.takes(&region.id)) {
                unused(selector, regions, format!("{path}.{key}"), findings);
            }
        }
    }
    let eligible: Vec<usize> = (0..regions.len())
        .filter(|index| {
            let id = &regions[*index].id;
            (at.is_empty() || at.iter().any(|selector| selector.takes(id)))
                && !except.iter().any(|selector| selector.takes(id))
        })
        .collect();
    // What names something unknown has been told so, and leaves nothing for that reason.
    if eligible.is_empty() && !regions.is_empty() && findings.len() == before {
        findings.push(Finding::new(Code::Nowhere, path, "`at` and `except` leave no region"));
    }
    eligible
}

/// Says that `selector` is not part of the topology.
pub(super) fn unused(selector: &Selector, regions: &[Region], path: String, findings: &mut Findings) {
    let text = selector.to_string();
    let names: Vec<String> = match selector {
        Selector::Cloud(_) => regions.iter().map(|region| region.id.cloud.to_string()).collect(),
        Selector::Region(_) => regions.iter().map(|region| region.id.to_string()).collect(),
    };
    let hint = nearest(&text, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
    let message = format!("{} is not part of this topology", super::clip(&text));
    findings.push(Finding::new(Code::UnusedSelector, path, message).maybe_hint(hint));
}

/// How many machines of `role` each of the eligible regions gets: evenly, the first ones one more.
pub(super) fn placements(role: &RoleSpec, regions: &[Region], eligible: &[usize]) -> Vec<Placement> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, region) in eligible.iter().enumerate() {
        let group = match role.per {
            Per::Region => position,
            Per::Cloud => regions[*region].id.cloud as usize,
            Per::Total => 0,
        };
        groups.entry(group).or_default().push(*region);
    }
    let mut placements = Vec::new();
    for members in groups.into_values() {
        let among = u32::try_from(members.len()).unwrap_or(u32::MAX);
        for (position, region) in (0u32..).zip(members) {
            let share = |number: u32| number / among + u32::from(position < number % among);
            let count = share(role.count);
            let bounds = role.autoscale.map(|scale| (share(scale.min), share(scale.max)));
            if count > 0 || bounds.is_some_and(|(_, most)| most > 0) {
                placements.push(Placement { region, count, bounds, machine: None, facts: None });
            }
        }
    }
    placements.sort_by_key(|placement| placement.region);
    placements
}

/// Fills a name of something at the provider.
pub(super) fn fill_name(spec: &Spec, template: &str, path: &str, findings: &mut Findings) -> String {
    check(template, Scope::Name, path, findings);
    placeholder::fill(template, |key| match key {
        "name" => Some(spec.name.to_string()),
        "environment" => Some(spec.environment.to_string()),
        _ => None,
    })
}

/// Says which placeholders of `template` are not known.
pub(super) fn check(template: &str, scope: Scope, path: &str, findings: &mut Findings) {
    for unknown in placeholder::unknown(template, scope) {
        let hint = match nearest(&unknown, scope.known().iter().copied()) {
            Some(near) => format!("did you mean `{{{near}}}`?"),
            None => format!("known here: {}", scope.known().join(", ")),
        };
        let message = format!("`{{{}}}` is not known", super::clip(&unknown));
        findings.push(Finding::new(Code::UnknownPlaceholder, path, message).hint(hint));
    }
}

/// Most machines of a role that names its peers in the environment.
const MOST_PEERS: u32 = 500;

/// Checks the environment of a role's container.
pub(super) fn check_placeholders(
    role: &RoleSpec,
    placements: &[Placement],
    path: &str,
    findings: &mut Findings,
) {
    let count: u32 = placements.iter().map(|placement| placement.count).sum();
    for (key, template) in &role.env {
        let path = format!("{path}.env.{key}");
        check(template, Scope::Environment, &path, findings);
        if count > MOST_PEERS && template.contains("{peers:") {
            let message = format!("{count} machines cannot each be told all others; {MOST_PEERS} can");
            findings
                .push(Finding::new(Code::TooManyPeers, path, message).hint("name a few of them as seeds"));
        }
    }
}
