//! What a compilation depends on besides the text.

use univrs_cost::{PriceBook, PriceDate};
use univrs_topology::Input;

/// What a compilation depends on besides the text.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Prices and what is known of regions and machine types.
    pub book: &'a PriceBook,
    /// The day it is made for: ages of prices and free allowances are judged on it.
    pub today: PriceDate,
    /// Prices older than this many days are reported.
    pub max_price_age: Option<u32>,
    /// Where a price is known in another region only, that one is assumed. The total still counts as incomplete.
    pub assume_missing: bool,
    /// Other topologies whose address ranges must stay apart from this one's.
    pub with: &'a [Input<'a>],
}

impl Options<'static> {
    /// The built-in price book on that day, and nothing else.
    pub fn on(today: PriceDate) -> Self {
        Self { book: PriceBook::builtin(), today, max_price_age: None, assume_missing: false, with: &[] }
    }
}
