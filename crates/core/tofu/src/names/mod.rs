//! The name under which the topology is reached: one shared root that reads where the regions answer.

mod aws;
mod azure;
mod cloudflare;
mod gcp;

use univrs_topology::cloud::Cloud;
use univrs_topology::plan::{DnsPlan, HealthCheck, LoadBalancer, Machine, Plan, Record, RecordTarget};

use crate::emission::Gaps;
use crate::site::{Site, root_of};
use crate::tf::{Backend, Expr, Object, Root, Section, Value, key};

/// Folder of the root.
pub(crate) const ROOT: &str = "dns";

/// A record whose target exists, as the providers of names need it.
struct Target<'a> {
    /// Unique in the root.
    key: String,
    record: &'a Record,
    check: Option<&'a HealthCheck>,
    /// Its address or name, read from its region's state.
    address: Expr,
}

/// Shows where a region answers, for the root of names and for people.
pub(crate) fn publish(
    site: Site<'_>,
    root: &mut Root,
    balancer: impl Fn(&LoadBalancer) -> Option<Expr>,
    machine: impl Fn(&Machine) -> Option<Expr>,
) {
    let records = site.plan.dns.iter().flat_map(|dns| &dns.records);
    for record in records.filter(|record| record.region == site.region.id && exists(site, record)) {
        let address = match &record.target {
            RecordTarget::LoadBalancer(name) => {
                let found = site.region.load_balancers.iter().find(|balancer| balancer.name == *name);
                found.and_then(&balancer)
            }
            RecordTarget::Machine(name) => site.standing(name).and_then(&machine),
        };
        if let Some(address) = address {
            root.output(&output(record), "Where requests go.", address);
        }
    }
    let standing = site.region.machines.iter().filter(|known| site.stands(known));
    let addresses: Vec<(String, Value)> = standing
        .map(|known| {
            let public = known.public_ip.then(|| machine(known)).flatten();
            (known.name.clone(), public.map_or_else(|| known.address.to_string().into(), Value::from))
        })
        .collect();
    if !addresses.is_empty() {
        root.output(
            "addresses",
            "Where each machine is reached: its public address, or else its private one.",
            Value::map(addresses),
        );
    }
}

/// The root of names, when there is something to name.
pub(crate) fn emit(plan: &Plan, backend: Backend, gaps: &mut Gaps) -> Option<Root> {
    let dns = plan.dns.as_ref()?;
    let mut root = Root::new(ROOT, backend);
    let mut targets = Vec::new();
    for record in &dns.records {
        let site = Site { plan, region: plan.region(&record.region)? };
        if !exists(site, record) {
            gaps.add(
                site,
                &dns.fqdn,
                &format!("{} has no address that a record could point to", target_name(record)),
                "put a load balancer in front of the role",
            );
            continue;
        }
        let address = root.remote(Section::Names, &root_of(&record.region), &output(record));
        let check = record.health_check.as_ref();
        let check = dns.health_checks.iter().find(|known| Some(&known.name) == check);
        targets.push(Target {
            key: format!("{}_{}", key(&record.region.label()), target_key(record)),
            record,
            check,
            address,
        });
    }
    if targets.is_empty() {
        return None;
    }
    match dns.provider {
        Cloud::Cloudflare => cloudflare::emit(plan, dns, &targets, &mut root),
        Cloud::Aws => aws::emit(plan, dns, &targets, &mut root, gaps),
        Cloud::Azure => azure::emit(plan, dns, &targets, &mut root),
        Cloud::Gcp => gcp::emit(plan, dns, &targets, &mut root, gaps),
        Cloud::Oci | Cloud::Hetzner | Cloud::DigitalOcean => {
            let why = format!("names at {} are not emitted: it has no weights", dns.provider);
            gaps.everywhere(
                &dns.fqdn,
                &why,
                "use cloudflare, aws, azure or gcp under `traffic.dns.provider`",
            );
            return None;
        }
    }
    Some(root)
}

/// Whether something with an address of its own stands behind a record.
fn exists(site: Site<'_>, record: &Record) -> bool {
    match &record.target {
        RecordTarget::LoadBalancer(_) => site.region.cloud != Cloud::Oci,
        RecordTarget::Machine(name) => site.standing(name).is_some(),
    }
}

fn target_name(record: &Record) -> &str {
    match &record.target {
        RecordTarget::LoadBalancer(name) | RecordTarget::Machine(name) => name,
    }
}

fn target_key(record: &Record) -> String {
    match &record.target {
        RecordTarget::LoadBalancer(name) => format!("lb_{}", key(name)),
        RecordTarget::Machine(name) => format!("vm_{}", key(name)),
    }
}

fn output(record: &Record) -> String {
    format!("endpoint_{}", target_key(record))
}

/// A name of its own for each target: `target.name.zone`, of which the weighted name is then made.
///
/// A set of weighted records must be of one type, and targets are addresses at some providers and names at others.
fn own_name(dns: &DnsPlan, target: &Target<'_>) -> String {
    format!("{}.{}", target.key.replace('_', "-"), dns.fqdn)
}

/// Tags of what is shared.
fn tags(plan: &Plan) -> Value {
    let mut tags = plan.tags.clone();
    tags.insert("univrs-topology".to_owned(), plan.id.clone());
    tags.into()
}

/// `HTTPS`, `HTTP` or `TCP`.
fn protocol(check: &HealthCheck) -> &'static str {
    match check.path {
        None => "TCP",
        Some(_) if crate::balancer::scheme(check.port) == "https" => "HTTPS",
        Some(_) => "HTTP",
    }
}

/// An object of one key.
fn one(name: &str, value: impl Into<Value>) -> Object {
    Object::new().set(name, value)
}
