//! Prices of single parts, for choosing between places: a disk, traffic, a storage class. None when any part of it is
//! not known.

use super::Options;
use super::component::Component;
use super::desk::Desk;
use super::network::internet_steps;
use super::storage::{disk_lines, retrieval_sku, storage_sku};
use crate::book::PriceBook;
use crate::item::{Disk, Redundancy, StorageClass};
use crate::money::{Money, Quantity};
use crate::place::Place;

/// The sum of components that all have their own price.
fn whole(components: &[Component]) -> Option<Money> {
    let known = |component: &Component| component.cost.filter(|_| component.gap.is_none());
    components.iter().map(known).sum()
}

/// A disk per month.
pub(crate) fn disk(book: &PriceBook, options: &Options, place: &Place, disk: Disk) -> Option<Money> {
    whole(&disk_lines(&Desk::new(book, options, &[]), place, disk, 1))
}

/// The steps of the price of traffic to the internet: how wide, and per GB. Free allowances are left out.
pub(crate) fn internet(
    book: &PriceBook,
    options: &Options,
    place: &Place,
) -> Vec<(Option<Quantity>, Option<Money>)> {
    let desk = Desk::new(book, options, &[]);
    let price = |sku: &str| desk.price(place, "egress", sku).ok().map(|price| price.amount);
    internet_steps(&desk, place).iter().map(|step| (step.width, price(&step.sku))).collect()
}

/// A GB to another region of the same provider.
pub(crate) fn between(book: &PriceBook, options: &Options, from: &Place, to: &Place) -> Option<Money> {
    let one = Some(Quantity::units(1));
    whole(&[Desk::new(book, options, &[]).between_regions(from, to, one)])
}

/// Keeping and reading objects per month.
pub(crate) fn objects(
    book: &PriceBook,
    options: &Options,
    place: &Place,
    (class, redundancy): (StorageClass, Redundancy),
    kept_gb: Quantity,
    read_gb: Quantity,
) -> Option<Money> {
    let desk = Desk::new(book, options, &[]);
    let price = |sku: &str| desk.price(place, "object_storage", sku).ok().map(|price| price.amount);
    let kept = price(storage_sku(place.provider, class, redundancy)?)?.times(kept_gb);
    let read = match retrieval_sku(place.provider, class) {
        Some(None) => Money::ZERO,
        _ if read_gb == Quantity::ZERO => Money::ZERO,
        Some(Some(sku)) => price(sku)?.times(read_gb),
        None => return None,
    };
    Some(kept + read)
}
