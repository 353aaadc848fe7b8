//! Long changes, step by step: what to do next with a persisted operation, and what it is after something happened.
//!
//! An [`Operation`](univrs_model::operation::Operation) is the whole state. Whoever carries it out loops: ask
//! [`next()`], act, tell [`apply()`] what happened, store the result, and ask again.
//!
//! - [`Next::Do`]: store [`SagaEvent::Began`] *before* the step is begun, then do it. Only report
//!   [`SagaEvent::Failed`] if it fails; if it does not, ask again and get [`Next::Verify`].
//! - [`Next::Verify`]: look whether the whole effect is there, and report [`SagaEvent::Done`], or
//!   [`SagaEvent::Failed`] if it is not.
//! - [`Next::Undo`]: store [`SagaEvent::Began`], undo the step, and report [`SagaEvent::Undone`] or
//!   [`SagaEvent::UndoFailed`].
//! - [`Next::Finish`]: store [`finish`].
//!
//! # After a crash
//!
//! The log knows that a step was begun, not how far it came. Whoever takes an operation over calls [`resume`] once:
//! a step left in `Doing` counts as a try that failed and is done again, one left in `Undoing` is undone again.
//! **Steps therefore have to be idempotent**: doing one again, undoing one again, and undoing one that had no
//! effect must all be harmless. Without [`resume`] the step is verified first and done again if its effect is
//! missing, which is as safe.
//!
//! Invariants, each with a property test:
//! - SAG-1: a step is begun only when every step before it is done.
//! - SAG-2: steps are undone in reverse order, every one that was begun, and no other.
//! - SAG-3: every operation ends, whatever fails and wherever it is interrupted.
//! - SAG-4: what has ended stays as it is; an event that does not fit, or comes twice, changes nothing.

mod apply;
mod next;

pub use apply::{SagaEvent, apply, finish, resume};
pub use next::{DO_TRIES, LONGEST_WAIT, Next, SHORTEST_WAIT, UNDO_TRIES, next, progress};
