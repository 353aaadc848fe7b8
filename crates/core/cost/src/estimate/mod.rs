//! From items to resources with cost components, and to one total that says whether it is whole.
//!
//! Invariants:
//! - COST-6: a total is exactly the sum of its known components.
//! - COST-7: a component without a price, or without a declared amount, adds nothing and makes the total incomplete.

mod component;
mod desk;
mod diff;
mod document;
mod edge;
mod free;
mod machine;
mod managed;
mod names;
mod network;
pub(crate) mod quote;
mod report;
mod storage;

use std::collections::BTreeMap;

pub use component::{Component, Gap, Notice, Resource, Severity};
pub use diff::{Difference, ResourceDifference, difference};
pub use document::Document;
pub use report::{difference_table, table};

use crate::book::PriceBook;
use crate::item::{Grandfathered, Item, Kind};
use crate::money::{Money, Ratio};
use crate::table::{PriceDate, Provider};
use desk::Desk;

/// What an estimate depends on besides the items and the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The day it is made for: ages of prices and free allowances are judged on it.
    pub today: PriceDate,
    /// Prices older than this many days are reported.
    pub max_price_age: Option<u32>,
    /// The part of the list price that is paid, by provider: `0.9` for ten percent off.
    pub discounts: BTreeMap<Provider, Ratio>,
    /// Prices kept from before a rise. They are what is paid: no discount is taken off them.
    pub grandfathered: Vec<Grandfathered>,
    /// The kind of account, by provider, which decides what is free: see [`PriceBook::plans`].
    pub plans: BTreeMap<Provider, String>,
    /// What to do when a price is not known in a region but is elsewhere.
    pub missing: Missing,
}

impl Options {
    /// List prices on that day.
    #[must_use]
    pub fn on(today: PriceDate) -> Options {
        Options {
            today,
            max_price_age: None,
            discounts: BTreeMap::new(),
            grandfathered: Vec::new(),
            plans: BTreeMap::new(),
            missing: Missing::Unknown,
        }
    }
}

/// What to do when a price is not known in a region but is elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// It stays unknown; the other region's price is given as a hint.
    #[default]
    Unknown,
    /// The other region's price is assumed. The total still counts as incomplete.
    AssumeElsewhere,
}

/// What the items cost per month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// One for each item, in the same order.
    pub resources: Vec<Resource>,
    /// The sum of all known components.
    pub total: Money,
    /// The part of the total that depends on declared traffic and the like.
    pub usage: Money,
    /// Whether every component has a price of its own and a declared amount.
    pub complete: bool,
    /// Components without a price.
    pub unpriced: u32,
    /// Components without a declared amount.
    pub undeclared: u32,
    /// The date of the oldest price in it.
    pub oldest: Option<PriceDate>,
    /// What a reader should know.
    pub notices: Vec<Notice>,
}

/// What `items` cost per month by the prices of `book`.
#[must_use]
pub fn estimate(book: &PriceBook, items: &[Item], options: &Options) -> Estimate {
    let mut desk = Desk::new(book, options, items);
    let resources: Vec<Resource> = items.iter().map(|item| resource(&mut desk, item)).collect();
    let components = || resources.iter().flat_map(|resource| &resource.components);
    desk.name_missing_egress(items);
    desk.judge_ages(components());
    let count = |gap: fn(&Gap) -> bool| {
        let found = components().filter(|c| c.gap.as_ref().is_some_and(gap)).count();
        u32::try_from(found).unwrap_or(u32::MAX)
    };
    let total = components().filter_map(|component| component.cost).sum();
    let usage = components().filter(|c| c.usage_based).filter_map(|c| c.cost).sum();
    Estimate {
        total,
        usage,
        complete: components().all(|component| component.gap.is_none()),
        unpriced: count(|gap| matches!(gap, Gap::Price { .. })),
        undeclared: count(|gap| matches!(gap, Gap::Amount)),
        oldest: components().filter(|c| c.cost.is_some()).filter_map(|c| c.date()).min(),
        notices: desk.into_notices(),
        resources,
    }
}

fn resource(desk: &mut Desk<'_>, item: &Item) -> Resource {
    let mut components = match &item.kind {
        Kind::Machine(machine) => desk.machine(item, machine),
        Kind::ContainerGroup { size } => desk.container_group(item, *size),
        Kind::Nat { machines, processed_gb } => desk.nat(item, *machines, *processed_gb),
        Kind::LoadBalancer { kind, processed_gb } => desk.load_balancer(item, *kind, *processed_gb),
        Kind::Vpn { connections } => desk.vpn(item, *connections),
        Kind::PublicAddress => vec![desk.public_address(item)],
        Kind::Egress { to, gb } => desk.egress(item, to, *gb),
        Kind::ObjectStorage(storage) => desk.object_storage(item, storage),
        Kind::Database(database) => desk.database(item, database),
        Kind::Cache { mib, replicas, class } => desk.cache(item, *mib, *replicas, class.as_deref()),
        Kind::Dns { zones, million_queries, health_checks } => {
            desk.dns(item, *zones, *million_queries, *health_checks)
        }
        Kind::Keys { keys, requests } => desk.keys(item, *keys, *requests),
        Kind::Logs { ingested_gb, kept_gb } => desk.logs(item, *ingested_gb, *kept_gb),
    };
    components.retain(|component| component.amount.is_none_or(|amount| amount.micros() > 0));
    Resource {
        name: item.name.clone(),
        place: item.place.clone(),
        count: item.count,
        resource_type: names::resource_type(item.place.provider, &item.kind),
        components,
    }
}
