//! Prices of what is not a machine.

use super::{Price, PriceBook};
use crate::place::Place;
use crate::table::{Allowance, Meter, Origin, PriceDate, Provider, Service};

/// A price that is known in another region than the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elsewhere {
    /// The region it is known in.
    pub region: &'static str,
    /// The price there.
    pub price: Price,
}

impl PriceBook {
    /// The price of a sku in a region, or everywhere (`*`).
    #[must_use]
    pub fn service(&self, place: &Place, service: &str, sku: &str) -> Option<Price> {
        let row = |region: &str| {
            let key = (place.provider, service, sku, region);
            let rows = &self.tables.services;
            rows.binary_search_by(|row| (row.provider, row.service, row.sku, row.region).cmp(&key))
                .ok()
                .map(|index| &rows[index])
        };
        let row = row(&place.region).or_else(|| row("*"))?;
        Some(self.price(row.quote, row.unit))
    }

    /// The price of a sku in the first other region that has one: a hint, not an answer.
    #[must_use]
    pub fn service_elsewhere(&self, provider: Provider, service: &str, sku: &str) -> Option<Elsewhere> {
        let row = self.services(provider, service).find(|row| row.sku == sku)?;
        Some(Elsewhere { region: row.region, price: self.price(row.quote, row.unit) })
    }

    /// All rows of one service of a provider, sorted by sku and region.
    pub fn services(&self, provider: Provider, service: &str) -> impl Iterator<Item = &Service<'static>> {
        let rows = &self.tables.services;
        let start = rows.partition_point(|row| (row.provider, row.service) < (provider, service));
        rows[start..].iter().take_while(move |row| row.provider == provider && row.service == service)
    }

    /// The price in a row of [`PriceBook::services`].
    #[must_use]
    pub fn price_of(&self, row: &Service<'static>) -> Price {
        self.price(row.quote, row.unit)
    }

    /// What is free per month on `today` for accounts of `plan`, with where that was read. `plan` none means only what
    /// every account has.
    pub fn allowances(
        &self,
        provider: Provider,
        plan: Option<&str>,
        meter: Meter,
        today: PriceDate,
    ) -> impl Iterator<Item = (&Allowance<'static>, Origin<'static>)> {
        self.tables
            .allowances
            .iter()
            .filter(move |a| a.provider == provider && a.meter == meter)
            .filter(move |a| a.plan == "*" || plan == Some(a.plan))
            .filter(move |a| {
                a.from.is_none_or(|from| from <= today) && a.until.is_none_or(|until| today <= until)
            })
            .map(|a| (a, self.tables.origins[usize::from(a.origin)]))
    }

    /// The plans a provider gives free allowances under, `*` left out.
    #[must_use]
    pub fn plans(&self, provider: Provider) -> Vec<&'static str> {
        let mut plans: Vec<&'static str> = self
            .tables
            .allowances
            .iter()
            .filter(|allowance| allowance.provider == provider && allowance.plan != "*")
            .map(|allowance| allowance.plan)
            .collect();
        plans.sort_unstable();
        plans.dedup();
        plans
    }
}
