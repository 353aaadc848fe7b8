//! What a topology costs, from dated list prices.

pub mod book;
pub mod item;
pub mod latency;
pub mod money;
pub mod place;
pub mod table;

pub use book::{Price, PriceBook};
pub use item::{Item, Kind};
pub use money::{Currency, Money, Quantity, Ratio};
pub use place::Place;
pub use table::{PriceDate, Provider};
