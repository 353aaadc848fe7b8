//! What a topology costs, from dated list prices, and what would be cheaper.
//!
//! A [`PriceBook`] is built from `data/*.csv` when the crate is compiled; every row is checked on the way. An
//! [`estimate::estimate`] turns [`Item`]s into resources with cost components. [`latency::round_trip`] answers how far
//! two regions are apart.
//!
//! Money is an integer number of billionths of a dollar. A price that is not known is a value of its own: it makes a
//! total incomplete and is never taken for zero. Everything is a pure function; the day is a parameter.

pub mod book;
pub mod estimate;
pub mod item;
pub mod latency;
pub mod money;
pub mod optimize;
pub mod place;
pub mod table;

pub use book::{Price, PriceBook};
pub use item::{Item, Kind};
pub use money::{Currency, Money, Quantity, Ratio};
pub use place::Place;
pub use table::{PriceDate, Provider};
