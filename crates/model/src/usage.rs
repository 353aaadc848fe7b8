//! What resources used and were given: measured by nodes, kept as events that nobody changes, summed in statements.
//!
//! Amounts are whole numbers of the meter's own unit, so that any sum of them is exact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{InstanceId, ResourceId};
use crate::name::Name;
use crate::quantity::{Bytes, Cpu};
use crate::resource::Amount;

/// The length of a window of measurements, in seconds.
pub const WINDOW_SECONDS: i64 = 3600;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Processor time that was set aside as the limit: thousandths of a core, times seconds.
    CpuLimit,
    /// Memory that was set aside as the limit: MiB, times seconds.
    MemoryLimit,
    /// Disk that was set aside as the limit: MiB, times seconds.
    StorageLimit,
    /// Processor time that was used: thousandths of a core, times seconds.
    CpuUsed,
    /// Memory that was used: MiB, times seconds.
    MemoryUsed,
    /// Disk that was used: MiB, times seconds.
    StorageUsed,
    /// Bytes that came in over the network, from everywhere.
    NetworkIn,
    /// Bytes that went out over the network, to everywhere.
    NetworkOut,
    /// Requests that it answered, where something in it counts them.
    Requests,
}

impl Meter {
    /// Every meter.
    pub const ALL: [Self; 9] = [
        Self::CpuLimit,
        Self::MemoryLimit,
        Self::StorageLimit,
        Self::CpuUsed,
        Self::MemoryUsed,
        Self::StorageUsed,
        Self::NetworkIn,
        Self::NetworkOut,
        Self::Requests,
    ];

    /// Its name, such as `cpu_limit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CpuLimit => "cpu_limit",
            Self::MemoryLimit => "memory_limit",
            Self::StorageLimit => "storage_limit",
            Self::CpuUsed => "cpu_used",
            Self::MemoryUsed => "memory_used",
            Self::StorageUsed => "storage_used",
            Self::NetworkIn => "network_in",
            Self::NetworkOut => "network_out",
            Self::Requests => "requests",
        }
    }

    /// The unit of its amounts.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::CpuLimit | Self::CpuUsed => "millicore-seconds",
            Self::MemoryLimit | Self::StorageLimit | Self::MemoryUsed | Self::StorageUsed => "MiB-seconds",
            Self::NetworkIn | Self::NetworkOut => "bytes",
            Self::Requests => "requests",
        }
    }
}

/// Amounts by meter; what is zero is absent.
pub type Amounts = BTreeMap<Meter, u64>;

/// A reading of counters that only grow while `since` stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When what is counted began; another value means that counting began anew.
    pub since: Timestamp,
    /// Processor time in microseconds.
    pub cpu_micros: u64,
    /// Bytes that came in.
    pub network_in: u64,
    /// Bytes that went out.
    pub network_out: u64,
    /// Requests, where they are counted and the count was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
}

/// What one instance of a resource used within one window, as its node measured it; or a whole resource, as its provider
/// on that node did. Written by that node alone, again and again until the window is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The instance.
    pub instance: InstanceId,
    /// Its resource.
    pub resource: ResourceId,
    /// The organisation of both.
    pub org: Name,
    /// When the window begins: a multiple of [`WINDOW_SECONDS`].
    pub window: Timestamp,
    /// Until when this is measured.
    pub through: Timestamp,
    /// Set when nothing will be added: the window is over, or the instance gone.
    pub closed: bool,
    /// Microseconds of processor time.
    pub cpu_micros: u64,
    /// Bytes of memory, times milliseconds.
    pub memory_byte_millis: u128,
    /// Bytes on disk, times milliseconds.
    pub storage_byte_millis: u128,
    /// Bytes that came in.
    pub network_in: u64,
    /// Bytes that went out.
    pub network_out: u64,
    /// Memory in use at the last look.
    pub memory: u64,
    /// Thousandths of a core in use between the last two looks.
    pub cpu_millicores: u64,
    /// Requests, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Bytes on disk at the last look.
    #[serde(default)]
    pub storage: u64,
    /// The provider that measured it, or [`INGRESS`], where that is not the agent; the instance is then the whole resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The fullest of its volumes, where the provider measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fullest: Option<VolumeMeasured>,
    /// The last readings, of containers and of the network, to go on from.
    #[serde(default)]
    pub readings: BTreeMap<String, Reading>,
}

impl Measured {
    /// Nothing yet of an instance that is first looked at now.
    pub fn begun(instance: InstanceId, resource: ResourceId, org: Name, now: Timestamp) -> Self {
        Self {
            instance,
            resource,
            org,
            window: window_of(now),
            through: now,
            closed: false,
            cpu_micros: 0,
            memory_byte_millis: 0,
            storage_byte_millis: 0,
            network_in: 0,
            network_out: 0,
            memory: 0,
            cpu_millicores: 0,
            requests: None,
            storage: 0,
            by: None,
            fullest: None,
            readings: BTreeMap::new(),
        }
    }

