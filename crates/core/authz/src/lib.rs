//! Who may do what: a caller, an action and an object go in; allow or deny comes out, with the reason.
//!
//! The rules are Cedar policies that ship with the program (`policies.cedar`), checked against a schema when an
//! [`Authorizer`] is made. Nothing is permitted unless a rule says so, and whatever goes wrong while deciding
//! denies. Every face asks through the same control plane, so REST, WebSocket and command line cannot differ.
//!
//! ```
//! use univrs_authz::{Action, Authorizer, Object};
//! use univrs_model::caller::Caller;
//!
//! let authorizer = Authorizer::new()?;
//! let web = Object { kind: "workload", org: Some("default"), name: "web" };
//! let decision = authorizer.decide(&Caller::local_admin(), Action::WorkloadWrite, &web);
//! assert!(decision.allow);
//! assert_eq!(decision.rule, "operate");
//! # Ok::<(), univrs_authz::PolicyError>(())
//! ```
//!
//! Invariants, each with a test:
//! - AUT-1: what a lesser grant may do, every greater one may do; someone on this machine may do what an
//!   administrator may, in every organisation.
//! - AUT-2: a token of an organisation never reaches an object of another one, and changes nothing that belongs to
//!   the cluster.
//! - AUT-3: every [`Action`] is in the schema and is named by a rule that permits it.

mod action;
mod authorizer;
mod error;
mod rules;

pub use action::{Action, Owner};
pub use authorizer::{Authorizer, DEFAULT_DENY, Decision, Object};
pub use error::PolicyError;
