//! What a promise of one or three years takes off the list price.
//!
//! Few discounts are published machine by machine. One that is known for another size of the same family holds for
//! the whole family, because providers sell these promises by processor or by normalised size. For the current
//! general families of AWS and Azure the discount of one published type stands for the others, marked as such;
//! everything else is unknown.

use super::{Price, PriceBook};
use crate::item::Term;
use crate::money::Ratio;
use crate::place::Place;
use crate::table::{Origin, Provider, family};

/// A discount and how far it was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// The part of the list price that is taken off, with nothing paid up front.
    pub discount: Ratio,
    /// What it is known for.
    pub basis: Basis,
    /// Where it was read.
    pub origin: Origin<'static>,
}

/// What a discount is known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// This very type.
    Type,
    /// Another size of the family, or another region.
    Family,
    /// Another family of the provider: an assumption.
    Provider,
}

impl PriceBook {
    /// The discount for promising to pay for a machine type for a term; none when it is not known.
    #[must_use]
    pub fn commitment(&self, place: &Place, machine: &str, term: Term) -> Option<Commitment> {
        self.services(place.provider, "reserved_discount")
            .filter_map(|row| {
                let known = committed_type(place.provider, row.sku, term)?;
                let here = row.region == place.region || row.region == "*";
                let basis = basis(place.provider, known, machine, here)?;
                let price: Price = self.price_of(row);
                let discount = Ratio::from_nanos(u64::try_from(price.amount.nanos()).ok()?);
                Some(Commitment { discount, basis, origin: price.origin })
            })
            // The closest basis, then the newest, then the smallest discount.
            .min_by_key(|c| (c.basis, std::cmp::Reverse(c.origin.date), c.discount))
    }
}

/// The machine type a row is about, when it is about this term without payment up front.
fn committed_type(provider: Provider, sku: &str, term: Term) -> Option<&str> {
    let years = match term {
        Term::OneYear => "1y",
        Term::ThreeYears => "3y",
    };
    match provider {
        Provider::Aws => sku.strip_prefix("ec2 ")?.strip_suffix(&format!(" {years} no upfront")),
        Provider::Azure => sku.strip_prefix("vm ")?.strip_suffix(&format!(" {years}")),
        Provider::Gcp => sku.strip_prefix("CUD ")?.strip_suffix(&format!(" {years}")),
        Provider::Oci | Provider::Hetzner | Provider::Digitalocean | Provider::Cloudflare => None,
    }
}

/// What a discount known for one type says about another; `here` when it is of the same region.
fn basis(provider: Provider, known: &str, machine: &str, here: bool) -> Option<Basis> {
    let name = machine.strip_prefix("Standard_").unwrap_or(machine);
    if known == name {
        return Some(if here { Basis::Type } else { Basis::Family });
    }
    let (known_family, own_family) = (family(provider, known), family(provider, name));
    match provider {
        // Google's discounts are the same for all processors and memory of a series.
        Provider::Gcp => {
            let series = |family: &str| family.split('-').next().map(str::to_owned);
            let shared = super::shares_processors(provider, machine);
            (series(&known_family) == series(&own_family) && !shared).then_some(Basis::Family)
        }
        _ if known_family == own_family => Some(Basis::Family),
        Provider::Aws => (known_family == "t3" && general(&own_family)).then_some(Basis::Provider),
        Provider::Azure => {
            let like =
                |family: &str| ["D#", "E#"].iter().any(|f| family.starts_with(f)) && family.ends_with("_v5");
            (known_family == "D#s_v5" && like(&own_family)).then_some(Basis::Provider)
        }
        Provider::Oci | Provider::Hetzner | Provider::Digitalocean | Provider::Cloudflare => None,
    }
}

/// Families of AWS for general use: the letters c, m, r and t with a generation and no accelerator.
fn general(family: &str) -> bool {
    let mut letters = family.chars();
    let class = letters.next().is_some_and(|letter| "cmrt".contains(letter));
    class && letters.next().is_some_and(|digit| ('5'..='8').contains(&digit) || family.starts_with('t'))
}
