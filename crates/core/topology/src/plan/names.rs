//! Names, their targets and weights, and the weights after a failure.

use serde::{Deserialize, Serialize};
use univrs_model::span::Span;

use crate::cloud::{Cloud, RegionId};

/// The name under which the topology is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsPlan {
    /// Who serves the zone.
    pub provider: Cloud,
    /// The zone.
    pub zone: String,
    /// The whole name: `api.example.net`.
    pub fqdn: String,
    /// How long an answer may be kept.
    pub ttl: Span,
    /// Whether places that are down get no requests.
    pub health_adjusted: bool,
    /// One for each target.
    pub records: Vec<Record>,
    /// One for each target, when places that are down get no requests.
    pub health_checks: Vec<HealthCheck>,
    /// Weights after the loss of each single cloud and region.
    pub failures: Vec<FailureWeights>,
}

/// What a record points to. Its address is known once it exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordTarget {
    /// The load balancer of that name in the record's region.
    LoadBalancer(String),
    /// The public address of the machine of that name.
    Machine(String),
}

/// One record of a weighted set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name inside the zone.
    pub name: String,
    /// `A` or `CNAME`, as the target has an address or a name at its provider.
    pub kind: String,
    /// Where the target lies.
    pub region: RegionId,
    /// What it points to.
    pub target: RecordTarget,
    /// Percent of the requests; all records of a plan sum to 100.
    pub weight: u32,
    /// Name of its health check, if any.
    pub health_check: Option<String>,
}

/// A question asked of a target from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Unique in the topology.
    pub name: String,
    /// Which region's target is asked.
    pub region: RegionId,
    /// What is asked.
    pub target: RecordTarget,
    /// Port.
    pub port: u16,
    /// Path of an HTTPS or HTTP request; a mere connection when absent.
    pub path: Option<String>,
    /// Time between two requests.
    pub interval: Span,
    /// How long an answer may take.
    pub timeout: Span,
    /// Failures in a row until it counts as down.
    pub unhealthy: u32,
    /// Successes in a row until it counts as up.
    pub healthy: u32,
}

/// A record's share after a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetWeight {
    /// Which region's record.
    pub region: RegionId,
    /// What it points to.
    pub target: RecordTarget,
    /// Percent of the requests.
    pub weight: u32,
}

/// The weights once a cloud or region is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureWeights {
    /// `aws` or `aws:us-east-1`.
    pub lost: String,
    /// Shares of what is left; sums to 100, or empty when nothing is left.
    pub weights: Vec<TargetWeight>,
}
