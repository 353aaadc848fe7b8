//! Short ways to write items.

use univrs_cost::estimate::{Component, Estimate, Options, estimate};
use univrs_cost::item::{Kind, Machine, Purchase};
use univrs_cost::{Item, Money, Place, PriceBook, PriceDate};

/// The day the data was gathered.
pub(crate) fn today() -> PriceDate {
    PriceDate::new(2026, 11, 21).unwrap()
}

pub(crate) fn place(text: &str) -> Place {
    Place::parse(text).unwrap()
}

pub(crate) fn item(at: &str, count: u32, kind: Kind) -> Item {
    Item { name: "it".to_owned(), place: place(at), count, kind }
}

pub(crate) fn machine(type_name: &str) -> Machine {
    Machine {
        type_name: type_name.to_owned(),
        size: None,
        purchase: Purchase::OnDemand,
        disk: None,
        public_address: false,
        hours: None,
    }
}

pub(crate) fn machines(at: &str, count: u32, type_name: &str) -> Item {
    item(at, count, Kind::Machine(machine(type_name)))
}

pub(crate) fn bought(at: &str, count: u32, type_name: &str, purchase: Purchase) -> Item {
    item(at, count, Kind::Machine(Machine { purchase, ..machine(type_name) }))
}

pub(crate) fn priced(items: &[Item]) -> Estimate {
    estimate(PriceBook::builtin(), items, &Options::on(today()))
}

pub(crate) fn components(estimate: &Estimate) -> impl Iterator<Item = &Component> {
    estimate.resources.iter().flat_map(|resource| &resource.components)
}

pub(crate) fn usd(text: &str) -> Money {
    Money::parse(text).unwrap()
}
