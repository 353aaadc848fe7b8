//! Recovery times: against the availability, against how names move, and against what is set up.

use univrs_model::span::Span;
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::spec::{HealthSpec, Objectives, Replication, ServiceKind};
use univrs_topology::topology::{Service, Topology};

/// Milliseconds of a year of 365.25 days.
const YEAR_MILLIS: u64 = 31_557_600_000;

/// Stated recovery times, smallest failure first.
fn stated(objectives: &Objectives) -> Vec<(&'static str, Span)> {
    let rto = objectives.rto;
    let all = [("node", rto.node), ("zone", rto.zone), ("region", rto.region), ("cloud", rto.cloud)];
    all.into_iter().filter_map(|(unit, span)| Some((unit, span?))).collect()
}

/// Checks `objectives.rto` and `objectives.availability`.
pub(super) fn check(topology: &Topology, findings: &mut Findings) {
    let objectives = &topology.spec.objectives;
    availability(objectives, findings);
    cutover(topology, findings);
    remains(topology, findings);
    databases(topology, findings);
}

/// Minutes with one digit.
fn minutes(millis: u64) -> String {
    let tenths = (millis + 3000) / 6000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn availability(objectives: &Objectives, findings: &mut Findings) {
    let Some(availability) = objectives.availability else { return };
    let budget = u64::from(1_000_000u32.saturating_sub(availability)) * (YEAR_MILLIS / 1_000_000);
    let percent = f64::from(availability) / 1e4;
    for (unit, rto) in stated(objectives).into_iter().filter(|(_, rto)| rto.as_millis() > budget) {
        let part = match (rto.as_millis() * 100).checked_div(budget) {
            Some(part) => format!("{part} %"),
            None => "more than all".to_owned(),
        };
        let message = format!(
            "{percent} % leave {} minutes of outage a year; one loss of a {unit} may take {} and uses {part} of that",
            minutes(budget),
            rto
        );
        let path = format!("objectives.rto.{unit}");
        let hint =
            format!("recover within {} minutes, or state the availability that follows", minutes(budget));
        findings.push(Finding::new(Code::RtoAvailability, path, message).hint(hint));
    }
}

/// How the health of places that names point to is asked: as stated for names, or by the load balancer.
fn health(topology: &Topology) -> HealthSpec {
    let traffic = &topology.spec.traffic;
    let balancer = topology.services.iter().find(|service| service.spec.kind == ServiceKind::LoadBalancer);
    let health = traffic.health.clone().or_else(|| balancer.and_then(|service| service.spec.health.clone()));
    health.unwrap_or_default()
}

/// Names have to move when a region or cloud is lost.
fn cutover(topology: &Topology, findings: &mut Findings) {
    let traffic = &topology.spec.traffic;
    let Some(dns) = &traffic.dns else { return };
    let losses = stated(&topology.spec.objectives);
    let Some((unit, rto)) = losses
        .into_iter()
        .filter(|(unit, _)| matches!(*unit, "region" | "cloud"))
        .min_by_key(|(_, rto)| *rto)
    else {
        return;
    };
    if topology.regions.len() < 2 {
        return;
    }
    if !traffic.health_adjusted {
        let message = format!("names keep pointing to a lost {unit}: health checks do not steer them");
        let finding = Finding::new(Code::DnsCutover, "traffic.dns", message);
        findings.push(finding.hint("write traffic.health_adjusted = true"));
        return;
    }
    let health = health(topology);
    let noticed = health.interval.as_millis() * u64::from(health.unhealthy) + health.timeout.as_millis();
    let moved = Span::millis(noticed + dns.ttl.as_millis());
    let told = format!(
        "a lost {unit} is noticed after {} ({} × {} + {}) and answers are kept for {}: {moved} in all",
        Span::millis(noticed),
        health.unhealthy,
        health.interval,
        health.timeout,
        dns.ttl
    );
    if moved > rto {
        let finding = Finding::new(Code::DnsCutover, "traffic.dns.ttl", format!("{told}, not {rto}"));
        findings.push(finding.hint("shorten `ttl`, or the `interval` of the health checks"));
    } else {
        findings.push(Finding::new(Code::NamesMove, "traffic.dns.ttl", told));
    }
}

/// Something must be left that could take over.
fn remains(topology: &Topology, findings: &mut Findings) {
    let rto = topology.spec.objectives.rto;
    let machines = topology.roles.iter().any(|role| role.count() > 0);
    let mut tell = |unit: &str, many: usize| {
        if many == 1 && machines {
            let message =
                format!("there is only one {unit}: when it is lost, nothing is left that could take over");
            let finding = Finding::new(Code::RtoUnreachable, format!("objectives.rto.{unit}"), message);
            findings.push(finding.hint(format!("add a {unit}, or leave the objective out")));
        }
    };
    if rto.cloud.is_some() {
        tell("cloud", topology.clouds().len());
    }
    if rto.region.is_some() {
        tell("region", topology.regions.len());
    }
}

/// Whether the loss of a region leaves a copy of a database elsewhere.
pub(super) fn is_copied(service: &Service) -> bool {
    matches!(
        service.spec.replication,
        Some(Replication::Regions | Replication::Synchronous | Replication::Asynchronous)
    )
}

fn databases(topology: &Topology, findings: &mut Findings) {
    let rto = topology.spec.objectives.rto;
    for service in topology.services.iter().filter(|service| service.spec.kind == ServiceKind::Postgres) {
        let name = &service.spec.name;
        if service.spec.high_availability {
            let regions = service.regions.iter().map(|index| &topology.regions[*index]);
            let single: Vec<String> = regions
                .filter(|region| region.zones.len() == 1)
                .map(|region| region.id.to_string())
                .collect();
            if !single.is_empty() {
                let message =
                    format!("the second copy of `{name}` is in the only zone of {}", single.join(", "));
                let path = format!("service.{name}.high_availability");
                findings.push(Finding::new(Code::NoZones, path, message));
            }
        } else if let Some((unit, rto)) =
            [("node", rto.node), ("zone", rto.zone)].into_iter().find_map(|(unit, rto)| Some((unit, rto?)))
        {
            let message = format!(
                "`{name}` has no second copy in its region: after the loss of its {unit} it is restored from a backup, which takes longer the more there is; {rto} cannot be promised"
            );
            let finding = Finding::new(Code::RtoUnreachable, format!("objectives.rto.{unit}"), message);
            findings.push(finding.hint(format!("write service.{name}.high_availability = true")));
        }
        let wide = [("region", rto.region), ("cloud", rto.cloud)];
        let wide = wide.into_iter().find_map(|(unit, rto)| Some((unit, rto?)));
        if let (Some((unit, rto)), false) = (wide, is_copied(service)) {
            let message = format!(
                "`{name}` has its data in one region: after the loss of the {unit} it is restored elsewhere from a backup, which has to be copied there before; {rto} cannot be promised"
            );
            let finding = Finding::new(Code::RtoUnreachable, format!("objectives.rto.{unit}"), message);
            findings.push(finding.hint(format!("write service.{name}.replication = \"async\"")));
        }
    }
}
