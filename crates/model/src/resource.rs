//! One-click resources: what a person asks for by the name of a template, and what it was compiled to.
//!
//! A [`Deployment`] holds ordinary objects, the same that users write: workloads (with their volumes), secrets to be
//! generated, and ports. A provider makes them real; nothing of it is special to one template.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{OperationId, ResourceId};
use crate::name::Name;
use crate::quantity::{Bytes, Cpu};
use crate::span::Span;
use crate::usage::ResourceUsage;
use crate::workload::{CronSchedule, WorkloadSpec};

/// The first port of hosts that resources are given.
pub const FIRST_PORT: u16 = 19_001;
/// The last port of hosts that resources are given.
pub const LAST_PORT: u16 = 29_000;
/// Label of everything that was made for a resource: its id.
pub const RESOURCE_LABEL: &str = "dev.univrs.resource";
/// Label of everything that was made for a resource: the operation that made it.
pub const OPERATION_LABEL: &str = "dev.univrs.operation";

/// Label of workloads that were upgraded: when.
pub const RELEASE_LABEL: &str = "dev.univrs.release";
/// Label of workloads that find each other by short names: what comes before these in the workloads' own names.
pub const GROUP_LABEL: &str = "dev.univrs.group";
/// Label of workloads that count requests: the container whose log says how many, see [`crate::usage::requests_in`].
pub const REQUESTS_LABEL: &str = "dev.univrs.requests";

/// What a user asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceSpec {
    /// Unique in the organisation; its workloads begin with it.
    pub name: Name,
    /// Id of the template.
    #[schema(example = "postgres-small")]
    pub template: String,
    /// Id of the provider; chosen by policy when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "mesh")]
    pub provider: Option<String>,
    /// The organisation; that of the request when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<Name>,
    /// Parameters of the template; defaults where absent.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// How a resource is doing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum ResourceStatus {
    /// It is being made.
    #[default]
    Provisioning,
    /// It serves.
    Active,
    /// It is there and does not serve as it should.
    Degraded,
    /// It is there and was stopped.
    Inactive,
    /// It is being changed or removed.
    Maintenance,
    /// It could not be made; everything made so far was taken back.
    Failed,
    /// It is gone.
    Deleted,
}

/// A resource as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its id; never used again, unlike its name.
    pub id: ResourceId,
    /// Its organisation.
    pub org: Name,
    /// Its name.
    pub name: Name,
    /// Id of its template.
    pub template: String,
    /// Version of the template that it was compiled from.
    pub template_version: u32,
    /// Id of its provider.
    pub provider: String,
    /// Which of several that are called by the provider's id has it, such as one machine's engine; empty where there
    /// is one only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The parameters with their defaults.
    #[serde(default)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// How it is doing.
    pub status: ResourceStatus,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
    /// What it was compiled to.
    pub deployment: Deployment,
    /// The ports of hosts it was given, by the name of the port.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// Where it is reached from outside; empty until it is known.
    #[serde(default)]
    pub host: String,
    /// Where its ports are reached, by the name of the port, where that is not `host`.
    #[serde(default)]
    pub hosts: BTreeMap<String, String>,
    /// When its credentials were last replaced.
    #[serde(default)]
    pub rotated_at: Option<Timestamp>,
    /// What its parts say of themselves, such as how far a replica is behind.
    #[serde(default)]
    pub facts: serde_json::Map<String, serde_json::Value>,
    /// The change under way, or the last one.
    pub operation: OperationId,
    /// Its backups, oldest first.
    #[serde(default)]
    pub backups: Vec<Backup>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a resource was compiled to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// What runs.
    pub workloads: Vec<WorkloadSpec>,
    /// The secrets that are generated for it.
    #[serde(default)]
    pub secrets: Vec<GeneratedSecret>,
    /// The ports that lead to it from outside.
    #[serde(default)]
    pub ports: Vec<PublicPort>,
    /// What people are given to reach it, as templates over host, ports and secrets.
    #[serde(default)]
    pub credentials: BTreeMap<String, String>,
    /// How it is backed up, if it can be.
    #[serde(default)]
    pub backup: Option<BackupJobs>,
    /// After how long its credentials are replaced by themselves.
    #[serde(default)]
    pub rotate_after: Option<Span>,
    /// How its replica takes over, if it has one.
    #[serde(default)]
    pub promote: Option<Promotion>,
    /// Whether its parts say facts in their logs.
    #[serde(default)]
    pub facts: bool,
    /// What follows from its parameters; jobs that put something into it know these too.
    #[serde(default)]
    pub values: BTreeMap<String, serde_json::Value>,
    /// What it may use and what it is placed by.
    pub footprint: Footprint,
    /// How it differs from what a file of another program would have made, where it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
}

