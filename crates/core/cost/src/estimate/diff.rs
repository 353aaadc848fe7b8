//! What changed between two estimates.

use std::collections::{BTreeMap, BTreeSet};

use super::Estimate;
use super::component::Resource;
use crate::money::Money;
use crate::place::Place;

/// What changed between two estimates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The resources that changed, by name and place.
    pub resources: Vec<ResourceDifference>,
    /// The total before.
    pub before: Money,
    /// The total after.
    pub after: Money,
    /// Whether both totals are whole. If not, the change is one of the known parts only.
    pub complete: bool,
}

/// What changed in one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDifference {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// The kind of resource in OpenTofu's words.
    pub resource_type: &'static str,
    /// What it cost; none when it is new.
    pub before: Option<Money>,
    /// What it costs; none when it is gone.
    pub after: Option<Money>,
    /// Whether both costs are whole.
    pub complete: bool,
}

impl ResourceDifference {
    /// How much more it costs.
    #[must_use]
    pub fn change(&self) -> Money {
        self.after.unwrap_or_default() - self.before.unwrap_or_default()
    }
}

/// What changed from one estimate to the other. Resources are the same when name, place and type are.
#[must_use]
pub fn difference(before: &Estimate, after: &Estimate) -> Difference {
    let (old, new) = (keyed(before), keyed(after));
    let keys: BTreeSet<&Key<'_>> = old.keys().chain(new.keys()).collect();
    let resources = keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| {
            let whole = |side: &BTreeMap<Key<'_>, Sum>| side.get(key).is_none_or(|sum| sum.complete);
            let cost = |side: &BTreeMap<Key<'_>, Sum>| side.get(key).map(|sum| sum.cost);
            ResourceDifference {
                name: key.0.to_owned(),
                place: key.1.clone(),
                resource_type: key.2,
                before: cost(&old),
                after: cost(&new),
                complete: whole(&old) && whole(&new),
            }
        })
        .collect();
    let complete = before.complete && after.complete;
    Difference { resources, before: before.total, after: after.total, complete }
}

type Key<'a> = (&'a str, &'a Place, &'static str);

#[derive(PartialEq, Eq)]
struct Sum {
    cost: Money,
    count: u32,
    complete: bool,
}

fn keyed(estimate: &Estimate) -> BTreeMap<Key<'_>, Sum> {
    let mut sums: BTreeMap<Key<'_>, Sum> = BTreeMap::new();
    for resource in &estimate.resources {
        let key: Key<'_> = (&resource.name, &resource.place, resource.resource_type);
        let sum = sums.entry(key).or_insert(Sum { cost: Money::ZERO, count: 0, complete: true });
        sum.cost += Resource::cost(resource);
        sum.count = sum.count.saturating_add(resource.count);
        sum.complete &= resource.complete();
    }
    sums
}
