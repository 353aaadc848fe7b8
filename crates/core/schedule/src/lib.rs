//! Where instances go: filter, score, assign, and say why.
//!
//! A [`Scheduler`] mirrors the nodes and what is placed on them, kept up to date change by change. A [`Request`]
//! is an instance that wants a node. [`Scheduler::place`] answers the best node or why there is none; it reserves
//! nothing, so the caller adds the instance once its placement is written down.
//!
//! Requests that are alike share one *class*: the nodes' scores for them, in a tournament tree that is brought up
//! to date only for the nodes that changed since. One placement costs time logarithmic in the number of nodes and
//! none for the number of instances.
//!
//! Everything is deterministic: the same seed and the same calls give the same placements.
//!
//! Invariants, each with a property test:
//! - SCH-1: what is placed on a node never asks for more than the node has.
//! - SCH-2: no placement violates a constraint, a host port, an anti-affinity or a required spread.
//! - SCH-3: a request is refused exactly when no node passes all filters.
//! - SCH-4: the caches never change an answer.

mod class;
mod constraint;
mod explain;
mod filter;
mod instances;
mod node;
mod place;
mod preempt;
mod request;
mod scheduler;
mod tree;
mod voters;

pub use constraint::Constraint;
pub use explain::{Explanation, Filter, Near, NodeScore, Unplaceable};
pub use node::{NodeInfo, Placed};
pub use place::{Placement, Scores};
pub use preempt::Preemption;
pub use request::{Request, SpreadRule, check_placement};
pub use scheduler::Scheduler;
pub use voters::{Candidate, Seats, choose_voters, next_seat, odd_voters};
