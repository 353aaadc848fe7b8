//! Names, weights and health checks, and the weights that are left after a failure.

use super::build::Context;
use super::label::label;
use super::machines::applies;
use super::weights::apportion;
use super::{DnsPlan, FailureWeights, HealthCheck, Record, RecordTarget, RegionPlan, TargetWeight};
use crate::cloud::{Cloud, RegionId};
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{HealthSpec, PortFrom, Selector};

/// Where no load balancer stands, so many machines of each region are named: an answer should stay small.
const MOST_MACHINES: usize = 8;

/// Something a name can point to.
struct Endpoint {
    region: RegionId,
    target: RecordTarget,
    /// Whether the provider gives a name for it instead of an address.
    named: bool,
    port: u16,
    health: Option<HealthSpec>,
}

/// The names of a topology; nothing when it wants none or has nothing to point to.
pub(super) fn plan(
    context: &Context<'_>,
    regions: &[RegionPlan],
    findings: &mut Findings,
) -> Option<DnsPlan> {
    let traffic = &context.topology.spec.traffic;
    let spec = traffic.dns.as_ref()?;
    let endpoints: Vec<Endpoint> = regions.iter().flat_map(|region| endpoints(context, region)).collect();
    if endpoints.is_empty() {
        let message = "no load balancer and no public machine with a port from the internet exists";
        findings.push(Finding::new(Code::NoEndpoint, "traffic.dns", message));
        return None;
    }
    let weights = share(context, &endpoints, findings);
    let checks: Vec<HealthCheck> = match traffic.health_adjusted {
        true => endpoints.iter().map(|endpoint| check(context, endpoint)).collect(),
        false => Vec::new(),
    };
    let records = endpoints.iter().zip(&weights).enumerate().map(|(index, (endpoint, weight))| Record {
        name: spec.name.clone(),
        kind: if endpoint.named { "CNAME" } else { "A" }.to_owned(),
        region: endpoint.region.clone(),
        target: endpoint.target.clone(),
        weight: *weight,
        health_check: checks.get(index).map(|check| check.name.clone()),
    });
    let fqdn = if spec.name == "@" { spec.zone.clone() } else { format!("{}.{}", spec.name, spec.zone) };
    Some(DnsPlan {
        provider: spec.provider,
        zone: spec.zone.clone(),
        fqdn,
        ttl: spec.ttl,
        health_adjusted: traffic.health_adjusted,
        records: records.collect(),
        failures: failures(&endpoints, &weights),
        health_checks: checks,
    })
}

fn endpoints(context: &Context<'_>, region: &RegionPlan) -> Vec<Endpoint> {
    let balancers: Vec<Endpoint> = region
        .load_balancers
        .iter()
        .map(|balancer| Endpoint {
            region: region.id.clone(),
            target: RecordTarget::LoadBalancer(balancer.name.clone()),
            // Load balancers of AWS have a name, the others an address.
            named: region.cloud == Cloud::Aws,
            port: balancer.ports.first().map_or(443, |(port, _)| *port),
            health: Some(balancer.health.clone()),
        })
        .collect();
    if !balancers.is_empty() {
        return balancers;
    }
    let port = |role: &str| {
        let role = &context.topology.role(role)?.spec;
        let mut ports = role.ports.iter().filter(|port| applies(port, role.host));
        ports.find(|port| port.from == PortFrom::Internet).map(|port| port.port)
    };
    let public = region.machines.iter().filter(|machine| machine.public_ip);
    let machines = public.filter_map(|machine| Some((machine, port(machine.role.as_str())?)));
    let machines = machines.take(MOST_MACHINES).map(|(machine, port)| Endpoint {
        region: region.id.clone(),
        target: RecordTarget::Machine(machine.name.clone()),
        named: false,
        port,
        health: None,
    });
    machines.collect()
}

