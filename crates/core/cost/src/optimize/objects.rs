//! Objects: the cheapest class that is fast enough, reading included.

use crate::book::PriceBook;
use crate::estimate::{Options, quote};
use crate::item::{Redundancy, StorageClass};
use crate::money::{Money, Quantity};
use crate::place::Place;

/// Objects whose class may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// What they are called.
    pub name: String,
    /// Where they lie.
    pub place: Place,
    /// Where copies are kept.
    pub redundancy: Redundancy,
    /// Their class.
    pub class: StorageClass,
    /// GB kept.
    pub kept_gb: Quantity,
    /// GB read per month.
    pub read_gb: Quantity,
    /// The slowest class that will do.
    pub slowest: StorageClass,
    /// The objective of the topology a change touches, in its words.
    pub objective: Option<String>,
}

/// What objects cost in a class per month. None when it is not known.
pub(super) fn cost(
    book: &PriceBook,
    options: &Options,
    objects: &Objects,
    class: StorageClass,
) -> Option<Money> {
    let how = (class, objects.redundancy);
    quote::objects(book, options, &objects.place, how, objects.kept_gb, objects.read_gb)
}

/// The cheapest class that is fast enough.
pub(super) fn best(book: &PriceBook, options: &Options, objects: &Objects) -> Option<(Money, StorageClass)> {
    [StorageClass::Hot, StorageClass::Cool, StorageClass::Archive]
        .into_iter()
        .filter(|class| *class <= objects.slowest)
        .filter_map(|class| Some((cost(book, options, objects, class)?, class)))
        .min()
}
