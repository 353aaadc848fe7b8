//! `[service.NAME]`: what the provider runs for us.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_model::name::Name;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::span::Span;

use super::reader::Reader;
use super::role::{Per, Selector};
use crate::cloud::Cloud;
use crate::codes::Code;
use crate::finding::Finding;

/// Kinds of managed services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceKind {
    /// A PostgreSQL database.
    Postgres,
    /// A Redis-compatible cache.
    Redis,
    /// A public load balancer for a role.
    LoadBalancer,
    /// A bucket.
    ObjectStorage,
    /// Encryption keys.
    Keys,
    /// Collected logs.
    Logs,
}

/// `size` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSize {
    /// Virtual processors.
    pub vcpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Storage that is provisioned.
    pub storage: Option<Bytes>,
}

/// `backup` of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSpec {
    /// How long backups are kept.
    pub retention: Span,
    /// Whether every moment in between can be brought back.
    pub point_in_time: bool,
}

/// `health`: when something counts as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// Path of the request; a mere connection when absent.
    pub path: Option<String>,
    /// Port asked; the first port of the role when absent.
    pub port: Option<u16>,
    /// Time between two requests.
    pub interval: Span,
    /// How long an answer may take.
    pub timeout: Span,
    /// Failures in a row until it counts as down.
    pub unhealthy: u32,
    /// Successes in a row until it counts as up.
    pub healthy: u32,
}

/// `lifecycle` of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// Age at which objects move to cheaper storage.
    pub cool_after: Option<Span>,
    /// Age at which they are archived.
    pub archive_after: Option<Span>,
    /// Age at which they are deleted.
    pub expire_after: Option<Span>,
}

/// `replication` of objects or of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replication {
    /// Copies in one building.
    #[serde(rename = "LRS")]
    Local,
    /// Copies in the zones of the region.
    #[serde(rename = "ZRS")]
    Zones,
    /// Copies in another region as well.
    #[serde(rename = "GRS")]
    Regions,
    /// Writes wait for the other regions.
    #[serde(rename = "sync")]
    Synchronous,
    /// Writes do not wait for the other regions.
    #[serde(rename = "async")]
    Asynchronous,
}

/// One `[service.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name; also its kind when `kind` is absent.
    pub name: String,
    /// Its name as a DNS label.
    pub label: Name,
    /// What it is.
    pub kind: ServiceKind,
    /// One in each of these.
    pub per: Per,
    /// Only there; everywhere when empty.
    pub at: Vec<Selector>,
    /// Not there.
    pub except: Vec<Selector>,
    /// How large.
    pub size: ServiceSize,
    /// The provider's own name of the size, by cloud; found from `size` when absent.
    pub machine: BTreeMap<Cloud, String>,
    /// Version of the software.
    pub version: Option<String>,
    /// A second copy in another zone takes over.
    pub high_availability: bool,
    /// Backups of a database.
    pub backup: Option<BackupSpec>,
    /// Copies beside the first.
    pub replicas: u32,
    /// Copies elsewhere.
    pub replication: Option<Replication>,
    /// Role behind a load balancer.
    pub target: Option<String>,
    /// Health checks of a load balancer.
    pub health: Option<HealthSpec>,
    /// Old versions of objects are kept.
    pub versioning: bool,
    /// Encrypted with keys of one's own.
    pub encryption: bool,
    /// What becomes of ageing objects.
    pub lifecycle: Option<Lifecycle>,
    /// Objects expected to lie there, for the estimate.
    pub stored: Option<Bytes>,
    /// Time between two rotations of a key.
    pub rotation: Option<Span>,
    /// How long logs are kept.
    pub retention: Option<Span>,
    /// Logs expected in a month, for the estimate.
    pub ingest: Option<Bytes>,
    /// Oldest TLS version that is accepted.
    pub min_tls: Option<String>,
    /// Refuses plain HTTP.
    pub https_only: bool,
}

const KINDS: [(&str, ServiceKind); 6] = [
    ("postgres", ServiceKind::Postgres),
    ("redis", ServiceKind::Redis),
    ("load_balancer", ServiceKind::LoadBalancer),
    ("object_storage", ServiceKind::ObjectStorage),
    ("keys", ServiceKind::Keys),
    ("logs", ServiceKind::Logs),
];
const REPLICATION: [(&str, Replication); 5] = [
    ("LRS", Replication::Local),
    ("ZRS", Replication::Zones),
    ("GRS", Replication::Regions),
    ("sync", Replication::Synchronous),
    ("async", Replication::Asynchronous),
];

