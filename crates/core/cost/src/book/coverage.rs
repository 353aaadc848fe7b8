//! What the book covers: for each family and region, how many types have which price.

use std::collections::BTreeMap;

use serde::Serialize;

use super::PriceBook;
use crate::table::{Provider, family};

/// What the book covers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// By provider, region and family.
    pub machines: BTreeMap<(Provider, &'static str, String), FamilyCoverage>,
    /// By provider and service, the number of regions each sku is priced in; `*` counts as all.
    pub services: BTreeMap<(Provider, &'static str), BTreeMap<&'static str, ServiceReach>>,
}

/// How many types of a family have which price in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FamilyCoverage {
    /// Types in the book.
    pub types: u32,
    /// With a price on demand.
    pub on_demand: u32,
    /// With a spot price.
    pub spot: u32,
}

/// Where a sku is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ServiceReach {
    /// Regions with a price of their own.
    pub regions: u32,
    /// Whether one price holds everywhere.
    pub everywhere: bool,
}

impl PriceBook {
    /// What the book covers.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        for market in &self.tables.markets {
            for machine in &market.machines {
                let key = (market.provider, market.region, family(market.provider, machine.name));
                let family = coverage.machines.entry(key).or_default();
                family.types += 1;
                family.on_demand += u32::from(machine.on_demand.is_some());
                family.spot += u32::from(machine.spot.is_some());
            }
        }
        for row in &self.tables.services {
            let skus = coverage.services.entry((row.provider, row.service)).or_default();
            let reach = skus.entry(row.sku).or_default();
            match row.region {
                "*" => reach.everywhere = true,
                _ => reach.regions += 1,
            }
        }
        coverage
    }
}