/// What became of a file of another program, such as a compose file. What could not be had was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Differences {
    /// Paths of the keys that mean what they mean there.
    pub taken: Vec<String>,
    /// What works otherwise.
    pub changed: Vec<Difference>,
}

/// Something that works otherwise than in the program that a file was written for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Where in the file, such as `services.web.networks`.
    #[schema(example = "services.web.networks")]
    pub field: String,
    /// What differs, in a sentence.
    pub detail: String,
}

/// A secret that is generated, sealed, and known to nobody until it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedSecret {
    /// Name of the secret.
    pub name: Name,
    /// Its name in the template.
    pub key: String,
    /// What it holds.
    pub kind: SecretKind,
}

/// What a generated secret holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum SecretKind {
    /// Lines `name:password`: the newest last. While one is being replaced both are good.
    Logins {
        /// What the names begin with.
        user: String,
    },
    /// One random text of letters and digits.
    Password,
    /// 32 random bytes as hexadecimal digits.
    HexKey,
}

/// A port that leads to a resource from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPort {
    /// Its name.
    pub name: String,
    /// Name of the workload it leads to.
    pub workload: Name,
    /// Name of the container's port.
    pub port: Name,
}

/// The jobs that back a resource up. Placeholders stand for what is known only when they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupJobs {
    /// How many backups are kept.
    pub keep: u32,
    /// When one is made by itself; only when asked for, if absent.
    #[serde(default)]
    pub schedule: Option<CronSchedule>,
    /// The job that makes one: it names `{{backup.id}}` and `{{backup.keep}}`.
    pub backup: serde_json::Value,
    /// The job that puts one into a resource, which is `{{target.name}}` and has its parameters as
    /// `{{target.<parameter>}}`, and what follows from them likewise; the time to go to is `{{backup.to_time}}`, empty if there is none.
    pub restore: serde_json::Value,
}

/// How a replica takes the place of what it follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The job that lets it.
    pub job: serde_json::Value,
    /// The parameter that says which part leads.
    pub parameter: String,
    /// What that parameter is afterwards.
    pub becomes: String,
}

/// What something uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Amount {
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub storage: Bytes,
}

/// What a resource may use and what it is placed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Footprint {
    /// What it can never exceed; its stated size.
    pub limits: Amount,
    /// What is set aside for it: a quarter of its limits.
    pub requests: Amount,
}

/// A backup of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// Its id, which begins with its time.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its size.
    pub bytes: u64,
    /// Digest of its contents.
    pub sha256: String,
    /// The earliest time that it can be restored to; absent where it holds one moment only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable_from: Option<Timestamp>,
}

/// A resource as people see it: never its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceView {
    /// Its id.
    pub id: ResourceId,
    /// Its name.
    pub name: Name,
    /// Its organisation.
    pub org: Name,
    /// Revision of its last change in the store; the `ETag`.
    pub revision: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Id of its template.
    pub template: String,
    /// Id of its provider.
    pub provider: String,
    /// The parameters with their defaults.
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// How it is doing.
    pub status: ResourceStatus,
    /// Why, for people.
    pub message: String,
    /// The stage of the change under way, or of the last one; `failed` if that did.
    pub stage: String,
    /// How far that change is, 0 to 100.
    pub progress: u8,
    /// The change under way, or the last one.
    pub operation: OperationId,
    /// Where it is reached from outside, by the name of the port, as `host:port`.
    pub endpoints: BTreeMap<String, String>,
    /// Names of the workloads that make it up.
    pub workloads: Vec<Name>,
    /// What it may use and what it is placed by.
    pub footprint: Footprint,
    /// Its backups, oldest first.
    pub backups: Vec<Backup>,
    /// When the newest backup was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup_at: Option<Timestamp>,
    /// When its credentials were last replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Timestamp>,
    /// What its parts say of themselves: of a replica `replicaConnected` and `replicaLagSeconds`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub facts: serde_json::Map<String, serde_json::Value>,
    /// How it differs from what the file it was made from would be elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
    /// What it uses, as was last seen; absent until that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ResourceUsage>,
}

/// How much an organisation's resources may use together. What is absent is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// How many there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<u32>,
    /// Sum of their limits of processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Sum of their limits of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Sum of their volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Bytes>,
    /// What they may send over the network in a calendar month (UTC), as measured; beyond it nothing of theirs leaves the
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Bytes>,
}

/// An organisation whose resources have sent what they may send this month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressSpent {
    /// When that was seen.
    pub since: Timestamp,
    /// What they had sent.
    pub sent: Bytes,
    /// What they may send.
    pub most: Bytes,
}