/// Reads one `[service.NAME]`. A name that is a kind needs no `kind`.
pub(super) fn read(name: &str, reader: Reader<'_>) -> Option<ServiceSpec> {
    let label = name.replace('_', "-").parse::<Name>();
    if let Err(error) = &label {
        reader.shared.note(Finding::new(Code::BadName, reader.own_path(), error.to_string()));
    }
    let kind = match reader.raw("kind") {
        Some(_) => reader.word("kind", &KINDS),
        None => {
            let path = reader.own_path().to_owned();
            reader.word_of(name, path, &KINDS)
        }
    };
    let size = reader.table_or_empty("size");
    let machine = reader.keyed("machine", &Cloud::ALL).into_iter().map(|(cloud, (text, _))| (cloud, text));
    let machine = machine.collect();
    let spec = ServiceSpec {
        name: name.to_owned(),
        label: label.ok()?,
        kind: kind?,
        per: reader.word("per", &super::role::PER).unwrap_or(Per::Region),
        at: reader.list("at"),
        except: reader.list("except"),
        size: ServiceSize {
            vcpu: size.quantity("vcpu"),
            memory: size.quantity("memory"),
            storage: size.quantity("storage"),
        },
        machine,
        version: reader.text("version"),
        high_availability: reader.truth("high_availability").unwrap_or(false),
        backup: reader.table("backup").and_then(read_backup),
        replicas: reader.number("replicas", 0..=15).unwrap_or(0),
        replication: reader.word("replication", &REPLICATION),
        target: reader.text("for"),
        health: reader.table("health").map(read_health),
        versioning: reader.truth("versioning").unwrap_or(false),
        encryption: reader.truth("encryption").unwrap_or(false),
        lifecycle: reader.table("lifecycle").map(read_lifecycle),
        stored: reader.quantity("stored"),
        rotation: reader.parsed("rotation"),
        retention: reader.parsed("retention"),
        ingest: reader.quantity("ingest"),
        min_tls: reader.word("min_tls", &[("1.2", "1.2"), ("1.3", "1.3")]).map(str::to_owned),
        https_only: reader.truth("https_only").unwrap_or(false),
    };
    if spec.kind == ServiceKind::LoadBalancer && spec.target.is_none() {
        reader.missing("for");
    }
    size.finish();
    reader.finish();
    Some(spec)
}

fn read_backup(reader: Reader<'_>) -> Option<BackupSpec> {
    let retention = reader.parsed("retention");
    if reader.raw("retention").is_none() {
        reader.missing("retention");
    }
    let point_in_time = reader.truth("point_in_time").unwrap_or(false);
    reader.finish();
    Some(BackupSpec { retention: retention?, point_in_time })
}

/// Reads a `health` table.
pub(super) fn read_health(reader: Reader<'_>) -> HealthSpec {
    let usual = HealthSpec::default();
    let path = reader.text_at("path").and_then(|(text, path)| {
        let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()) && text.len() <= 1024;
        if !good {
            let message = "a path begins with `/` and has no spaces";
            reader.shared.note(Finding::new(Code::BadValue, path, message));
        }
        good.then_some(text)
    });
    let health = HealthSpec {
        path,
        port: reader.number("port", 1..=65_535).and_then(|port| u16::try_from(port).ok()),
        interval: reader.parsed("interval").unwrap_or(usual.interval),
        timeout: reader.parsed("timeout").unwrap_or(usual.timeout),
        unhealthy: reader.number("unhealthy", 1..=20).unwrap_or(usual.unhealthy),
        healthy: reader.number("healthy", 1..=20).unwrap_or(usual.healthy),
    };
    reader.finish();
    health
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            path: None,
            port: None,
            interval: Span::seconds(10),
            timeout: Span::seconds(5),
            unhealthy: 3,
            healthy: 2,
        }
    }
}

fn read_lifecycle(reader: Reader<'_>) -> Lifecycle {
    let lifecycle = Lifecycle {
        cool_after: reader.parsed("cool_after"),
        archive_after: reader.parsed("archive_after"),
        expire_after: reader.parsed("expire_after"),
    };
    reader.finish();
    lifecycle
}
