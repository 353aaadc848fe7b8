//! What the book covers: for each family and region, how many types have which price.

use std::collections::BTreeMap;

use serde::Serialize;

use super::PriceBook;
use crate::table::{Provider, family};

/// What the book covers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// Sorted by provider, region and family.
    pub machines: Vec<FamilyCoverage>,
    /// Sorted by provider, service and sku.
    pub services: Vec<ServiceCoverage>,
}

/// How many types of a family have which price in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FamilyCoverage {
    /// Who sells.
    pub provider: Provider,
    /// Where.
    pub region: &'static str,
    /// The family.
    pub family: String,
    /// Types in the book.
    pub types: u32,
    /// With a price on demand.
    pub on_demand: u32,
    /// With a spot price.
    pub spot: u32,
}

/// Where a sku is priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceCoverage {
    /// Who sells.
    pub provider: Provider,
    /// What kind of thing.
    pub service: &'static str,
    /// Which one.
    pub sku: &'static str,
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
            let mut families: BTreeMap<String, [u32; 3]> = BTreeMap::new();
            for machine in &market.machines {
                let counts = families.entry(family(market.provider, machine.name)).or_default();
                counts[0] += 1;
                counts[1] += u32::from(machine.on_demand.is_some());
                counts[2] += u32::from(machine.spot.is_some());
            }
            let (provider, region) = (market.provider, market.region);
            coverage.machines.extend(families.into_iter().map(|(family, [types, on_demand, spot])| {
                FamilyCoverage { provider, region, family, types, on_demand, spot }
            }));
        }
        for row in &self.tables.services {
            let (provider, service, sku) = (row.provider, row.service, row.sku);
            let same =
                |last: &ServiceCoverage| (last.provider, last.service, last.sku) == (provider, service, sku);
            if !coverage.services.last().is_some_and(same) {
                coverage.services.push(ServiceCoverage {
                    provider,
                    service,
                    sku,
                    regions: 0,
                    everywhere: false,
                });
            }
            if let Some(last) = coverage.services.last_mut() {
                match row.region {
                    "*" => last.everywhere = true,
                    _ => last.regions += 1,
                }
            }
        }
        coverage
    }
}
