//! Statements: what an organisation used from one instant to another, and what that cost, from the log alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;
use univrs_model::ids::ResourceId;
use univrs_model::name::Name;
use univrs_model::usage::{Meter, UsageData, UsageEntry, UsageEvent};
use utoipa::ToSchema;

use crate::price::Money;
use crate::tiers::Tiers;

/// What an organisation used, and what that cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Statement {
    /// The organisation.
    pub org: Name,
    /// From when: entries that begin then or later.
    pub from: Timestamp,
    /// Until when: entries that begin before then.
    pub to: Timestamp,
    /// As three letters.
    pub currency: String,
    /// Its cost to the hundredth.
    #[schema(example = "12.35")]
    pub total: String,
    /// The same to the last digit.
    #[schema(example = "12.345000000000")]
    pub exact: String,
    /// How many entries of the log it is made of.
    pub entries: u64,
    /// By resource, meter and tier.
    pub lines: Vec<StatementLine>,
}

/// One line of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementLine {
    /// The resource.
    pub resource: ResourceId,
    /// Its name.
    pub name: Name,
    /// What was counted.
    pub meter: Meter,
    /// The tier whose price it has.
    pub tier: String,
    /// How much.
    pub amount: u64,
    /// In what.
    pub unit: String,
    /// What it cost, to the last digit.
    pub cost: String,
}

/// Sums entries that begin from `from` on and before `to`. An entry that is there twice counts once; one whose tier is
/// not known any more costs nothing.
pub fn statement<'a>(
    org: &Name,
    from: Timestamp,
    to: Timestamp,
    entries: impl IntoIterator<Item = &'a UsageEntry>,
    tiers: &Tiers,
) -> Statement {
    let mut seen = BTreeSet::new();
    let mut sums: BTreeMap<(&ResourceId, Meter, &str), (u64, &Name)> = BTreeMap::new();
    for entry in entries {
        let counts = entry.from >= from && entry.from < to;
        if !counts || !seen.insert((&entry.resource, entry.source.as_str(), entry.from)) {
            continue;
        }
        for (meter, amount) in &entry.amounts {
            let sum = sums.entry((&entry.resource, *meter, &entry.tier)).or_insert((0, &entry.name));
            sum.0 = sum.0.saturating_add(*amount);
        }
    }
    let mut total = Money::default();
    let mut lines = Vec::with_capacity(sums.len());
    for ((resource, meter, tier), (amount, name)) in sums {
        let cost = tiers.tier(tier).map(|tier| Money::of(tier, meter, amount)).unwrap_or_default();
        total = total + cost;
        lines.push(StatementLine {
            resource: resource.clone(),
            name: name.clone(),
            meter,
            tier: tier.to_owned(),
            amount,
            unit: meter.unit().to_owned(),
            cost: cost.to_string(),
        });
    }
    Statement {
        org: org.clone(),
        from,
        to,
        currency: tiers.currency.clone(),
        total: total.rounded(),
        exact: total.to_string(),
        entries: u64::try_from(seen.len()).unwrap_or(u64::MAX),
        lines,
    }
}

/// An entry as CloudEvents, one for each meter.
pub fn events(org: &Name, entry: &UsageEntry) -> Vec<UsageEvent> {
    let event = |(meter, amount): (&Meter, &u64)| UsageEvent {
        specversion: "1.0".to_owned(),
        id: format!("{}.{}.{}", entry.resource, meter.as_str(), entry.from.as_microsecond()),
        source: format!("/univrs/{}", entry.source),
        kind: "dev.univrs.usage.v1".to_owned(),
        subject: entry.resource.to_string(),
        time: entry.to,
        datacontenttype: "application/json".to_owned(),
        data: UsageData {
            org: org.clone(),
            resource: entry.name.clone(),
            template: entry.template.clone(),
            tier: entry.tier.clone(),
            meter: *meter,
            amount: *amount,
            unit: meter.unit().to_owned(),
            from: entry.from,
            to: entry.to,
        },
    };
    entry.amounts.iter().map(event).collect()
}
