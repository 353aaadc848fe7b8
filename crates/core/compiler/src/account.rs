//! `[account]` in the words of the estimate: discounts, free tiers, prices kept from earlier.

use univrs_cost::estimate::{Missing, Options as CostOptions};
use univrs_cost::item::Grandfathered;
use univrs_cost::{Money, Ratio};
use univrs_topology::cloud::Cloud;
use univrs_topology::plan::Plan;
use univrs_topology::spec::{FreeTier, HeldPrice};

use crate::Options;
use crate::market::{place, provider};

/// The only currency there are prices in.
pub(crate) const CURRENCY: &str = "USD";

/// What the estimate of `plan` depends on.
pub(crate) fn cost_options(plan: &Plan, options: &Options<'_>) -> CostOptions {
    let account = &plan.account;
    let paid = |off: u32| Ratio::from_nanos(u64::from(1_000_000u32.saturating_sub(off)) * 1000);
    CostOptions {
        max_price_age: options.max_price_age,
        discounts: account.discount.iter().map(|(cloud, off)| (provider(*cloud), paid(*off))).collect(),
        grandfathered: account.prices.iter().flat_map(|held| kept(plan, held, options)).collect(),
        plans: account
            .free_tier
            .iter()
            .map(|(cloud, tier)| (provider(*cloud), free_plan(*cloud, *tier).to_owned()))
            .collect(),
        missing: if options.assume_missing { Missing::AssumeElsewhere } else { Missing::Unknown },
        ..CostOptions::on(options.today)
    }
}

/// The price book's name of a free tier.
const fn free_plan(cloud: Cloud, tier: FreeTier) -> &'static str {
    match (cloud, tier) {
        (_, FreeTier::None) => "none",
        (_, FreeTier::Credits2025) => "credits-2025",
        // Of accounts opened before 2025-07-15.
        (Cloud::Aws, FreeTier::TwelveMonths) => "legacy-12-months",
        (_, FreeTier::TwelveMonths) => "12-months",
        (_, FreeTier::AlwaysFree) => "always-free",
    }
}

/// A kept price holds in every region of its cloud.
fn kept(plan: &Plan, held: &HeldPrice, options: &Options<'_>) -> Vec<Grandfathered> {
    if held.monthly.currency != CURRENCY {
        return Vec::new();
    }
    let regions = plan.regions.iter().filter(|region| region.cloud == held.cloud);
    let price = |region: &univrs_topology::plan::RegionPlan| Grandfathered {
        place: place(&region.id),
        type_name: held.machine.clone(),
        per_hour: money(held.monthly.micros).per_hour(),
        date: options.today,
    };
    regions.map(price).collect()
}

/// Millionths of a dollar as money.
pub(crate) fn money(micros: u64) -> Money {
    Money::from_nanos(i128::from(micros) * 1000)
}
