//! Price tables: reading the CSV files, checking every row, and the form the checked book is kept in.
//!
//! The build script includes this folder by path, so it uses nothing of the rest of the crate.
//!
//! Invariants, each checked by [`compile()`] and tested with broken rows:
//! - COST-1: one price per provider, region, sku, operating system, tenancy and term.
//! - COST-2: no price is zero, negative or not a number, except those named as free.
//! - COST-3: every price has a date and a source.
//! - COST-4: prices of a machine family grow with its size, or the family is listed in `irregular.csv` with a reason.

mod compile;
mod csv;
mod date;
mod decimal;
mod family;
mod fault;
mod machines;
mod places;
mod row;
mod services;

pub use compile::{Sources, compile};
pub use date::PriceDate;
pub use decimal::{DecimalFault, parse as parse_decimal, print as print_decimal};
pub use family::family;
pub use fault::{Fault, Reason};
pub use row::{
    Allowance, Arch, Machine, Market, Meter, Origin, Provider, Quote, Region, RoundTrip, Service, Tables,
};