    /// What was used, in the units of the meters; fractions of a unit are left out, once for each window.
    pub fn amounts(&self) -> Amounts {
        let whole = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        const MIB_SECOND: u128 = 1024 * 1024 * 1000;
        [
            (Meter::CpuUsed, self.cpu_micros / 1000),
            (Meter::MemoryUsed, whole(self.memory_byte_millis / MIB_SECOND)),
            (Meter::StorageUsed, whole(self.storage_byte_millis / MIB_SECOND)),
            (Meter::NetworkIn, self.network_in),
            (Meter::NetworkOut, self.network_out),
            (Meter::Requests, self.requests.unwrap_or(0)),
        ]
        .into_iter()
        .filter(|(_, amount)| *amount > 0)
        .collect()
    }
}

/// Who measured requests that the ingress of a node passed on, see [`Measured::by`].
pub const INGRESS: &str = "ingress";

/// What a part of a resource writes into its log when it counts requests, before a document such as `{"requests": 12}`.
const COUNTERS: &str = "univrs-counters ";

/// How many requests the lines of a log say there were, if they do: the last that says so counts.
pub fn requests_in<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    let said = lines.into_iter().filter_map(|line| {
        let counters: serde_json::Value = serde_json::from_str(line.trim().strip_prefix(COUNTERS)?).ok()?;
        counters.get("requests")?.as_u64()
    });
    said.last()
}

/// What a resource uses, as was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceUsage {
    /// When that was.
    pub at: Timestamp,
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub storage: Bytes,
    /// From when on the following are counted.
    pub since: Timestamp,
    /// Bytes that came in.
    pub network_in: u64,
    /// Bytes that went out.
    pub network_out: u64,
    /// Requests; absent where nothing counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
}

/// How full a volume is, as its node last saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMeasured {
    /// The resource it belongs to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceId>,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that fit, where more is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
}

/// How full the volumes of a node are, by their keys in the store. Written by that node alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesMeasured {
    /// By the volume's key.
    pub volumes: BTreeMap<String, VolumeMeasured>,
}

/// All that a node measured and tells at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Of instances.
    pub instances: Vec<Measured>,
    /// Of volumes; absent when nothing changed.
    pub volumes: Option<VolumesMeasured>,
}

/// Since when a resource has had its size, as far as that is not yet in the log of usage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The resource.
    pub resource: ResourceId,
    /// Its name.
    pub name: Name,
    /// Its template.
    pub template: String,
    /// Its limits.
    pub limits: Amount,
    /// From when on nothing is in the log yet.
    pub since: Timestamp,
}

/// One entry of the log of usage: what one source says of one resource from one instant to another. It is never
/// changed; its key is made of resource, source and beginning, so that it is there once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEntry {
    /// The resource.
    pub resource: ResourceId,
    /// Its name then.
    pub name: Name,
    /// Its template.
    pub template: String,
    /// The tier of its organisation then; it decides the price.
    pub tier: String,
    /// Who says so: `control`, or the id of an instance.
    pub source: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// How much.
    pub amounts: Amounts,
}

/// A usage event in the form of CloudEvents 1.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageEvent {
    /// `1.0`.
    pub specversion: String,
    /// Unique among the events of its source: resource, meter and window.
    pub id: String,
    /// Who says so.
    pub source: String,
    /// `dev.univrs.usage.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The resource.
    pub subject: String,
    /// The end of the window.
    pub time: Timestamp,
    /// `application/json`.
    pub datacontenttype: String,
    /// What was used.
    pub data: UsageData,
}

/// What a usage event says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageData {
    /// The organisation.
    pub org: Name,
    /// Name of the resource.
    pub resource: Name,
    /// Id of its template.
    pub template: String,
    /// The tier of the organisation then.
    pub tier: String,
    /// What was counted.
    pub meter: Meter,
    /// How much.
    pub amount: u64,
    /// In what.
    pub unit: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// The window that an instant lies in.
pub fn window_of(at: Timestamp) -> Timestamp {
    let second = at.as_second().div_euclid(WINDOW_SECONDS) * WINDOW_SECONDS;
    Timestamp::from_second(second).unwrap_or(at)
}

/// Where nodes keep what they measured: the key's part behind the node.
pub fn measured_place(window: Timestamp, instance: &InstanceId) -> String {
    format!("{:012}-{instance}", window.as_second().max(0))
}

#[cfg(test)]
mod tests {
    use super::requests_in;

    #[test]
    fn the_last_count_that_was_said_is_the_count() {
        let said = |text: &str| requests_in(text.lines());
        assert_eq!(
            said("ready\nunivrs-counters {\"requests\": 3}\nnoise\nunivrs-counters {\"requests\": 7}\nend"),
            Some(7)
        );
        assert_eq!(
            said("univrs-counters {\"requests\": -1}\nunivrs-counters\nunivrs-facts {\"requests\": 2}"),
            None
        );
    }
}
