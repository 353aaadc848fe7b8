//! Load balancers and managed services.

use serde::{Deserialize, Serialize};
use univrs_model::name::Name;

use crate::cloud::{Cloud, RegionId};
use crate::spec::{HealthSpec, Protocol, ServiceKind, ServiceSpec};

/// A public load balancer in front of a role in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Name of the service; unique in the region.
    pub name: String,
    /// Role whose machines answer.
    pub role: Name,
    /// Ports it listens on and passes to the same port of the machines.
    pub ports: Vec<(u16, Protocol)>,
    /// When a machine counts as well.
    pub health: HealthSpec,
    /// Subnets it lies in, one for each zone.
    pub subnets: Vec<String>,
    /// Names of the machines behind it.
    pub machines: Vec<String>,
}

/// A managed service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceInstance {
    /// `postgres-aws-us-east-1`; unique in the topology.
    pub name: String,
    /// What it is.
    pub kind: ServiceKind,
    /// Whose.
    pub cloud: Cloud,
    /// Where; of a service per cloud, the cloud's first region.
    pub region: RegionId,
    /// The provider's name of its size, when the file names one.
    pub machine: Option<String>,
    /// Subnets it lies in; empty for what has no place in a network.
    pub subnets: Vec<String>,
    /// What the file says of it.
    pub spec: ServiceSpec,
}
