//! Which machine type a role has in a region, and whether there is such a type.

use std::collections::{BTreeMap, BTreeSet};

use super::provider::can_be_machine;
use crate::catalogue::{Catalogue, Machine, MachineFacts};
use crate::cloud::{Cloud, RegionId};
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{Host, Purchase, RoleSpec};
use crate::topology::{Placement, Region};

/// The machine type of `role` in `region`, and what is known of it.
///
/// Where the file names none, the cheapest known one that has the stated size is taken.
pub(super) fn choose(
    role: &RoleSpec,
    region: &RegionId,
    catalogue: &dyn Catalogue,
) -> (Option<String>, Option<MachineFacts>) {
    if role.host == Host::ContainerGroup {
        return (None, None);
    }
    let named = role.machine.get(&region.cloud).cloned();
    let machine = named.or_else(|| {
        let size = role.size?;
        catalogue
            .fitting_machine(region, size.vcpu.unwrap_or_default(), size.memory.unwrap_or_default())
            .map(str::to_owned)
    });
    let facts = machine.as_deref().and_then(|machine| match catalogue.machine(region, machine) {
        Machine::Here(facts) | Machine::Elsewhere(facts) => Some(facts),
        Machine::Unknown | Machine::NoData => None,
    });
    (machine, facts)
}

/// Regions a message lists at the most.
const MOST_LISTED: usize = 8;

/// The first of some regions, and how many more there are.
fn some(regions: &[&RegionId]) -> String {
    let mut listed: Vec<String> = regions.iter().take(MOST_LISTED).map(ToString::to_string).collect();
    if regions.len() > MOST_LISTED {
        listed.push(format!("{} more", regions.len() - MOST_LISTED));
    }
    listed.join(", ")
}

/// Says what is wrong with the machine types of a role, each once.
pub(super) fn check(
    role: &RoleSpec,
    placements: &[Placement],
    regions: &[Region],
    catalogue: &dyn Catalogue,
    path: &str,
    findings: &mut Findings,
) {
    let mut told: BTreeSet<Cloud> = BTreeSet::new();
    let mut unpriced: BTreeMap<Cloud, Vec<&RegionId>> = BTreeMap::new();
    for placement in placements {
        let region = &regions[placement.region].id;
        let cloud = region.cloud;
        if role.host == Host::ContainerGroup {
            let path = format!("{path}.host");
            if cloud != Cloud::Azure && !findings.has(Code::NoContainerService, &path) {
                let message = format!("{cloud} has no container groups");
                let finding = Finding::new(Code::NoContainerService, path, message);
                findings.push(finding.hint("write host = \"machine\""));
            }
            continue;
        }
        let Some(machine) = &placement.machine else {
            if told.insert(cloud) {
                let message =
                    format!("`{}` is placed in {cloud}, for which no machine type is named", role.name);
                let finding = Finding::new(Code::MissingMachine, format!("{path}.machine"), message);
                findings.push(finding.hint(format!("add {cloud} = \"…\" to machine")));
            }
            continue;
        };
        if told.contains(&cloud) {
            continue;
        }
        let path = format!("{path}.machine.{cloud}");
        let shown = super::clip(machine);
        match catalogue.machine(region, machine) {
            Machine::Here(_) => {}
            Machine::NoData if can_be_machine(cloud, machine) => {}
            Machine::Elsewhere(_) => unpriced.entry(cloud).or_default().push(region),
            Machine::Unknown | Machine::NoData => {
                told.insert(cloud);
                let near = catalogue.near_machine(cloud, machine);
                if near.is_none() && can_be_machine(cloud, machine) {
                    let message = format!("{shown} is in no price list of {cloud}");
                    findings.push(Finding::new(Code::UnpricedMachine, path, message));
                } else {
                    let hint = near.map(|near| format!("did you mean `{near}`?"));
                    let message = format!("{cloud} has no machine type `{shown}`");
                    findings.push(Finding::new(Code::UnknownMachine, path, message).maybe_hint(hint));
                }
            }
        }
    }
    for (cloud, regions) in unpriced {
        let machine = role.machine.get(&cloud).map_or_else(String::new, |machine| super::clip(machine));
        let message = format!("{machine} has no known price in {}", some(&regions));
        let path = format!("{path}.machine.{cloud}");
        findings.push(Finding::new(Code::UnpricedMachine, path, message));
    }
    if role.host == Host::ContainerGroup && role.container.is_none() {
        let message = "a container group needs a container";
        let finding = Finding::new(Code::MissingContainer, format!("{path}.container"), message);
        findings.push(finding.hint("add container = { image = \"…\" }"));
    }
    if role.votes() && role.purchase == Purchase::Spot {
        let message = format!("machines of `{}` may vote and may be taken away", role.name);
        let finding = Finding::new(Code::SpotVoter, format!("{path}.purchase"), message);
        findings.push(finding.hint("write purchase = \"on-demand\""));
    }
    if let Some(scale) = role.autoscale
        && scale.min <= scale.max
        && !(scale.min..=scale.max).contains(&role.count)
    {
        let message = format!("{} is not within {} to {} of `autoscale`", role.count, scale.min, scale.max);
        findings.push(Finding::new(Code::OutOfRange, format!("{path}.count"), message));
    }
}
