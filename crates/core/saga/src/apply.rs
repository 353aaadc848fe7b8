//! What an operation is after something happened. Events that do not fit change nothing (SAG-4).

use univrs_model::Timestamp;
use univrs_model::operation::{Operation, OperationStatus, Step, StepStatus};

use crate::next::{DO_TRIES, Next, UNDO_TRIES, backward, forward, next, unwinds};

/// What happened. Steps are named by their position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaEvent {
    /// What [`Next::Do`] or [`Next::Undo`] asked for is about to be begun.
    Began {
        /// Which step.
        step: usize,
    },
    /// The effect of the step is there.
    Done {
        /// Which step.
        step: usize,
    },
    /// The step failed, or its effect is not there.
    Failed {
        /// Which step.
        step: usize,
        /// Why.
        error: String,
        /// Whether trying again may help.
        temporary: bool,
    },
    /// The effect of the step is gone.
    Undone {
        /// Which step.
        step: usize,
    },
    /// The step could not be undone this time.
    UndoFailed {
        /// Which step.
        step: usize,
        /// Why.
        error: String,
    },
    /// Someone asked to stop the operation.
    CancelRequested,
}

/// The operation after `event`.
pub fn apply(mut operation: Operation, event: SagaEvent, now: Timestamp) -> Operation {
    if operation.status == OperationStatus::Running && change(&mut operation, event) {
        operation.updated_at = now;
    }
    operation
}

/// The operation as someone has to see it who takes it over after a crash: a step that was being done counts as a
/// try that failed, so that one which brings the program down each time is not tried for ever.
pub fn resume(operation: Operation, now: Timestamp) -> Operation {
    let interrupted = |step: &Step| step.status == StepStatus::Doing && step.error.is_none();
    match forward(&operation) {
        Some((index, step)) if interrupted(step) && !unwinds(&operation) => {
            let error = "interrupted before it was known to be done".to_owned();
            apply(operation, SagaEvent::Failed { step: index, error, temporary: true }, now)
        }
        _ => operation,
    }
}

/// The operation ended, if [`next`] says that it is to end.
pub fn finish(mut operation: Operation, now: Timestamp) -> Operation {
    if let Next::Finish(status) = next(&operation, now) {
        operation.status = status;
        operation.updated_at = now;
    }
    operation
}

/// Whether the event fits and the operation was changed.
fn change(operation: &mut Operation, event: SagaEvent) -> bool {
    match event {
        SagaEvent::Began { step } => begin(operation, step),
        SagaEvent::Done { step } => match being_done(operation, step) {
            Some(step) => {
                step.status = StepStatus::Done;
                step.error = None;
                true
            }
            None => false,
        },
        SagaEvent::Failed { step, error, temporary } => fail(operation, step, error, temporary),
        SagaEvent::Undone { step } => match being_undone(operation, step) {
            Some(step) => {
                step.status = StepStatus::Undone;
                true
            }
            None => false,
        },
        SagaEvent::UndoFailed { step, error } => fail_undo(operation, step, error),
        SagaEvent::CancelRequested => !std::mem::replace(&mut operation.cancel_requested, true),
    }
}

fn begin(operation: &mut Operation, index: usize) -> bool {
    if unwinds(operation) {
        return match being_undone(operation, index) {
            Some(step) if step.status != StepStatus::Undoing => {
                step.status = StepStatus::Undoing;
                step.attempts = 0;
                true
            }
            _ => false,
        };
    }
    let its_turn = forward(operation).is_some_and(|(first, _)| first == index);
    let Some(step) = operation.steps.get_mut(index) else { return false };
    let again = step.status == StepStatus::Doing && step.error.is_some();
    if !its_turn || !(again || step.status == StepStatus::Waiting) {
        return false;
    }
    step.status = StepStatus::Doing;
    step.attempts = step.attempts.saturating_add(1);
    step.error = None;
    true
}

fn fail(operation: &mut Operation, index: usize, error: String, temporary: bool) -> bool {
    let stopping = operation.cancel_requested;
    let Some(step) = being_done(operation, index) else { return false };
    let for_good = !temporary || step.attempts >= DO_TRIES;
    step.error = Some(error.clone());
    if for_good {
        step.status = StepStatus::Failed;
        let text = format!("{}: {error}", step.name);
        // What fails after someone asked to stop is not why it ends.
        if !stopping {
            operation.error = Some(text);
        }
    }
    true
}

fn fail_undo(operation: &mut Operation, index: usize, error: String) -> bool {
    let Some(step) = being_undone(operation, index) else { return false };
    if step.status != StepStatus::Undoing {
        step.attempts = 0;
    }
    step.status = StepStatus::Undoing;
    step.attempts = step.attempts.saturating_add(1);
    let given_up = (step.attempts >= UNDO_TRIES).then(|| format!("{} cannot be undone: {error}", step.name));
    step.error = Some(error);
    if let Some(text) = given_up {
        operation.error = Some(match operation.error.take() {
            Some(earlier) => format!("{earlier}; {text}"),
            None => text,
        });
    }
    true
}

/// The step of this position, if it is under way. One that waits for its next try is not.
fn being_done(operation: &mut Operation, index: usize) -> Option<&mut Step> {
    let step = operation.steps.get_mut(index)?;
    (step.status == StepStatus::Doing && step.error.is_none()).then_some(step)
}

/// The step of this position, if it is the one to undo.
fn being_undone(operation: &mut Operation, index: usize) -> Option<&mut Step> {
    if !unwinds(operation) || backward(operation)?.0 != index {
        return None;
    }
    operation
        .steps
        .get_mut(index)
        .filter(|step| step.status != StepStatus::Undoing || step.attempts < UNDO_TRIES)
}
