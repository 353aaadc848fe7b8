//! When an instance whose node went away is given up.
//!
//! Ordinary instances are given up as soon as the node's lease has run out, so that replacements start at once.
//! A singleton is given up only when its node must have stopped it by itself: [`SINGLETON_STOP_AFTER`] or the
//! stated `stop_after`, and the containers' grace, after the lease ran out. Instances whose user wants the
//! original back are kept for [`KEEP_ORIGINAL_FOR`] while a replacement runs.

use univrs_model::Timestamp;
use univrs_model::instance::{Assignment, Desired, Instance, Phase};
use univrs_model::span::Span;
use univrs_model::workload::{OnReconnect, WorkloadSpec};

use crate::work::later;

/// How long a singleton runs on a node that is cut off, when its spec does not say.
pub const SINGLETON_STOP_AFTER: Span = Span::seconds(10);
/// How long the original of a replaced instance is waited for.
pub const KEEP_ORIGINAL_FOR: Span = Span::seconds(24 * 3600);

/// What to do with an instance whose node may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: its node is there, or it has ended.
    Keep,
    /// Not yet; look again then.
    Wait(Timestamp),
    /// It is given up: write this assignment.
    Lost(Box<Assignment>),
}

/// After how long a node that is cut off stops the instances of this workload by itself, if at all.
pub fn stop_after(spec: &WorkloadSpec) -> Option<Span> {
    spec.on_disconnect.stop_after.or(spec.singleton.then_some(SINGLETON_STOP_AFTER))
}

/// Decides about one instance. `lease_ended_at` is when the lease of its node ran out, if it did;
/// `node_removed` says that a person removed the node, which vouches that nothing runs there.
#[must_use]
pub fn judge_loss(
    instance: &Instance,
    spec: &WorkloadSpec,
    lease_ended_at: Option<Timestamp>,
    node_removed: bool,
    now: Timestamp,
) -> Loss {
    let assignment = &instance.assignment;
    if assignment.node.is_none() || instance.phase().is_terminal() {
        return Loss::Keep;
    }
    let give_up = |reason: &str| {
        let lost = Assignment {
            lost: true,
            fence: assignment.fence + 1,
            reason: reason.to_owned(),
            ..assignment.clone()
        };
        Loss::Lost(Box::new(lost))
    };
    if node_removed {
        return give_up("its node was removed");
    }
    let Some(ended) = lease_ended_at else { return Loss::Keep };
    let grace = spec.containers().iter().map(|c| c.stop_grace).max().unwrap_or(Span::ZERO);
    let keeps_original = spec.on_disconnect.on_reconnect != OnReconnect::KeepReplacement;
    let never_began = instance.phase() == Phase::Pending;
    let at = if spec.singleton && !never_began {
        later(later(ended, stop_after(spec).unwrap_or(SINGLETON_STOP_AFTER)), grace)
    } else if keeps_original && assignment.desired == Desired::Run {
        later(ended, KEEP_ORIGINAL_FOR)
    } else {
        ended
    };
    if at > now { Loss::Wait(at) } else { give_up("its node was lost") }
}
