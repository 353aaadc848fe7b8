//! What traffic between places costs. Looked up once for all places a problem names.

use std::collections::BTreeMap;

use crate::book::PriceBook;
use crate::estimate::{Options, quote};
use crate::latency::{RoundTripBasis, round_trip};
use crate::money::{Money, Quantity};
use crate::place::Place;

/// Prices and round trips between places, which are named by their index.
pub(super) struct Traffic {
    places: Vec<Place>,
    index: BTreeMap<Place, usize>,
    /// By place: the steps of the price to the internet.
    internet: Vec<Vec<(Option<Quantity>, Option<Money>)>>,
    /// By pair of places of one provider: per GB.
    between: BTreeMap<(usize, usize), Option<Money>>,
    /// By pair: microseconds, at the upper bound where it is an estimate.
    round_trips: BTreeMap<(usize, usize), Option<u32>>,
}

impl Traffic {
    pub(super) fn new(book: &PriceBook, options: &Options, named: impl Iterator<Item = Place>) -> Traffic {
        let index: BTreeMap<Place, usize> = {
            let mut places: Vec<Place> = named.collect();
            places.sort();
            places.dedup();
            places.into_iter().zip(0..).collect()
        };
        let places: Vec<Place> = index.keys().cloned().collect();
        let internet = places.iter().map(|place| quote::internet(book, options, place)).collect();
        let mut between = BTreeMap::new();
        let mut round_trips = BTreeMap::new();
        for (from, a) in places.iter().zip(0..) {
            for (to, b) in places.iter().zip(0..) {
                if a != b && from.provider == to.provider {
                    between.insert((a, b), quote::between(book, options, from, to));
                }
                let time = round_trip(book, from, to).map(|time| match time.basis {
                    RoundTripBasis::Measured { .. } => time.micros,
                    RoundTripBasis::Estimated { high_micros, .. } => high_micros,
                });
                round_trips.insert((a, b), time);
            }
        }
        Traffic { places, index, internet, between, round_trips }
    }

    /// All places, in the order of their indices.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter()
    }

    pub(super) fn place(&self, index: usize) -> &Place {
        &self.places[index]
    }

    /// The index of a place that was named.
    pub(super) fn index(&self, place: &Place) -> Option<usize> {
        self.index.get(place).copied()
    }

    /// GB per month from one place to another. Each flow climbs the steps by itself.
    pub(super) fn cost(&self, from: usize, to: usize, gb: Quantity) -> Option<Money> {
        if from == to || gb == Quantity::ZERO {
            return Some(Money::ZERO);
        }
        if let Some(per_gb) = self.between.get(&(from, to)) {
            return per_gb.map(|per_gb| per_gb.times(gb));
        }
        let (mut left, mut cost) = (gb, Money::ZERO);
        for (width, per_gb) in &self.internet[from] {
            if left == Quantity::ZERO {
                break;
            }
            let here = width.map_or(left, |width| left.min(width));
            cost += (*per_gb)?.times(here);
            left = left.less(here);
        }
        (left == Quantity::ZERO).then_some(cost)
    }

    /// The round trip in microseconds; where it is an estimate, its upper bound. None when it is not known.
    pub(super) fn round_trip(&self, from: usize, to: usize) -> Option<u32> {
        self.round_trips.get(&(from, to)).copied().flatten()
    }
}
