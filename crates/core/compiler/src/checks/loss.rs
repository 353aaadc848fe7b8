//! How much of the latest writes may be lost, against what copies there are.

use univrs_cost::PriceBook;
use univrs_model::span::Span;
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::spec::{Persistence, Replication, ServiceKind, Survive};
use univrs_topology::topology::{Service, Topology};

use super::latency;
use super::recovery::is_copied;
use crate::voters::Ballot;

/// Logs for point-in-time recovery reach the backup this often at AWS, Azure and Google.
const LOG_INTERVAL: Span = Span::seconds(300);
/// Backups without logs are taken once a day.
const BACKUP_INTERVAL: Span = Span::seconds(24 * 3600);
/// Copies of objects in other regions are there after this long; AWS and Google promise no less when paid for it,
/// Azure usually manages it and promises nothing.
const OBJECT_LAG: Span = Span::seconds(900);

/// Checks `objectives.rpo`, and what synchronous copies cost in time.
pub(super) fn check(topology: &Topology, book: &PriceBook, ballot: Option<&Ballot>, findings: &mut Findings) {
    let of = |kind: ServiceKind| topology.services.iter().filter(move |service| service.spec.kind == kind);
    for service in of(ServiceKind::Postgres) {
        waits(topology, book, service, findings);
    }
    let rpo = topology.spec.objectives.rpo;
    if let Some(rpo) = rpo.database {
        let mut none = true;
        for service in of(ServiceKind::Postgres) {
            none = false;
            database(topology, service, rpo, findings);
        }
        if none {
            machines(topology, rpo, findings);
        }
    }
    if let Some(rpo) = rpo.objects {
        for service in of(ServiceKind::ObjectStorage) {
            objects(topology, service, rpo, findings);
        }
    }
    if let (Some(rpo), Some(ballot)) = (rpo.state, ballot) {
        state(topology, ballot, rpo, findings);
    }
}

fn tell(key: &str, message: String, hint: String, findings: &mut Findings) {
    let finding = Finding::new(Code::RpoUnreachable, format!("objectives.rpo.{key}"), message);
    findings.push(finding.hint(hint));
}

/// Whether the objectives are about the loss of more than a zone.
fn looks_far(topology: &Topology) -> bool {
    let rto = topology.spec.objectives.rto;
    rto.region.is_some() || rto.cloud.is_some()
}

fn database(topology: &Topology, service: &Service, rpo: Span, findings: &mut Findings) {
    let spec = &service.spec;
    let (kept, what) = match spec.backup {
        Some(backup) if backup.point_in_time => (Some(LOG_INTERVAL), "logs for recovery to a moment"),
        Some(_) => (Some(BACKUP_INTERVAL), "backups"),
        None => (None, ""),
    };
    let near = spec.high_availability;
    let far = is_copied(service);
    // The loss that no copy covers: of the server itself, or of its region.
    let lost = match (near, far) {
        (false, false) => "its server",
        (true, false) if looks_far(topology) => "its region",
        _ => return lag(topology, service, rpo, findings),
    };
    match kept {
        None => tell(
            "database",
            format!("`{}` has no backup: after the loss of {lost} everything is gone", spec.name),
            format!(
                "add backup = {{ retention = \"30d\", point_in_time = true }} to [service.{}]",
                spec.name
            ),
            findings,
        ),
        Some(interval) if interval > rpo => tell(
            "database",
            format!(
                "after the loss of {lost}, `{}` is brought back from {what}, which are kept every {interval}; {rpo} cannot be promised",
                spec.name
            ),
            if near {
                format!("write replication = \"async\" under [service.{}], or state {interval}", spec.name)
            } else {
                format!("write high_availability = true under [service.{}], or state {interval}", spec.name)
            },
            findings,
        ),
        Some(_) => {}
    }
}

/// A copy that nobody waits for lags behind; none at all is too little to ask.
fn lag(topology: &Topology, service: &Service, rpo: Span, findings: &mut Findings) {
    let waits = service.spec.replication == Some(Replication::Synchronous);
    if is_copied(service) && !waits && looks_far(topology) && rpo < Span::seconds(1) {
        tell(
            "database",
            format!(
                "copies of `{}` lag behind by a second and more; {rpo} cannot be promised",
                service.spec.name
            ),
            "state some seconds, or use synchronous copies in zones of one region".to_owned(),
            findings,
        );
    }
}

