//! Machine types: by name, by need, and of flexible size.

use std::collections::BTreeSet;

use super::{Price, PriceBook};
use crate::item::Size;
use crate::money::{Money, Quantity, Ratio};
use crate::place::Place;
use crate::table::{Arch, Machine, Provider, family};

/// A machine type in one region, with its prices per hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineType {
    /// The provider's name for it.
    pub name: &'static str,
    /// Its instruction set.
    pub arch: Arch,
    /// Its size.
    pub size: Size,
    /// Linux, shared tenancy. None: not known.
    pub on_demand: Option<Price>,
    /// On the spot market. None: not sold there, or not known.
    pub spot: Option<Price>,
}

/// What a machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// At least this.
    pub size: Size,
    /// Only this instruction set; none: any.
    pub arch: Option<Arch>,
    /// Whether types that share their processors with others will do.
    pub shared: bool,
}

/// Prices per hour of a shape that is sold in any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlexibleRates {
    /// For each processor.
    pub vcpu: Price,
    /// For each GiB.
    pub memory: Price,
}

impl FlexibleRates {
    /// The price per hour of this size.
    #[must_use]
    pub fn of(&self, size: Size) -> Money {
        let (vcpu, gib) = units(size);
        self.vcpu.amount.times(vcpu) + self.memory.amount.times(gib)
    }
}

/// Processors and GiB as quantities.
pub(crate) fn units(size: Size) -> (Quantity, Quantity) {
    let vcpu = Quantity::from_micros(i128::from(size.milli_vcpu) * 1000);
    let gib = Quantity::from_micros(i128::from(size.mib) * 1_000_000 / 1024);
    (vcpu, gib)
}

impl PriceBook {
    /// A machine type in a region.
    #[must_use]
    pub fn machine(&self, place: &Place, name: &str) -> Option<MachineType> {
        let machines = &self.market(place)?.machines;
        let index = machines.binary_search_by(|machine| machine.name.cmp(name)).ok()?;
        Some(self.view(&machines[index]))
    }

    /// A machine type in a region, of a size where the type has none of its own.
    #[must_use]
    pub fn machine_of(&self, place: &Place, name: &str, size: Option<Size>) -> Option<MachineType> {
        let machine = self.machine(place, name)?;
        let Some(size) = size.filter(|size| *size != machine.size) else { return Some(machine) };
        if let Some(rates) = self.flexible(place, name) {
            let on_demand = Price { unit: "hours", ..rates.vcpu.at(rates.of(size)) };
            let half = self.service(place, "spot_discount", "preemptible");
            let spot = half.map(|discount| {
                let discount = Ratio::from_nanos(u64::try_from(discount.amount.nanos()).unwrap_or(0));
                on_demand.at(on_demand.amount.part(discount.rest()))
            });
            return Some(MachineType { size, on_demand: Some(on_demand), spot, ..machine });
        }
        let sized = format!("{name}$_{}_{}", size.milli_vcpu / 1000, size.mib / 1024);
        let whole = size.milli_vcpu.is_multiple_of(1000) && size.mib.is_multiple_of(1024);
        match self.machine(place, &sized).filter(|_| whole) {
            Some(sized) => Some(MachineType { name: machine.name, ..sized }),
            // The type is known, this size of it has no price.
            None if name.ends_with(".Flex") => {
                Some(MachineType { size, on_demand: None, spot: None, ..machine })
            }
            None => Some(machine),
        }
    }

    /// The rates of a shape of flexible size.
    #[must_use]
    pub fn flexible(&self, place: &Place, name: &str) -> Option<FlexibleRates> {
        // One OCPU is one processor on Arm and two on x86.
        let (shape, vcpu_per_ocpu) = match (place.provider, name) {
            (Provider::Oci, "VM.Standard.A1.Flex") => ("A1", 1),
            (Provider::Oci, "VM.Standard.E4.Flex") => ("E4", 2),
            (Provider::Oci, "VM.Standard.E5.Flex") => ("E5", 2),
            (Provider::Oci, "VM.Standard3.Flex") => ("Standard3", 2),
            _ => return None,
        };
        let last_step = |part: &str| {
            let sku = format!("{shape}-{part}");
            let steps = self.services(place.provider, "compute");
            // Where the list has steps, the last one is what comes after the free allowance.
            steps
                .filter(|row| row.sku == sku || row.sku.starts_with(&format!("{sku} from ")))
                .map(|row| self.price(row.quote, row.unit))
                .max_by_key(|price| price.amount)
        };
        let ocpu = last_step("ocpu-hour")?;
        let vcpu = ocpu.at(ocpu.amount.part(Ratio::percent(100 / vcpu_per_ocpu)));
        Some(FlexibleRates {
            vcpu: Price { unit: "vCPU-hours", ..vcpu },
            memory: Price { unit: "GiB-hours", ..last_step("memory-gb-hour")? },
        })
    }

