//! How machines find those they join, across roots.
//!
//! The region of the machine that starts the cluster reads nobody's state; every other root reads that one region's.
//! So the roots have an order: that region first, all others after it, the shared ones last.

use univrs_topology::cloud::{Cloud, RegionId};
use univrs_topology::plan::{Machine, Plan, Seed};

use crate::site::{Site, root_of};
use crate::tf::{Expr, Ref, Root, Section, Value, key};

/// Output of a region's root: `host:port` of its machines that others ask to join, joined by commas.
const OUTPUT: &str = "seeds";

/// The region whose root is applied first.
pub(crate) fn first_region(plan: &Plan) -> Option<&RegionId> {
    plan.machines()
        .find(|machine| machine.bootstrap)
        .map(|machine| &machine.region)
        .or_else(|| plan.seeds.first().map(|seed| &seed.region))
}

/// Whom a machine of the region asks, joined by commas.
pub(crate) fn join_hosts(site: Site<'_>, root: &mut Root) -> Expr {
    let mut hosts: Vec<String> = own_seeds(site).filter_map(|seed| own_host(site, seed)).collect();
    if let Some(first) = first_region(site.plan).filter(|first| **first != site.region.id) {
        let state = root.remote(Section::Machines, &root_of(first), OUTPUT);
        hosts.insert(0, state.text().to_owned());
    }
    match hosts.as_slice() {
        [one] => Expr::new(one),
        several => Expr::new(format!("join(\",\", [{}])", several.join(", "))),
    }
}

/// Seeds of the region with an address of their own.
fn own_seeds(site: Site<'_>) -> impl Iterator<Item = &Seed> {
    site.plan.seeds.iter().filter(move |seed| seed.region == site.region.id && site.stands(&seed.machine))
}

/// A seed of the machine's own region, as an expression.
fn own_host(site: Site<'_>, seed: &Seed) -> Option<String> {
    if site.region.cloud != Cloud::DigitalOcean {
        return Some(format!("\"{}:{}\"", seed.address, seed.port));
    }
    // Its addresses are known only once the machines are there, so only the machine that asks nobody can be asked.
    let first = site.region.machines.iter().any(|machine| machine.bootstrap && machine.name == seed.machine);
    let address = Ref::to("digitalocean_droplet", key(&seed.machine)).attr("ipv4_address_private");
    first.then(|| format!("\"${{{}}}:{}\"", address.text(), seed.port))
}

/// Shows the region's seeds with the address of each, as its provider gives it.
///
/// Where none of them has a public address, the region's gateway is shown too: before there is a mesh, machines of
/// other regions reach nothing else here.
pub(crate) fn publish(site: Site<'_>, root: &mut Root, public_address: impl Fn(&str) -> Option<Expr>) {
    // Droplets are given private addresses of their own; the public one is the one that is sure.
    let is_public = |public: bool| public || site.region.cloud == Cloud::DigitalOcean;
    let mut hosts: Vec<(&str, String, bool, u16)> = own_seeds(site)
        .map(|seed| (seed.machine.as_str(), seed.address.to_string(), is_public(seed.public_ip), seed.port))
        .collect();
    let Some((_, _, _, port)) = hosts.first().cloned() else { return };
    if !hosts.iter().any(|(_, _, public, _)| *public) {
        let joins = |machine: &&Machine| site.group_of(machine).is_some_and(|group| group.join.is_some());
        let gateway =
            site.region.machines.iter().find(|machine| machine.gateway && machine.public_ip).filter(joins);
        let gateway = gateway.filter(|gateway| site.stands(&gateway.name));
        hosts.extend(gateway.map(|gateway| (gateway.name.as_str(), gateway.address.to_string(), true, port)));
    }
    let mut pieces = Vec::new();
    for (machine, private, public, port) in hosts {
        if !pieces.is_empty() {
            pieces.push(",".into());
        }
        match public_address(machine).filter(|_| public) {
            Some(address) => pieces.push(address.into()),
            None => pieces.push(private.into()),
        }
        pieces.push(format!(":{port}").into());
    }
    root.output(OUTPUT, "Machines others ask to join.", Value::join(pieces));
}

/// Values the file asks to be shown, for the machines that start the cluster.
pub(crate) fn stated_outputs(site: Site<'_>, root: &mut Root, public_address: impl Fn(&str) -> Option<Expr>) {
    let hosts: Vec<&Seed> = own_seeds(site).collect();
    for (name, pattern) in &site.plan.outputs {
        let values: Vec<Value> = hosts
            .iter()
            .filter_map(|seed| Some(filled(pattern, seed, &public_address(&seed.machine)?)))
            .collect();
        if !values.is_empty() {
            root.output(name, "As the topology file states it.", Value::List(values));
        }
    }
}

fn filled(pattern: &str, seed: &Seed, public_address: &Expr) -> Value {
    let text = pattern
        .replace("{name}", &seed.machine)
        .replace("{region}", &seed.region.name)
        .replace("{cloud}", seed.region.cloud.as_str())
        .replace("{private_ip}", &seed.address.to_string());
    let mut pieces = Vec::new();
    for (index, part) in text.split("{public_ip}").enumerate() {
        if index > 0 {
            pieces.push(public_address.clone().into());
        }
        if !part.is_empty() {
            pieces.push(part.into());
        }
    }
    Value::join(pieces)
}
