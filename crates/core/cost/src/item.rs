//! What an estimate is made of: things that cost money, in the words of no provider.

use crate::money::{Money, Quantity};
use crate::place::Place;

/// Some number of equal things in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is called in the topology, for example `validator aws:us-east-1`.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// How many of it.
    pub count: u32,
    /// What it is.
    pub kind: Kind,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A machine with its disk and address.
    Machine(Machine),
    /// Containers run by the provider without a machine.
    ContainerGroup {
        /// Size of each group.
        size: Size,
    },
    /// A gateway to the internet for machines without an address.
    Nat {
        /// Machines behind it; Google counts them.
        machines: u32,
        /// GB through it per month, both ways.
        processed_gb: Option<Quantity>,
    },
    /// A load balancer.
    LoadBalancer {
        /// What it balances.
        kind: Balancer,
        /// GB through it per month.
        processed_gb: Option<Quantity>,
    },
    /// A provider's VPN gateway.
    Vpn {
        /// Connections of each gateway.
        connections: u32,
    },
    /// A public IPv4 address of its own.
    PublicAddress,
    /// Traffic out of the place.
    Egress {
        /// Where it goes.
        to: Destination,
        /// GB per month. None: not declared, so not priced.
        gb: Option<Quantity>,
    },
    /// Objects.
    ObjectStorage(ObjectStorage),
    /// A managed PostgreSQL server.
    Database(Database),
    /// A managed Redis server.
    Cache {
        /// Memory in MiB.
        mib: u32,
        /// Copies beside the first.
        replicas: u32,
        /// The provider's type, when it is chosen; otherwise the cheapest that fits.
        class: Option<String>,
    },
    /// Zones and their queries.
    Dns {
        /// Hosted zones.
        zones: u32,
        /// Millions of queries per month.
        million_queries: Option<Quantity>,
        /// Health-checked endpoints.
        health_checks: u32,
    },
    /// Encryption keys.
    Keys {
        /// Keys, counting each version that is kept.
        keys: u32,
        /// Requests per month.
        requests: Option<Quantity>,
    },
    /// Logs taken in and kept.
    Logs {
        /// GB taken in per month.
        ingested_gb: Option<Quantity>,
        /// GB kept.
        kept_gb: Option<Quantity>,
    },
}

/// Processors and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    /// Thousandths of a processor.
    pub milli_vcpu: u32,
    /// MiB of memory.
    pub mib: u32,
}

impl Size {
    /// Whole processors and GiB.
    #[must_use]
    pub const fn of(vcpu: u32, gib: u32) -> Size {
        Size { milli_vcpu: vcpu * 1000, mib: gib * 1024 }
    }

    /// Whether this is at least `need` in both.
    #[must_use]
    pub fn covers(self, need: Size) -> bool {
        self.milli_vcpu >= need.milli_vcpu && self.mib >= need.mib
    }
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The provider's type.
    pub type_name: String,
    /// The size bought, for types of flexible size.
    pub size: Option<Size>,
    /// How it is paid for.
    pub purchase: Purchase,
    /// Its disk, beyond what comes with the machine.
    pub disk: Option<Disk>,
    /// Whether it has a public IPv4 address.
    pub public_address: bool,
    /// Hours it runs per month. None: all of them.
    pub hours: Option<Quantity>,
}

/// How a machine is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Purchase {
    /// By the hour, at list price.
    #[default]
    OnDemand,
    /// Promised for a term.
    Reserved(Term),
    /// On the spot market: the provider may take it back at any time.
    Spot,
}

/// How long a machine is promised for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// One year.
    OneYear,
    /// Three years.
    ThreeYears,
}

/// A network disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disk {
    /// GiB.
    pub gib: u32,
    /// How fast.
    pub class: DiskClass,
}

/// How fast a disk is, over the providers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DiskClass {
    /// Spinning or the cheapest: `st1`, Standard HDD, `pd-standard`.
    Economy,
    /// The usual: `gp3`, Standard SSD, `pd-balanced`, OCI at 10 units.
    #[default]
    Balanced,
    /// For databases: `io2`, Premium SSD, `pd-ssd`, OCI at 20 units.
    Fast,
}

/// What a load balancer balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Balancer {
    /// Requests.
    Application,
    /// Connections.
    Network,
    /// Whole sites, over DNS.
    Global,
}

/// Where traffic goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To users, or to another provider: both leave through the internet.
    Internet,
    /// To another region. Another provider's region counts as internet.
    Region(Place),
    /// To another zone of the same region.
    Zone,
}

/// Objects, by class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStorage {
    /// Class and GB kept in it. None: not declared, so not priced.
    pub kept: Vec<(StorageClass, Option<Quantity>)>,
    /// Where copies are kept.
    pub redundancy: Redundancy,
}

/// How fast objects are needed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StorageClass {
    /// Read often.
    Hot,
    /// Read rarely, at once when asked; reading costs extra.
    Cool,
    /// Kept for the record; on AWS and Azure it takes hours to read.
    Archive,
}

/// Where copies of objects are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Redundancy {
    /// The provider's usual: several zones, on Azure one building (LRS).
    #[default]
    Local,
    /// Several zones (ZRS).
    Zones,
    /// Another region too (GRS, multi-region).
    Regions,
}

/// A managed PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// What it must have.
    pub size: Size,
    /// GiB of storage.
    pub storage_gib: u32,
    /// Whether a standby in another zone takes over.
    pub high_availability: bool,
    /// The provider's type, when it is chosen; otherwise the cheapest that fits.
    pub class: Option<String>,
    /// GB of backups kept beyond what comes with the server. None: not declared, so not priced.
    pub backup_gb: Option<Quantity>,
}

/// A price the user keeps from before a rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grandfathered {
    /// Where it holds.
    pub place: Place,
    /// The machine type.
    pub type_name: String,
    /// Per hour, instead of the list price.
    pub per_hour: Money,
    /// Since when.
    pub date: crate::table::PriceDate,
}
