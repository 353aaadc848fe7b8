//! Round trips between regions: measured where someone published a measurement, else from the distance.
//!
//! The formula is a robust fit on 493 measured pairs of AWS and Azure regions: 5.5 ms plus 0.0158 ms for each
//! kilometre of the great circle. Half of those pairs lie within 12 % of it and nine in ten within 33 %; the bounds
//! given with an estimate are the latter. Light in fibre alone needs 0.01 ms per kilometre.

use std::fmt;

use crate::book::PriceBook;
use crate::place::Place;

/// The error nine in ten measured pairs stay within, in percent.
pub const P90_ERROR_PERCENT: u32 = 33;

const EARTH_RADIUS_KM: f64 = 6371.0;

/// A round trip and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTripTime {
    /// The median, in microseconds.
    pub micros: u32,
    /// How it is known.
    pub basis: RoundTripBasis,
}

/// How a round trip is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundTripBasis {
    /// Measured; who and when.
    Measured {
        /// Who published it and when.
        source: &'static str,
    },
    /// From the distance.
    Estimated {
        /// Kilometres of great circle.
        km: u32,
        /// The lower end of where nine in ten pairs lie, in microseconds.
        low_micros: u32,
        /// The upper end of it.
        high_micros: u32,
    },
}

impl RoundTripTime {
    /// Whole and tenths of milliseconds, for people: `64.8`.
    #[must_use]
    pub fn millis(&self) -> String {
        let tenths = (self.micros + 50) / 100;
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

impl fmt::Display for RoundTripTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.basis {
            RoundTripBasis::Measured { .. } => write!(f, "{} ms measured", self.millis()),
            RoundTripBasis::Estimated { km, .. } => {
                write!(f, "{} ms estimated ±{P90_ERROR_PERCENT} % over {km} km", self.millis())
            }
        }
    }
}

/// The round trip between two regions. A measurement in either direction counts, the one asked for first; without one
/// the formula is used. None when the book does not know where one of the regions lies.
#[must_use]
pub fn round_trip(book: &PriceBook, from: &Place, to: &Place) -> Option<RoundTripTime> {
    let (a, b) = (book.region_index(from)?, book.region_index(to)?);
    let measured = |from: usize, to: usize| {
        let rows = &book.tables().round_trips;
        let key = (from, to);
        rows.binary_search_by(|row| (usize::from(row.from), usize::from(row.to)).cmp(&key))
            .ok()
            .map(|index| &rows[index])
    };
    if let Some(row) = measured(a, b).or_else(|| measured(b, a)) {
        let basis = RoundTripBasis::Measured { source: row.source };
        return Some(RoundTripTime { micros: row.micros, basis });
    }
    let km = distance_km(book, a, b);
    Some(estimated(km))
}

/// The formula for a distance.
#[must_use]
pub fn estimated(km: u32) -> RoundTripTime {
    // In whole microseconds, so that no rounding differs between machines: 5.5 ms + 15.8 µs per kilometre.
    let micros = 5_500 + (u64::from(km) * 158 + 5) / 10;
    let bound = |percent: u32| u32::try_from(micros * u64::from(percent) / 100).unwrap_or(u32::MAX);
    RoundTripTime {
        micros: bound(100),
        basis: RoundTripBasis::Estimated {
            km,
            low_micros: bound(100 - P90_ERROR_PERCENT),
            high_micros: bound(100 + P90_ERROR_PERCENT),
        },
    }
}

/// Kilometres of great circle between two regions, by the haversine formula.
fn distance_km(book: &PriceBook, a: usize, b: usize) -> u32 {
    let radians = |index: usize| {
        let region = &book.tables().regions[index];
        let of = |ten_millionths: i32| (f64::from(ten_millionths) / 1e7).to_radians();
        (of(region.latitude), of(region.longitude))
    };
    let ((lat_a, lon_a), (lat_b, lon_b)) = (radians(a), radians(b));
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let chord = half(lat_b - lat_a) + lat_a.cos() * lat_b.cos() * half(lon_b - lon_a);
    let km = 2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin();
    // Not negative and at most half the circumference, 20,015.
    km.round() as u32
}
