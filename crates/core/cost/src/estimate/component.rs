//! The lines of an estimate.

use crate::book::{Elsewhere, Price};
use crate::money::{Money, Quantity};
use crate::place::Place;
use crate::table::PriceDate;

/// One item, priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The item's name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// How many of it; the components are for all of them.
    pub count: u32,
    /// The kind of resource in OpenTofu's words, for example `aws_instance`.
    pub resource_type: &'static str,
    /// What it is made of.
    pub components: Vec<Component>,
}

impl Resource {
    /// The sum of the known components per month.
    #[must_use]
    pub fn cost(&self) -> Money {
        self.components.iter().filter_map(|component| component.cost).sum()
    }

    /// Whether every component has a price of its own and a declared amount.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.components.iter().all(|component| component.gap.is_none())
    }
}

/// Some amount of something with a unit price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is, for people.
    pub name: String,
    /// What is counted.
    pub unit: &'static str,
    /// How much of it per month. None: not declared.
    pub amount: Option<Quantity>,
    /// What one unit costs, after discounts. None: not known.
    pub price: Option<Price>,
    /// Price times amount. None when either is missing.
    pub cost: Option<Money>,
    /// Whether the amount depends on use and not on what is set up.
    pub usage_based: bool,
    /// Why this component makes the total incomplete; none when it does not.
    pub gap: Option<Gap>,
    /// What a reader should know about the price.
    pub note: Option<String>,
}

/// Why a component makes the total incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The price is not known here.
    Price {
        /// Where it is known.
        elsewhere: Option<Elsewhere>,
    },
    /// The price of another region was assumed.
    Assumed {
        /// Whose.
        region: &'static str,
    },
    /// The amount was not declared.
    Amount,
}

impl Component {
    /// A component with a known price. Without an amount it is open.
    pub(super) fn priced(name: impl Into<String>, price: Price, amount: Option<Quantity>) -> Component {
        Component {
            name: name.into(),
            unit: price.unit,
            amount,
            price: Some(price),
            cost: amount.map(|amount| price.amount.times(amount)),
            usage_based: false,
            gap: if amount.is_none() { Some(Gap::Amount) } else { None },
            note: None,
        }
    }

    /// A component without a price.
    pub(super) fn unpriced(
        name: impl Into<String>,
        unit: &'static str,
        amount: Option<Quantity>,
    ) -> Component {
        Component {
            name: name.into(),
            unit,
            amount,
            price: None,
            cost: None,
            usage_based: false,
            gap: Some(Gap::Price { elsewhere: None }),
            note: None,
        }
    }

    pub(super) fn by_use(self) -> Component {
        Component { usage_based: true, ..self }
    }

    pub(super) fn noted(self, note: impl Into<String>) -> Component {
        let note = match self.note {
            Some(before) => format!("{before}; {}", note.into()),
            None => note.into(),
        };
        Component { note: Some(note), ..self }
    }

    /// The date of the price.
    #[must_use]
    pub fn date(&self) -> Option<PriceDate> {
        self.price.map(|price| price.origin.date)
    }

    /// Where the price was read.
    #[must_use]
    pub fn source(&self) -> Option<&'static str> {
        self.price.map(|price| price.origin.source)
    }

    /// Why the total is incomplete, in words, with what would help.
    #[must_use]
    pub fn gap_text(&self) -> Option<String> {
        Some(match self.gap.as_ref()? {
            Gap::Price { elsewhere: None } => "no price is known".to_owned(),
            Gap::Price { elsewhere: Some(elsewhere) } => {
                format!("no price is known here; in {} it is {}", elsewhere.region, elsewhere.price)
            }
            Gap::Assumed { region } => format!("the price of {region} is assumed"),
            Gap::Amount => "the amount is not declared".to_owned(),
        })
    }
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Fact,
    /// Something to act on.
    Warning,
}

/// What a reader should know about an estimate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// A stable name for the kind of notice, for example `free-tier-exceeded`.
    pub code: &'static str,
    /// The item it is about; none: the whole.
    pub item: Option<String>,
    /// What, with figures and dates.
    pub message: String,
}
