//! What resources used, what that costs, and when someone should be told: pure functions over what was measured.
//!
//! - `tiers`: what organisations may have and what it costs them, as data (`tiers.toml`).
//! - `price`: what a size costs in a month, and what usage cost; whole numbers throughout, so nothing is lost in sums.
//! - `statement`: an organisation's usage from one instant to another, summed from the log.
//! - `meter`: from readings of counters to what a window used.
//! - `alerts`: which alerts a picture of the state calls for.
//!
//! Promises, each with its property test in `tests/watch.rs`:
//! - **WAT-1** A statement is the sum of its entries to the last unit, however they are ordered or divided over statements.
//! - **WAT-2** An entry that comes twice counts once.
//! - **WAT-3** Meters never count backwards, and counters that begin anew lose nothing that was seen before.
//! - **WAT-4** An alert changes its state only when its condition held for its time; the same picture twice changes nothing.

pub mod alerts;
pub mod meter;
pub mod price;
pub mod statement;
pub mod tiers;
