//! The price book as the catalogue the topology asks.

use univrs_cost::book::Need;
use univrs_cost::item::Size;
use univrs_cost::table;
use univrs_cost::{Place, PriceBook, Provider};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_topology::catalogue::{Arch, Catalogue, Machine, MachineFacts, RegionFacts, Regions};
use univrs_topology::cloud::{Cloud, RegionId};

/// Names further apart than this many slips of the pen are not taken for each other.
const MOST_SLIPS: usize = 2;

/// The price book as a catalogue.
#[derive(Clone, Debug)]
pub struct Market<'a> {
    book: &'a PriceBook,
    regions: Regions,
}

impl<'a> Market<'a> {
    /// What `book` knows.
    pub fn new(book: &'a PriceBook) -> Self {
        Self { book, regions: Regions::default() }
    }
}

/// The cloud in the words of the price book.
pub(crate) const fn provider(cloud: Cloud) -> Provider {
    match cloud {
        Cloud::Aws => Provider::Aws,
        Cloud::Azure => Provider::Azure,
        Cloud::Gcp => Provider::Gcp,
        Cloud::Oci => Provider::Oci,
        Cloud::Hetzner => Provider::Hetzner,
        Cloud::DigitalOcean => Provider::Digitalocean,
        Cloud::Cloudflare => Provider::Cloudflare,
    }
}

/// The region in the words of the price book.
pub(crate) fn place(region: &RegionId) -> Place {
    Place::new(provider(region.cloud), region.name.as_str())
}

/// Processors and memory in the words of the price book.
pub(crate) fn size(vcpu: Cpu, memory: Bytes) -> Size {
    let most = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Size { milli_vcpu: most(vcpu.as_millicores()), mib: most(memory.get().div_ceil(1024 * 1024)) }
}

/// The architecture in the words of the price book.
pub(crate) const fn arch(arch: Arch) -> table::Arch {
    match arch {
        Arch::X86_64 => table::Arch::X86_64,
        Arch::Arm64 => table::Arch::Arm64,
    }
}

/// Databases, caches and sizes of flexible shapes stand in the book beside machines, under names no machine type has.
fn is_machine(name: &str) -> bool {
    !name.starts_with("db.") && !name.starts_with("cache.") && !name.contains('$')
}

fn slips(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(&one.to_ascii_lowercase(), &other.to_ascii_lowercase())
}

fn facts(machine: univrs_cost::book::MachineType) -> MachineFacts {
    MachineFacts {
        vcpu: Cpu::millicores(machine.size.milli_vcpu.into()),
        memory: Bytes::mebibytes(machine.size.mib.into()),
        arch: Some(match machine.arch {
            table::Arch::X86_64 => Arch::X86_64,
            table::Arch::Arm64 => Arch::Arm64,
        }),
    }
}

impl Catalogue for Market<'_> {
    fn region(&self, id: &RegionId) -> Option<RegionFacts> {
        self.regions.region(id)
    }

    fn regions(&self, cloud: Cloud) -> Vec<&str> {
        self.regions.regions(cloud)
    }

    fn machine(&self, region: &RegionId, machine: &str) -> Machine {
        let markets = &self.book.tables().markets;
        let ours = || markets.iter().filter(|market| market.provider == provider(region.cloud));
        if ours().next().is_none() {
            return Machine::NoData;
        }
        let here = self.book.machine(&place(region), machine).filter(|_| is_machine(machine));
        if let Some(found) = here {
            return match found.on_demand {
                Some(_) => Machine::Here(facts(found)),
                None => Machine::Elsewhere(facts(found)),
            };
        }
        let elsewhere =
            ours().find_map(|market| self.book.machine(&Place::new(market.provider, market.region), machine));
        match elsewhere.filter(|_| is_machine(machine)) {
            Some(found) => Machine::Elsewhere(facts(found)),
            None => Machine::Unknown,
        }
    }

    fn near_machine(&self, cloud: Cloud, machine: &str) -> Option<&str> {
        let near = self.book.near_types(provider(cloud), machine, 16);
        near.into_iter().find(|known| is_machine(known) && slips(known, machine) <= MOST_SLIPS)
    }

    fn fitting_machine(&self, region: &RegionId, vcpu: Cpu, memory: Bytes) -> Option<&str> {
        let need = Need { size: size(vcpu, memory), arch: None, shared: true };
        let place = place(region);
        let fitting = self.book.fitting(&place, need).filter(|machine| is_machine(machine.name));
        let priced = fitting.filter_map(|machine| Some((machine.on_demand?.amount, machine.name)));
        priced.min().map(|(_, name)| name)
    }
}
