//! The vocabulary of Univrs: ids, names, quantities, specs, assignments, observations, statuses, events.
//!
//! Everything here is plain data, valid by construction where a type can say it, and free of I/O, clocks and
//! randomness. All layers above speak these words, so a meaning is defined exactly once.
//!
//! One road for every change: a [`workload::WorkloadSpec`] is the user's and never edited by the system; the
//! control plane writes [`instance::Assignment`]s; nodes write [`instance::Observation`]s; what happened is
//! told in the past tense by [`event::Event`]s. Each stored object has exactly one writer (see [`keys`]).

pub mod alert;
pub mod caller;
pub mod certificate;
pub mod check;
pub mod decode;
pub mod event;
pub mod field;
pub mod ids;
pub mod instance;
pub mod join;
pub mod keys;
pub mod member;
pub mod mesh;
pub mod name;
pub mod node;
pub mod operation;
pub mod org;
pub mod peer;
pub mod policy;
pub mod quantity;
pub mod resource;
pub mod rollout;
pub mod secret;
pub mod span;
pub mod token;
pub mod usage;
pub mod volume;
pub mod workload;

/// A point in time, UTC, RFC 3339 on the wire.
pub type Timestamp = jiff::Timestamp;
