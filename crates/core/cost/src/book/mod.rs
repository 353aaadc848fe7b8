//! The price book: what the provider lists, when it was read, and from where.
//!
//! Invariant COST-5: a price that is not in the book is answered with `None`, never with zero.

mod commitment;
mod coverage;
mod machines;
mod services;

use std::fmt;
use std::sync::LazyLock;

pub use commitment::{Basis, Commitment};
pub use coverage::{Coverage, FamilyCoverage, ServiceCoverage};
pub(crate) use machines::units;
pub use machines::{FlexibleRates, MachineType, Need, shares_processors};
pub use services::Elsewhere;

use crate::money::Money;
use crate::place::Place;
use crate::table::{Market, Origin, PriceDate, Provider, Quote, Region, Tables};

/// A unit price with its date and source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// US dollars per unit.
    pub amount: Money,
    /// What one unit is, for example `hours` or `GB`.
    pub unit: &'static str,
    /// Where it was read.
    pub origin: Origin<'static>,
}

impl Price {
    /// The same price with another amount.
    #[must_use]
    pub fn at(self, amount: Money) -> Price {
        Price { amount, ..self }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} per {} ({})", self.amount, self.amount.currency(), self.unit, self.origin.date)
    }
}

/// All prices there are.
#[derive(Debug, Clone)]
pub struct PriceBook {
    tables: Tables<'static>,
}

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/book.bin"));
static BUILTIN: LazyLock<PriceBook> = LazyLock::new(PriceBook::read);

impl PriceBook {
    /// The book built into the program from `data/*.csv`. Read once, in a few milliseconds.
    #[must_use]
    pub fn builtin() -> &'static PriceBook {
        &BUILTIN
    }

    /// Reads the built-in book anew; [`PriceBook::builtin`] does it once.
    #[must_use]
    pub fn read() -> PriceBook {
        let tables =
            postcard::from_bytes(BYTES).expect("the build script wrote these bytes from the same types");
        PriceBook { tables }
    }

    /// The rows behind the book.
    #[must_use]
    pub fn tables(&self) -> &Tables<'static> {
        &self.tables
    }

    /// What is known about a region's place on the globe.
    #[must_use]
    pub fn region(&self, place: &Place) -> Option<&Region<'static>> {
        self.region_index(place).map(|index| &self.tables.regions[index])
    }

    pub(crate) fn region_index(&self, place: &Place) -> Option<usize> {
        let key = (place.provider, place.region.as_str());
        self.tables.regions.binary_search_by(|region| (region.provider, region.name).cmp(&key)).ok()
    }

    /// All known regions of a provider, priced or not.
    pub fn regions(&self, provider: Provider) -> impl Iterator<Item = &Region<'static>> {
        self.tables.regions.iter().filter(move |region| region.provider == provider)
    }

    /// The machines sold in a region; none when the book prices no machine there.
    #[must_use]
    pub fn market(&self, place: &Place) -> Option<&Market<'static>> {
        let key = (place.provider, place.region.as_str());
        let index = self.tables.markets.binary_search_by(|market| (market.provider, market.region).cmp(&key));
        index.ok().map(|index| &self.tables.markets[index])
    }

    /// The oldest date of any price in the book.
    #[must_use]
    pub fn oldest(&self) -> Option<PriceDate> {
        self.tables.origins.iter().map(|origin| origin.date).min()
    }

    fn price(&self, quote: Quote, unit: &'static str) -> Price {
        let origin = self.tables.origins[usize::from(quote.origin)];
        Price { amount: Money::from_nanos(i128::from(quote.nanos)), unit, origin }
    }
}
