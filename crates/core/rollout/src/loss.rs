//! When an instance whose node went away is given up.
//!
//! Ordinary instances are given up as soon as the node's lease has run out, so that replacements start at once.
//! A singleton is given up only when its node must have stopped it by itself: [`SINGLETON_STOP_AFTER`] or the
//! stated `stop_after`, and the containers' grace, after the lease ran out. Instances whose user wants the
//! original back are kept for [`KEEP_ORIGINAL_FOR`] while a replacement runs.
//!
//! The node's side of it, for a daemon that was started again while nobody hears it, is [`judge_alone`].

use std::time::Duration;

use univrs_model::Timestamp;
use univrs_model::instance::{Assignment, Desired, Instance, Phase};
use univrs_model::span::Span;
use univrs_model::workload::{OnReconnect, WorkloadSpec};

use crate::work::later;

/// How long a singleton runs on a node that is cut off, when its spec does not say.
pub const SINGLETON_STOP_AFTER: Span = Span::seconds(10);
/// How long the original of a replaced instance is waited for.
pub const KEEP_ORIGINAL_FOR: Span = Span::seconds(24 * 3600);

/// How long a daemon that was just started may try to be heard before it ends what is due. The control plane's wait
/// begins with the end of the lease, four seconds after the last sign of life: of these this is one part, the rest is for
/// a daemon that is killed once more at the worst moment and is back two seconds later.
pub const CHANCE: Span = Span::millis(1500);

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

/// What a node that is not heard does with an instance that may not run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// It runs on until then at least.
    Run {
        /// When to look again.
        until: Duration,
    },
    /// It ends now.
    End {
        /// What is left of the time that it may take.
        grace: Span,
    },
}

/// Decides what a daemon does about an instance while it is not heard. All times are those of one clock that survives
/// processes: `heard` when the control plane last heard the node, `begun` when this process began.
///
/// However often the daemon is started again, the instance has ended by `heard + stop_after + CHANCE + grace`, but for
/// the time in which there was no daemon.
#[must_use]
pub fn judge_alone(stop_after: Span, grace: Span, heard: Duration, begun: Duration, now: Duration) -> Alone {
    let due = heard.saturating_add(stop_after.duration());
    let latest = due.saturating_add(CHANCE.duration());
    let due = due.max(begun.saturating_add(CHANCE.duration()).min(latest));
    if now < due {
        return Alone::Run { until: due };
    }
    let left = latest.saturating_add(grace.duration()).saturating_sub(now);
    let left = Span::millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    Alone::End { grace: left.min(grace) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use univrs_model::span::Span;

    use super::{Alone, CHANCE, judge_alone};

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_node_that_is_not_heard_ends_what_may_not_run_alone() {
        let run = |until| Alone::Run { until: at(until) };
        let end = |left| Alone::End { grace: Span::millis(left) };
        // Heard at 100 s, may run for 10 s and take 4 s to end.
        for (case, begun, now, expected) in [
            ("the daemon runs on", 50_000, 105_000, run(110_000)),
            ("it is due", 50_000, 110_000, end(4_000)),
            ("a daemon that comes in between counts on", 104_000, 104_000, run(110_000)),
            ("one that comes just before it is due may try to be heard", 109_000, 109_000, run(110_500)),
            ("and may not any longer", 109_000, 110_500, end(4_000)),
            ("nor may one that comes later hope for more", 110_900, 110_900, run(111_500)),
            ("the last chance is over", 111_400, 111_500, end(4_000)),
            ("what was asked to end by another process has what is left", 113_000, 113_000, end(2_500)),
            ("or nothing", 116_000, 116_000, end(0)),
            ("a daemon that was away for long", 900_000, 900_000, end(0)),
        ] {
            let judged = judge_alone(Span::seconds(10), Span::seconds(4), at(100_000), at(begun), at(now));
            assert_eq!(judged, expected, "{case}");
        }
        // It counts as alive until later, as it said that it would be back.
        let away = judge_alone(Span::seconds(10), Span::ZERO, at(160_000), at(102_000), at(103_000));
        assert_eq!(away, run(170_000));
    }

    proptest! {
        /// Processes begin at any times; whatever they are, nothing ends early, nobody waits beyond the last chance, and what
        /// is asked to end is killed in time.
        #[test]
        fn it_ends_in_time_however_often_the_daemon_is_started_again(
            stop_after in 0_u64..20_000, grace in 0_u64..20_000, begun in 0_u64..80_000, now in 0_u64..80_000,
        ) {
            let heard = 10_000;
            let (begun, now) = (begun.min(now), begun.max(now));
            let (due, latest) = (heard + stop_after, heard + stop_after + CHANCE.as_millis());
            let judged = judge_alone(
                Span::millis(stop_after), Span::millis(grace), at(heard), at(begun), at(now),
            );
            match judged {
                Alone::Run { until } => prop_assert!(now < latest && at(now) < until && until <= at(latest)),
                Alone::End { grace: left } => {
                    prop_assert!(now >= due);
                    prop_assert!(left.as_millis() <= grace);
                    prop_assert!(left == Span::ZERO || now + left.as_millis() <= latest + grace);
                }
            }
        }
    }
}
