//! The topology compiler as a whole: a text goes in; what is wrong with it, what it costs, what would be cheaper and
//! the files that make it true come out.
//!
//! ```text
//! text ── topology ──► Topology, Plan ─┬─ checks ─────────────────────────────► Report
//!                                      ├─ items ── cost::estimate ────────────► Estimate ── checks::prices ─► Report
//!                                      ├─ groups ─ cost::optimize ────────────► Outcome
//!                                      └─ tofu::emit ─────────────────────────► files
//! ```
//!
//! Each of [`check()`], [`plan()`], [`cost()`], [`optimize()`] and [`emit()`] goes the whole way from the text, so that
//! none of them can skip a check. Everything is a pure function: the day is a parameter, and the price book is built
//! into the program.

mod account;
mod check;
mod checks;
mod cost;
mod emit;
mod groups;
mod items;
mod market;
mod optimize;
mod options;
mod plan;
mod voters;

pub use check::{Checked, Priced, check};
pub use cost::{Costed, cost};
pub use emit::{EmitDocument, Emitted, emit};
pub use market::Market;
pub use optimize::{LeftOutDocument, OptimizeDocument, Optimized, ProposalDocument, optimize};
pub use options::Options;
pub use plan::{PlanDocument, Planned, plan};
pub use voters::{Ballot, MOST_VOTERS, VOTERS, VotersIn};

pub use univrs_cost::estimate::Document as CostDocument;
pub use univrs_cost::item::Term;
pub use univrs_cost::optimize::Rules;
pub use univrs_cost::{PriceBook, PriceDate};
pub use univrs_tofu::{Backend, Gap};
pub use univrs_topology::Input;
pub use univrs_topology::finding::{Finding, Report};
pub use univrs_topology::plan::Plan;