/// The weight of each endpoint; they sum to 100.
///
/// A stated weight is divided evenly over the regions it is for, and a region's over its endpoints. What is stated
/// for a place without endpoints is shared by the others in proportion.
fn share(context: &Context<'_>, endpoints: &[Endpoint], findings: &mut Findings) -> Vec<u32> {
    let stated = &context.topology.weights;
    let all;
    let selectors: &[(Selector, u32)] = if stated.is_empty() {
        let clouds = context.topology.clouds().into_iter();
        all = clouds.map(|cloud| (Selector::Cloud(cloud), 1)).collect::<Vec<_>>();
        &all
    } else {
        stated
    };
    let reached = |selector: &Selector| endpoints.iter().any(|endpoint| selector.takes(&endpoint.region));
    for (selector, weight) in stated {
        if *weight > 0 && !reached(selector) {
            let message =
                format!("{selector} gets {weight} percent of the requests and has nothing to answer them");
            findings.push(Finding::new(Code::NoEndpoint, format!("traffic.weights.{selector}"), message));
        }
    }
    let selectors: Vec<&(Selector, u32)> =
        selectors.iter().filter(|(selector, _)| reached(selector)).collect();
    let totals = apportion(100, &selectors.iter().map(|(_, weight)| *weight).collect::<Vec<_>>());
    let mut weights = vec![0; endpoints.len()];
    for ((selector, _), total) in selectors.into_iter().zip(totals) {
        let mine: Vec<usize> =
            (0..endpoints.len()).filter(|i| selector.takes(&endpoints[*i].region)).collect();
        let by_region: Vec<&[usize]> =
            mine.chunk_by(|first, second| endpoints[*first].region == endpoints[*second].region).collect();
        for (members, part) in by_region.iter().zip(apportion(total, &vec![1; by_region.len()])) {
            for (index, weight) in members.iter().zip(apportion(part, &vec![1; members.len()])) {
                weights[*index] = weight;
            }
        }
    }
    weights
}

fn check(context: &Context<'_>, endpoint: &Endpoint) -> HealthCheck {
    let stated = context.topology.spec.traffic.health.clone();
    let health = stated.or_else(|| endpoint.health.clone()).unwrap_or_default();
    let target = match &endpoint.target {
        RecordTarget::LoadBalancer(name) => format!("{name}-{}", endpoint.region.label()),
        RecordTarget::Machine(name) => name.clone(),
    };
    HealthCheck {
        name: label(&["health", &target]),
        region: endpoint.region.clone(),
        target: endpoint.target.clone(),
        port: health.port.unwrap_or(endpoint.port),
        path: health.path,
        interval: health.interval,
        timeout: health.timeout,
        unhealthy: health.unhealthy,
        healthy: health.healthy,
    }
}

/// The weights after the loss of each cloud, then of each region, that has an endpoint.
fn failures(endpoints: &[Endpoint], weights: &[u32]) -> Vec<FailureWeights> {
    let mut lost: Vec<Selector> = Vec::new();
    for selector in endpoints.iter().map(|endpoint| Selector::Cloud(endpoint.region.cloud)) {
        if !lost.contains(&selector) {
            lost.push(selector);
        }
    }
    for selector in endpoints.iter().map(|endpoint| Selector::Region(endpoint.region.clone())) {
        if !lost.contains(&selector) {
            lost.push(selector);
        }
    }
    let after = |lost: Selector| {
        let left: Vec<usize> = (0..endpoints.len()).filter(|i| !lost.takes(&endpoints[*i].region)).collect();
        let shares = apportion(100, &left.iter().map(|index| weights[*index]).collect::<Vec<_>>());
        let weights = left.iter().zip(shares).map(|(index, weight)| TargetWeight {
            region: endpoints[*index].region.clone(),
            target: endpoints[*index].target.clone(),
            weight,
        });
        FailureWeights { lost: lost.to_string(), weights: weights.collect() }
    };
    lost.into_iter().map(after).collect()
}