/// Without a database, the data is with the machines.
fn machines(topology: &Topology, rpo: Span, findings: &mut Findings) {
    let backup = topology.spec.backup.as_ref().and_then(|backup| backup.schedule);
    let holds = |role: &&univrs_topology::topology::Role| role.spec.container.is_some() && role.count() > 0;
    let Some(role) = topology.roles.iter().find(holds) else { return };
    let name = &role.spec.name;
    let environment = &topology.spec.environment;
    if role.spec.persistence == Persistence::None {
        tell(
            "database",
            format!(
                "`{name}` keeps its data nowhere (persistence = \"none\"): when all its machines stop, everything is gone"
            ),
            format!("write role.{name}.persistence = \"disk\" or \"files\", and a backup"),
            findings,
        );
    } else if backup.is_none_or(|schedule| schedule > rpo) {
        let kept = backup.map_or_else(
            || format!("there is no backup in `{environment}`"),
            |schedule| format!("backups are taken every {schedule}"),
        );
        tell(
            "database",
            format!("the data of `{name}` is on its machines and {kept}; {rpo} cannot be promised"),
            format!("state backup.schedule = \"{rpo}\" or less"),
            findings,
        );
    }
}

fn objects(topology: &Topology, service: &Service, rpo: Span, findings: &mut Findings) {
    if !looks_far(topology) {
        return;
    }
    let name = &service.spec.name;
    if !is_copied(service) {
        tell(
            "objects",
            format!(
                "`{name}` has no copy in another region: after the loss of its region the objects are gone or out of reach"
            ),
            format!("write service.{name}.replication = \"GRS\""),
            findings,
        );
    } else if rpo < OBJECT_LAG {
        tell(
            "objects",
            format!(
                "copies of `{name}` in another region follow within {OBJECT_LAG}; {rpo} cannot be promised"
            ),
            format!("state {OBJECT_LAG}"),
            findings,
        );
    }
}

/// What a majority has acknowledged is lost only with the majority.
fn state(topology: &Topology, ballot: &Ballot, rpo: Span, findings: &mut Findings) {
    let rto = topology.spec.objectives.rto;
    let losses = [
        (Survive::Cloud, rto.cloud.is_some(), "cloud"),
        (Survive::Region, rto.region.is_some(), "region"),
        (Survive::Zone, rto.zone.is_some(), "zone"),
        (Survive::Node, rto.node.is_some(), "machine"),
    ];
    let Some((unit, _, name)) = losses.into_iter().find(|(_, stated, _)| *stated) else { return };
    let (lost, voters) = ballot.largest(unit);
    if voters > ballot.voters() / 2 {
        tell(
            "state",
            format!(
                "{voters} of {} voters are lost with {lost}, and with them the latest writes; {rpo} cannot be promised",
                ballot.voters()
            ),
            format!("spread the voters so that the loss of a {name} leaves more than half of them"),
            findings,
        );
    }
}

/// Says what waiting for another region adds to every write.
fn waits(topology: &Topology, book: &PriceBook, service: &Service, findings: &mut Findings) {
    if service.spec.replication != Some(Replication::Synchronous) {
        return;
    }
    let regions: Vec<_> = service.regions.iter().map(|index| &topology.regions[*index]).collect();
    let nearest = |index: usize| {
        let others = regions.iter().enumerate().filter(|(other, _)| *other != index);
        others.filter_map(|(_, other)| latency::between(book, regions[index], other)).min_by_key(|t| t.micros)
    };
    let slowest = (0..regions.len())
        .filter_map(|index| Some((regions[index], nearest(index)?)))
        .max_by_key(|(_, time)| time.micros);
    let path = format!("service.{}.replication", service.spec.name);
    match slowest {
        Some((region, time)) => {
            let message = format!(
                "every write of `{}` in {} waits at least {time} for the nearest other copy",
                service.spec.name, region.id
            );
            let finding = Finding::new(Code::SyncReplication, path, message);
            findings.push(finding.hint("write replication = \"async\""));
        }
        None => {
            let message = format!("`{}` is in one region only and has nobody to wait for", service.spec.name);
            findings.push(Finding::new(Code::SyncReplication, path, message));
        }
    }
}
