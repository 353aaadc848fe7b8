//! Gives every name in a spec its meaning, or says that it has none.

mod machine;
mod place;
mod provider;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::decode::nearest;

use crate::catalogue::Catalogue;
use crate::cloud::Cloud;
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{Per, Selector, ServiceKind, Spec};
use crate::topology::{Link, Region, Role, Service, Topology};

pub use provider::{zone_names, zones};

/// Most regions of a topology: each has a place of its own in the address plan.
pub const MOST_REGIONS: usize = 250;
/// Most machines of a topology, every group at its largest.
pub const MOST_MACHINES: u64 = 100_000;

/// What could be resolved, and what could not.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The topology; only to be planned when there are no errors.
    pub topology: Topology,
    /// Everything found wrong.
    pub findings: Findings,
}

/// Resolves the names of `spec` with what `catalogue` knows.
pub fn resolve(spec: Spec, catalogue: &dyn Catalogue) -> Resolved {
    let mut findings = Findings::default();
    let regions = regions(&spec, catalogue, &mut findings);
    let services = services(&spec, &regions, &mut findings);
    let roles = roles(&spec, &regions, &services, catalogue, &mut findings);
    let links = links(&spec, &regions, &mut findings);
    let weights = rules::weights(&spec, &regions, &mut findings);
    rules::check(&spec, &roles, &mut findings);
    Resolved { topology: Topology { spec, regions, roles, services, links, weights }, findings }
}

fn regions(spec: &Spec, catalogue: &dyn Catalogue, findings: &mut Findings) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    let mut seen = BTreeSet::new();
    if spec.regions.is_empty() {
        let finding = Finding::new(Code::NoRegions, "region", "there is no region");
        findings.push(finding.hint("add [[region]] with cloud = \"…\" and name = \"…\""));
    }
    if spec.regions.len() > MOST_REGIONS {
        let message = format!("{} regions are more than {MOST_REGIONS}", spec.regions.len());
        findings.push(Finding::new(Code::TooManyRegions, "region", message));
    }
    for region in spec.regions.iter().take(MOST_REGIONS) {
        let id = &region.id;
        if !id.cloud.has_regions() {
            let message = format!("{} serves names only and has no regions", id.cloud);
            findings.push(Finding::new(Code::UnknownCloud, format!("{}.cloud", region.path), message));
            continue;
        }
        let Some(facts) = catalogue.region(id) else {
            let known = catalogue.regions(id.cloud);
            let hint = nearest(&id.name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let message = format!("{} has no region `{}`", id.cloud, clip(&id.name));
            let path = format!("{}.name", region.path);
            findings.push(Finding::new(Code::UnknownRegion, path, message).maybe_hint(hint));
            continue;
        };
        if !seen.insert(id) {
            let message = format!("{id} is listed twice");
            findings.push(Finding::new(Code::DuplicateRegion, region.path.clone(), message));
            continue;
        }
        let names = region.names.iter().map(|(key, template)| {
            let path = format!("{}.names.{key}", region.path);
            (key.clone(), place::fill_name(spec, template, &path, findings))
        });
        let names: BTreeMap<String, String> = names.collect();
        regions.push(Region {
            id: id.clone(),
            cidr: region.cidr,
            zones: provider::zones(region, facts, findings),
            at: facts.at,
            names,
            account: region.account.clone(),
        });
    }
    regions
}

fn services(spec: &Spec, regions: &[Region], findings: &mut Findings) -> Vec<Service> {
    let mut services = Vec::new();
    for service in &spec.services {
        let path = format!("service.{}", service.name);
        let eligible = place::eligible(regions, &service.at, &service.except, &path, findings);
        let mut clouds: Vec<Cloud> = Vec::new();
        let mut chosen = Vec::new();
        for region in eligible {
            let cloud = regions[region].id.cloud;
            let first = !clouds.contains(&cloud);
            if first {
                clouds.push(cloud);
                if !provider::offers(cloud, service.kind) {
                    let message = format!("{cloud} offers no {}", provider::kind_name(service.kind));
                    let hint = format!("add except = [\"{cloud}\"] to [service.{}]", service.name);
                    findings.push(Finding::new(Code::ServiceUnavailable, path.clone(), message).hint(hint));
                }
            }
            let wanted = match service.per {
                Per::Region => true,
                Per::Cloud => first,
                Per::Total => chosen.is_empty(),
            };
            if wanted {
                chosen.push(region);
            }
        }
        if let Some(target) = &service.target
            && service.kind == ServiceKind::LoadBalancer
        {
            rules::known_role(spec, target, format!("{path}.for"), findings);
        }
        services.push(Service { spec: service.clone(), regions: chosen });
    }
    services
}

fn roles(
    spec: &Spec,
    regions: &[Region],
    services: &[Service],
    catalogue: &dyn Catalogue,
    findings: &mut Findings,
) -> Vec<Role> {
    let mut roles = Vec::new();
    let mut machines = 0u64;
    for role in &spec.roles {
        let path = format!("role.{}", role.name);
        let eligible = place::eligible(regions, &role.at, &role.except, &path, findings);
        let mut placements = place::placements(role, regions, &eligible);
        let largest: u64 = placements
            .iter()
            .map(|p| u64::from(p.bounds.map_or(p.count, |(_, most)| most.max(p.count))))
            .sum();
        machines += largest;
        for placement in &mut placements {
            let region = &regions[placement.region].id;
            (placement.machine, placement.facts) = machine::choose(role, region, catalogue);
        }
        machine::check(role, &placements, regions, catalogue, &path, findings);
        place::check_placeholders(role, &placements, &path, findings);
        let behind = services
            .iter()
            .find(|service| {
                service.spec.kind == ServiceKind::LoadBalancer
                    && service.spec.target.as_deref() == Some(role.name.as_str())
            })
            .map(|service| service.spec.name.clone());
        roles.push(Role { spec: role.clone(), placements, behind });
    }
    if machines > MOST_MACHINES {
        let message = format!("{machines} machines are more than {MOST_MACHINES}");
        findings.push(Finding::new(Code::TooManyMachines, "role", message));
        // Nothing of that size is worth planning, and a slip should not cost memory.
        roles.iter_mut().for_each(|role| role.placements.clear());
    }
    roles
}

fn links(spec: &Spec, regions: &[Region], findings: &mut Findings) -> Vec<Link> {
    let mut links = Vec::new();
    let mut seen = BTreeSet::new();
    for link in &spec.links {
        let path = format!("{}.between", link.path);
        let ends = [&link.between.0, &link.between.1].map(|id| {
            let index = regions.iter().position(|region| region.id == *id);
            if index.is_none() {
                place::unused(&Selector::Region(id.clone()), regions, path.clone(), findings);
            }
            index
        });
        let [Some(first), Some(second)] = ends else { continue };
        let fault = match link.same_cloud() {
            _ if first == second => Some("a link needs two different regions".to_owned()),
            _ if !seen.insert((first.min(second), first.max(second))) => {
                Some("these two regions are linked already".to_owned())
            }
            None if link.kind == crate::spec::LinkKind::Peering => Some(format!(
                "{} and {} are of two clouds and cannot be peered",
                link.between.0, link.between.1
            )),
            _ => None,
        };
        match fault {
            Some(message) => {
                let finding = Finding::new(Code::BadLink, path, message);
                findings.push(finding.hint("between clouds write kind = \"vpn\""));
            }
            None => links.push(Link { kind: link.kind, between: (first, second), tunnels: link.tunnels }),
        }
    }
    links
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
