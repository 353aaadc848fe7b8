//! From the plan to what the estimate counts: everything in it that a provider sends a bill for.

mod machines;
mod services;
mod traffic;

use std::collections::BTreeMap;

pub(crate) use machines::{disk, purchase};
pub(crate) use services::{gigabytes, redundancy};
pub(crate) use traffic::spans_zones;
use univrs_cost::{Item, Kind, Place};
use univrs_topology::plan::Plan;
use univrs_topology::topology::Topology;

/// Items, and where in the file each name comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill {
    pub(crate) items: Vec<Item>,
    paths: BTreeMap<String, String>,
}

impl Bill {
    fn add(&mut self, name: &str, path: &str, place: Place, count: u32, kind: Kind) {
        if count > 0 {
            self.paths.entry(name.to_owned()).or_insert_with(|| path.to_owned());
            self.items.push(Item { name: name.to_owned(), place, count, kind });
        }
    }

    /// Where the file says what costs this.
    pub(crate) fn path(&self, item: &str) -> &str {
        self.paths.get(item).map_or("", String::as_str)
    }
}

/// Everything in `plan` that costs.
pub(crate) fn bill(topology: &Topology, plan: &Plan) -> Bill {
    let mut bill = Bill::default();
    for region in &plan.regions {
        machines::add(&mut bill, region);
    }
    let shares = traffic::Shares::new(plan);
    for (index, region) in plan.regions.iter().enumerate() {
        services::add_ways_in_and_out(&mut bill, topology, region, shares.internet(plan, index));
        for service in &region.services {
            services::add(&mut bill, service);
        }
    }
    for service in plan.clouds.iter().flat_map(|cloud| &cloud.services) {
        services::add(&mut bill, service);
    }
    services::add_links(&mut bill, plan);
    services::add_names(&mut bill, plan);
    traffic::add(&mut bill, plan, &shares);
    bill
}
