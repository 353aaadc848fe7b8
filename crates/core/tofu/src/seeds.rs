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
    let mut hosts: Vec<String> =
        standing_seeds(site).filter_map(|(seed, machine)| own_host(site, seed, machine)).collect();
    if let Some(first) = first_region(site.plan).filter(|first| **first != site.region.id) {
        let state = root.remote(Section::Machines, &root_of(first), OUTPUT);
        hosts.insert(0, state.text().to_owned());
    }
    match hosts.as_slice() {
        [one] => Expr::new(one),
        several => Expr::new(format!("join(\",\", [{}])", several.join(", "))),
    }
}

/// Seeds of the region that have a resource of their own, with their machines.
fn standing_seeds<'a>(site: Site<'a>) -> impl Iterator<Item = (&'a Seed, &'a Machine)> {
    let own = site.plan.seeds.iter().filter(move |seed| seed.region == site.region.id);
    own.filter_map(move |seed| Some((seed, site.standing(&seed.machine)?)))
}

/// A seed of the machine's own region, as an expression.
fn own_host(site: Site<'_>, seed: &Seed, machine: &Machine) -> Option<String> {
    if site.region.cloud != Cloud::DigitalOcean {
        return Some(format!("\"{}:{}\"", seed.address, seed.port));
    }
    // Its addresses are known only once the machines are there, so only the machine that asks nobody can be asked.
    let address = Ref::to("digitalocean_droplet", key(&seed.machine)).attr("ipv4_address_private");
    machine.bootstrap.then(|| format!("\"${{{}}}:{}\"", address.text(), seed.port))
}

/// Shows the region's seeds with the address of each, as its provider gives it.
///
/// Where none of them has a public address, the region's gateway is shown too: before there is a mesh, machines of
/// other regions reach nothing else here.
pub(crate) fn publish(site: Site<'_>, root: &mut Root, public_address: impl Fn(&Machine) -> Option<Expr>) {
    let mut hosts: Vec<(&Machine, u16)> =
        standing_seeds(site).map(|(seed, machine)| (machine, seed.port)).collect();
    let Some((_, port)) = hosts.first().copied() else { return };
    if !hosts.iter().any(|(machine, _)| is_public(site, machine)) {
        let joins = |machine: &Machine| site.group_of(machine).is_some_and(|group| group.join.is_some());
        let gateway = site.region.machines.iter().find(|machine| machine.gateway && machine.public_ip);
        hosts.extend(
            gateway.filter(|gateway| joins(gateway) && site.stands(gateway)).map(|gateway| (gateway, port)),
        );
    }
    let mut pieces = Vec::new();
    for (machine, port) in hosts {
        if !pieces.is_empty() {
            pieces.push(",".into());
        }
        match is_public(site, machine).then(|| public_address(machine)).flatten() {
            Some(address) => pieces.push(address.into()),
            None => pieces.push(machine.address.to_string().into()),
        }
        pieces.push(format!(":{port}").into());
    }
    root.output(OUTPUT, "Machines others ask to join.", Value::join(pieces));
}

/// Whether a machine is reached from outside its region. Droplets always are, and their private addresses are not
/// those of the plan.
fn is_public(site: Site<'_>, machine: &Machine) -> bool {
    machine.public_ip || site.region.cloud == Cloud::DigitalOcean
}

/// Values the file asks to be shown, for the machines others ask to join.
pub(crate) fn stated_outputs(
    site: Site<'_>,
    root: &mut Root,
    public_address: impl Fn(&Machine) -> Option<Expr>,
) {
    let hosts: Vec<(&Seed, &Machine)> = standing_seeds(site).collect();
    for (name, pattern) in &site.plan.outputs {
        let value = |(seed, machine): &(&Seed, &Machine)| {
            let address = is_public(site, machine).then(|| public_address(machine)).flatten();
            // A pattern with a public address says nothing of a machine that has none.
            let known = address.is_some() || !pattern.contains("{public_ip}");
            known.then(|| filled(pattern, seed, address.as_ref()))
        };
        let values: Vec<Value> = hosts.iter().filter_map(value).collect();
        if !values.is_empty() {
            root.output(name, "As the topology file states it.", Value::List(values));
        }
    }
}

fn filled(pattern: &str, seed: &Seed, public_address: Option<&Expr>) -> Value {
    let text = pattern
        .replace("{name}", &seed.machine)
        .replace("{region}", &seed.region.name)
        .replace("{cloud}", seed.region.cloud.as_str())
        .replace("{private_ip}", &seed.address.to_string());
    let mut pieces = Vec::new();
    for (index, part) in text.split("{public_ip}").enumerate() {
        if index > 0 {
            pieces.extend(public_address.cloned().map(Into::into));
        }
        if !part.is_empty() {
            pieces.push(part.into());
        }
    }
    Value::join(pieces)
}