    /// Whether the provider sells this type in any region of the book.
    #[must_use]
    pub fn sells(&self, provider: Provider, name: &str) -> bool {
        self.markets_of(provider).any(|m| m.machines.binary_search_by(|t| t.name.cmp(name)).is_ok())
    }

    /// All machine types of a provider.
    #[must_use]
    pub fn types(&self, provider: Provider) -> BTreeSet<&'static str> {
        self.markets_of(provider)
            .flat_map(|market| market.machines.iter().map(|machine| machine.name))
            .collect()
    }

    /// At most `most` types whose name is near to `name`, the nearest first.
    #[must_use]
    pub fn near_types(&self, provider: Provider, name: &str, most: usize) -> Vec<&'static str> {
        let lower = name.to_ascii_lowercase();
        let reach = (name.len() / 3).max(2);
        let mut near: Vec<(usize, &'static str)> = self
            .types(provider)
            .into_iter()
            .filter(|known| known.len().abs_diff(name.len()) <= reach)
            .map(|known| (strsim::damerau_levenshtein(&known.to_ascii_lowercase(), &lower), known))
            .filter(|(distance, _)| *distance <= reach)
            .collect();
        near.sort_unstable();
        near.into_iter().take(most).map(|(_, known)| known).collect()
    }

    /// The types of a region that meet a need and are sold as machines, in the order of their names.
    pub fn fitting(&self, place: &Place, need: Need) -> impl Iterator<Item = MachineType> {
        let provider = place.provider;
        let machines = self.market(place).map_or(&[][..], |market| &market.machines);
        machines
            .iter()
            .filter(move |m| Size { milli_vcpu: m.milli_vcpu, mib: m.mib }.covers(need.size))
            .filter(move |m| need.arch.is_none_or(|arch| arch == m.arch))
            .filter(move |m| need.shared || !shares_processors(provider, m.name))
            .filter(|m| !m.name.starts_with("db.") && !m.name.starts_with("cache."))
            .map(|machine| self.view(machine))
    }

    /// The cheapest type on demand that meets a need in a region. Types without a price never win.
    #[must_use]
    pub fn cheapest(&self, place: &Place, need: Need) -> Option<MachineType> {
        self.fitting(place, need)
            .filter(|machine| machine.on_demand.is_some())
            .min_by_key(|machine| (machine.on_demand.map(|price| price.amount), machine.name))
    }

    pub(super) fn markets_of(
        &self,
        provider: Provider,
    ) -> impl Iterator<Item = &crate::table::Market<'static>> {
        self.tables.markets.iter().filter(move |market| market.provider == provider)
    }

    pub(super) fn view(&self, machine: &Machine<'static>) -> MachineType {
        MachineType {
            name: machine.name,
            arch: machine.arch,
            size: Size { milli_vcpu: machine.milli_vcpu, mib: machine.mib },
            on_demand: machine.on_demand.map(|quote| self.price(quote, "hours")),
            spot: machine.spot.map(|quote| self.price(quote, "hours")),
        }
    }
}

/// Whether machines of this type share their processors, so that they run at full speed only for a while.
#[must_use]
pub fn shares_processors(provider: Provider, name: &str) -> bool {
    let family = family(provider, name);
    match provider {
        Provider::Aws => matches!(family.as_str(), "t2" | "t3" | "t3a" | "t4g"),
        Provider::Azure => family.starts_with("B#"),
        Provider::Gcp => {
            matches!(name, "e2-micro" | "e2-small" | "e2-medium" | "f1-micro" | "g1-small")
        }
        Provider::Oci => family.ends_with(".Micro"),
        Provider::Hetzner => !family.starts_with("ccx"),
        Provider::Digitalocean => family == "s",
        Provider::Cloudflare => false,
    }
}
