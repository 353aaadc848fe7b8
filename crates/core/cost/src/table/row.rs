//! The rows of the checked book, as they are stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::date::PriceDate;

/// Who sells. Closed: a new provider needs families, skus and rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
    /// Oracle Cloud Infrastructure.
    Oci,
    /// Hetzner Cloud.
    Hetzner,
    /// DigitalOcean.
    Digitalocean,
    /// Cloudflare: no machines, only the network's edge.
    Cloudflare,
}

impl Provider {
    /// All providers, in the order of the book.
    pub const ALL: [Provider; 7] = [
        Provider::Aws,
        Provider::Azure,
        Provider::Gcp,
        Provider::Oci,
        Provider::Hetzner,
        Provider::Digitalocean,
        Provider::Cloudflare,
    ];

    /// The name used in topologies and in the data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Provider::Aws => "aws",
            Provider::Azure => "azure",
            Provider::Gcp => "gcp",
            Provider::Oci => "oci",
            Provider::Hetzner => "hetzner",
            Provider::Digitalocean => "digitalocean",
            Provider::Cloudflare => "cloudflare",
        }
    }

    /// The provider of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Provider> {
        Provider::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The instruction set of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

/// Where a price comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin<'a> {
    /// When it was read.
    pub date: PriceDate,
    /// The document it was read from.
    pub source: &'a str,
}

/// A price and the index of its origin in [`Tables::origins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Billionths of a US dollar per unit.
    pub nanos: u64,
    /// Index of the origin.
    pub origin: u16,
}

/// A machine type in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine<'a> {
    /// The provider's name for it.
    pub name: &'a str,
    /// Its instruction set.
    pub arch: Arch,
    /// Thousandths of a processor; shared-core machines have their baseline.
    pub milli_vcpu: u32,
    /// Memory in MiB.
    pub mib: u32,
    /// Linux, shared tenancy, per hour. None: not known.
    pub on_demand: Option<Quote>,
    /// The spot market's price per hour. None: not sold there, or not known.
    pub spot: Option<Quote>,
}

/// All machine types of one region, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market<'a> {
    /// Who sells.
    pub provider: Provider,
    /// Where.
    pub region: &'a str,
    /// What, sorted by name.
    #[serde(borrow)]
    pub machines: Vec<Machine<'a>>,
}

/// The price of something that is not a machine. Sorted by provider, service, sku, region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service<'a> {
    /// Who sells.
    pub provider: Provider,
    /// What kind of thing, for example `nat_gateway`.
    pub service: &'a str,
    /// Which one, for example `nat-hour`.
    pub sku: &'a str,
    /// Where; `*` is everywhere.
    pub region: &'a str,
    /// What the price is for, for example `hours`.
    pub unit: &'a str,
    /// The price per unit; for the unit `fraction`, billionths of the whole.
    pub quote: Quote,
}

/// A region and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region<'a> {
    /// Whose.
    pub provider: Provider,
    /// The provider's name for it.
    pub name: &'a str,
    /// The nearest city.
    pub city: &'a str,
    /// ISO 3166 code of the country.
    pub country: &'a str,
    /// Ten-millionths of a degree north.
    pub latitude: i32,
    /// Ten-millionths of a degree east.
    pub longitude: i32,
    /// Availability zones, where known.
    pub zones: Option<u8>,
}

/// A measured round trip. Regions are indices into [`Tables::regions`]; sorted by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip<'a> {
    /// From here.
    pub from: u16,
    /// To there and back.
    pub to: u16,
    /// The median in microseconds.
    pub micros: u32,
    /// Who measured it and when.
    pub source: &'a str,
}

/// What a free allowance is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meter {
    /// Hours of a machine type.
    Machine,
    /// Processors of a flexible shape, running all month.
    Vcpu,
    /// GiB of memory of a flexible shape, running all month.
    Memory,
    /// GB of disk.
    Disk,
    /// GB sent to the internet.
    Egress,
    /// GB sent to the internet, for each machine.
    EgressPerMachine,
    /// US dollars, once.
    Credit,
}

/// A free allowance per month (a credit: once), with the days between which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance<'a> {
    /// Who gives it.
    pub provider: Provider,
    /// The kind of account that has it; `*` is every account.
    pub plan: &'a str,
    /// What it is counted in.
    pub meter: Meter,
    /// Machine types, a shape or a disk class, separated by `|`; `*` is any.
    pub scope: &'a str,
    /// Regions, separated by `|`; `*` is any.
    pub regions: &'a str,
    /// Millionths of the meter's unit.
    pub micros: u64,
    /// First day it holds.
    pub from: Option<PriceDate>,
    /// Last day it holds.
    pub until: Option<PriceDate>,
    /// What changed, and who has it.
    pub note: &'a str,
    /// Index of its origin.
    pub origin: u16,
}

/// The whole book.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tables<'a> {
    /// Dates and sources that quotes point to.
    #[serde(borrow)]
    pub origins: Vec<Origin<'a>>,
    /// Machines, sorted by provider and region.
    #[serde(borrow)]
    pub markets: Vec<Market<'a>>,
    /// Everything else that has a price.
    #[serde(borrow)]
    pub services: Vec<Service<'a>>,
    /// Free allowances, in the order of the file.
    #[serde(borrow)]
    pub allowances: Vec<Allowance<'a>>,
    /// Regions, sorted by provider and name.
    #[serde(borrow)]
    pub regions: Vec<Region<'a>>,
    /// Measured round trips.
    #[serde(borrow)]
    pub round_trips: Vec<RoundTrip<'a>>,
}
