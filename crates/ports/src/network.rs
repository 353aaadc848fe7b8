//! The node's network: addresses for instances, published ports, names and routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use univrs_model::ids::InstanceId;
use univrs_model::name::Name;
use univrs_model::workload::Protocol;

/// A port of the host that leads to a port of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    /// On the host.
    pub host_port: u16,
    /// In the instance.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// What is needed to give an instance a place in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachRequest {
    /// Which instance.
    pub instance: InstanceId,
    /// Whose it is: instances of different organisations do not reach each other but through published ports.
    pub org: Name,
    /// Its network namespace, as a file.
    pub netns: PathBuf,
    /// Ports of the host that lead to it.
    pub ports: Vec<PublishedPort>,
}

/// An instance's place in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Which instance.
    pub instance: InstanceId,
    /// Its address.
    pub address: Ipv4Addr,
    /// The length of the network's prefix.
    pub prefix_len: u8,
    /// The bridge's address: default route and name server.
    pub gateway: Ipv4Addr,
    /// Ports of the host that lead to it.
    pub ports: Vec<PublishedPort>,
}

/// Bytes that an instance sent and received since it was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To the instance.
    pub received: u64,
    /// From the instance.
    pub sent: u64,
}

/// What can go wrong in the node's network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel refused a step.
    #[error("failed to {step}: {reason}")]
    Kernel {
        /// What was being done, such as `create bridge uv3f9k2m`.
        step: String,
        /// The kernel's answer.
        reason: String,
    },
    /// All addresses of the node's range are in use.
    #[error("all {size} addresses of {range} are in use")]
    RangeExhausted {
        /// The range, such as `100.64.0.0/24`.
        range: String,
        /// How many addresses it has for instances.
        size: u32,
    },
    /// Another instance has the port.
    #[error("host port {port} is already published by instance {holder}")]
    PortTaken {
        /// The port.
        port: u16,
        /// Who has it.
        holder: InstanceId,
    },
    /// The node's range and an address of another interface of the machine overlap.
    #[error("range {range} overlaps {address} on interface {interface}")]
    RangeInUse {
        /// The node's range, such as `100.64.0.0/24`.
        range: String,
        /// The other interface.
        interface: String,
        /// Its address and prefix.
        address: String,
    },
    /// The machine lacks something the network needs.
    #[error("the network needs {what}: {hint}")]
    Unavailable {
        /// What is missing, such as `the nft program`.
        what: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// The adapter's own records failed.
    #[error("the network records at {} failed while {doing}", path.display())]
    Records {
        /// File.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The node's network. All calls may be repeated: the second has no further effect.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Gives the instance an address and publishes its ports; an instance keeps its address until detached.
    ///
    /// # Errors
    /// See [`NetworkError`]; what was made before the failure is taken back.
    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError>;

    /// Takes the instance out of the network; one that is not in it is fine.
    ///
    /// # Errors
    /// When the kernel refuses.
    async fn detach(&self, instance: &InstanceId) -> Result<(), NetworkError>;

    /// All that are attached.
    ///
    /// # Errors
    /// When the records cannot be read.
    async fn attached(&self) -> Result<Vec<Attachment>, NetworkError>;

    /// Says whose the addresses of the cluster's instances are. Instances reach those of their own organisation only; an
    /// address that nobody was said to have is reached by none. In a network without addresses nothing happens.
    ///
    /// # Errors
    /// When the kernel refuses.
    async fn separate(&self, homes: &BTreeMap<Ipv4Addr, String>) -> Result<(), NetworkError> {
        let _ = homes;
        Ok(())
    }

    /// Says which instances may send nothing out of the cluster. In a network without addresses nothing happens.
    ///
    /// # Errors
    /// When the kernel refuses.
    async fn restrain(&self, addresses: &BTreeSet<Ipv4Addr>) -> Result<(), NetworkError> {
        let _ = addresses;
        Ok(())
    }

    /// What the instances that are attached sent and received; nothing where that is not counted.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    async fn traffic(&self) -> Result<BTreeMap<InstanceId, Traffic>, NetworkError> {
        Ok(BTreeMap::new())
    }

    /// The address of the bridge, where containers find the name server; absent in a network without one.
    fn gateway(&self) -> Option<Ipv4Addr>;

    /// Removes everything this node ever made in the kernel.
    ///
    /// # Errors
    /// When the kernel refuses.
    async fn purge(&self) -> Result<(), NetworkError>;
}

/// What the name server and the ingress of a node know: a plain table, renewed whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTable {
    /// Organisation → workload → addresses of instances that serve, for names under `.internal`.
    pub names: BTreeMap<String, BTreeMap<String, Vec<Ipv4Addr>>>,
    /// Address of an instance → its organisation: a name without one is meant in that of who asks.
    pub homes: BTreeMap<Ipv4Addr, String>,
    /// HTTP routes, in no particular order.
    pub routes: Vec<Route>,
    /// What authorities are answered that ask whether a host is ours: token → answer (RFC 8555, 8.3).
    #[serde(default)]
    pub challenges: BTreeMap<String, String>,
}

/// One HTTP route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Host name, lower case; `*` matches any.
    pub host: String,
    /// Path prefix.
    pub path: String,
    /// The workload, for logs and metrics; with its organisation unless that is the default one.
    pub workload: String,
    /// `address:port` of instances that may receive new requests.
    pub backends: Vec<std::net::SocketAddrV4>,
}
