//! What is to be done next with an operation. Reads, and changes nothing.

use univrs_model::Timestamp;
use univrs_model::operation::{Operation, OperationStatus, Step, StepStatus};
use univrs_model::span::Span;

/// How often a step is tried before it has failed for good.
pub const DO_TRIES: u32 = 5;
/// How often undoing a step is tried before the operation is given up. More often than doing: what is not undone
/// is left to people.
pub const UNDO_TRIES: u32 = 8;
/// The wait after the first failed try; each later one is twice as long as the one before.
pub const SHORTEST_WAIT: Span = Span::seconds(1);
/// The longest wait between two tries.
pub const LONGEST_WAIT: Span = Span::seconds(60);

/// What is to be done. Steps are named by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Begin this step.
    Do {
        /// Which.
        step: usize,
    },
    /// Look whether the effect of this step is there.
    Verify {
        /// Which.
        step: usize,
    },
    /// Take the effect of this step back, if it had any.
    Undo {
        /// Which.
        step: usize,
    },
    /// The operation ends like this.
    Finish(OperationStatus),
    /// A try failed; ask again at this time.
    Wait {
        /// When.
        until: Timestamp,
    },
    /// The operation has ended.
    Nothing,
}

/// What is to be done next.
pub fn next(operation: &Operation, now: Timestamp) -> Next {
    if operation.status != OperationStatus::Running {
        return Next::Nothing;
    }
    if unwinds(operation) { next_back(operation, now) } else { next_forward(operation, now) }
}

fn next_forward(operation: &Operation, now: Timestamp) -> Next {
    let Some((index, step)) = forward(operation) else { return Next::Finish(OperationStatus::Succeeded) };
    match (step.status, &step.error) {
        (StepStatus::Doing, None) => Next::Verify { step: index },
        (StepStatus::Doing, Some(_)) => after_wait(operation, step, now, Next::Do { step: index }),
        _ => Next::Do { step: index },
    }
}

fn next_back(operation: &Operation, now: Timestamp) -> Next {
    let Some((index, step)) = backward(operation) else {
        // A failure before anyone asked to stop is what ended it.
        let failed = operation.error.is_some() || !operation.cancel_requested;
        return Next::Finish(if failed { OperationStatus::Undone } else { OperationStatus::Cancelled });
    };
    match step.status {
        StepStatus::Undoing if step.attempts >= UNDO_TRIES => Next::Finish(OperationStatus::Failed),
        StepStatus::Undoing => after_wait(operation, step, now, Next::Undo { step: index }),
        _ => Next::Undo { step: index },
    }
}

/// How far the operation is, 0 to 100. It goes back while steps are undone.
pub fn progress(operation: &Operation) -> u8 {
    let at = if operation.status == OperationStatus::Succeeded {
        None
    } else if unwinds(operation) {
        match backward(operation) {
            Some((_, step)) => Some(step),
            None => return 0,
        }
    } else {
        forward(operation).map(|(_, step)| step)
    };
    at.map_or(100, |step| step.progress.min(100))
}

/// Whether the operation goes backwards: someone asked to stop it, or a step failed for good.
pub(crate) fn unwinds(operation: &Operation) -> bool {
    let back =
        |step: &Step| matches!(step.status, StepStatus::Failed | StepStatus::Undoing | StepStatus::Undone);
    operation.cancel_requested || operation.steps.iter().any(back)
}

/// The step to do: the first that is not done (SAG-1).
pub(crate) fn forward(operation: &Operation) -> Option<(usize, &Step)> {
    operation.steps.iter().enumerate().find(|(_, step)| step.status != StepStatus::Done)
}

/// The step to undo: the last that was begun and is not undone (SAG-2).
pub(crate) fn backward(operation: &Operation) -> Option<(usize, &Step)> {
    let begun = |step: &Step| !matches!(step.status, StepStatus::Waiting | StepStatus::Undone);
    operation.steps.iter().enumerate().rfind(|(_, step)| begun(step))
}

/// `then`, once the wait after the last failed try is over.
fn after_wait(operation: &Operation, step: &Step, now: Timestamp, then: Next) -> Next {
    let failed_at = operation.updated_at;
    let Ok(until) = failed_at.checked_add(wait(step.attempts).duration()) else { return then };
    // A clock that was set back must not make anyone wait for it to catch up.
    if now >= until || now < failed_at { then } else { Next::Wait { until } }
}

/// The wait after this many failed tries.
fn wait(tries: u32) -> Span {
    if tries == 0 {
        return Span::ZERO;
    }
    let doubled = 1_u64.checked_shl(tries - 1).unwrap_or(u64::MAX);
    Span::millis(SHORTEST_WAIT.as_millis().saturating_mul(doubled)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::wait;

    #[test]
    fn waits_double_up_to_the_longest() {
        let seconds: Vec<u64> = (0..9).map(|tries| wait(tries).as_millis() / 1000).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(u32::MAX).as_millis(), 60_000);
    }
}
