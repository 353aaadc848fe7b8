//! Operations carried out from beginning to end, with every kind of bad luck.

mod driver;

use driver::{Deed, Fate, World, operation};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, prop_assert, prop_assert_eq, proptest};
use univrs_model::Timestamp;
use univrs_model::operation::{Operation, OperationStatus, StepStatus};
use univrs_saga::{DO_TRIES, Next, SagaEvent, UNDO_TRIES, apply, finish, next, progress, resume};

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn told(operation: Operation, events: impl IntoIterator<Item = SagaEvent>) -> Operation {
    events.into_iter().fold(operation, |operation, event| apply(operation, event, START))
}

fn failed(step: usize, temporary: bool) -> SagaEvent {
    SagaEvent::Failed { step, error: "no".to_owned(), temporary }
}

#[test]
fn all_goes_well() {
    let mut world = World::new(operation(3), []);
    assert_eq!(world.run(), OperationStatus::Succeeded);
    assert_eq!(world.deeds, [Deed::Do(0), Deed::Do(1), Deed::Do(2)]);
    assert_eq!((progress(&world.operation), world.operation.error), (100, None));
}

#[test]
fn no_steps_succeed_at_once() {
    assert_eq!(next(&operation(0), START), Next::Finish(OperationStatus::Succeeded));
    assert_eq!(World::new(operation(0), []).run(), OperationStatus::Succeeded);
}

#[test]
fn whichever_step_fails_all_before_it_are_undone_in_reverse() {
    for bad in 0..5 {
        let mut world = World::new(operation(5), vec![Fate::Well; bad].into_iter().chain([Fate::ForGood]));
        assert_eq!(world.run(), OperationStatus::Undone);
        let expected: Vec<Deed> = (0..=bad).map(Deed::Do).chain((0..=bad).rev().map(Deed::Undo)).collect();
        assert_eq!(world.deeds, expected);
        assert!(world.effects.is_empty());
        assert_eq!(world.operation.error, Some(format!("step-{bad}: refused")));
        let statuses: Vec<StepStatus> = world.operation.steps.iter().map(|step| step.status).collect();
        assert!(statuses[..=bad].iter().all(|status| *status == StepStatus::Undone));
        assert!(statuses[bad + 1..].iter().all(|status| *status == StepStatus::Waiting));
    }
}

#[test]
fn whenever_someone_asks_to_stop_all_is_undone() {
    for at in 0..4 {
        let mut world = World::new(operation(4), vec![Fate::Well; at].into_iter().chain([Fate::Cancel]));
        assert_eq!(world.run(), OperationStatus::Cancelled);
        let expected: Vec<Deed> = (0..=at).map(Deed::Do).chain((0..=at).rev().map(Deed::Undo)).collect();
        assert_eq!(world.deeds, expected);
        assert_eq!((progress(&world.operation), world.operation.error), (0, None));
    }
    let unbegun = told(operation(2), [SagaEvent::CancelRequested]);
    assert_eq!(next(&unbegun, START), Next::Finish(OperationStatus::Cancelled));
}

#[test]
fn a_failure_after_the_wish_to_stop_is_still_a_stop_and_one_before_is_a_failure() {
    let end = |operation| finish(told(operation, [SagaEvent::Undone { step: 0 }]), START).status;
    let began = told(operation(1), [SagaEvent::Began { step: 0 }]);
    let stopped = told(began.clone(), [SagaEvent::CancelRequested, failed(0, false)]);
    assert_eq!(end(stopped), OperationStatus::Cancelled);
    let broken = told(began, [failed(0, false), SagaEvent::CancelRequested]);
    assert_eq!(end(broken), OperationStatus::Undone);
}

#[test]
fn what_may_pass_is_tried_again_after_longer_and_longer_waits() {
    let mut world = World::new(operation(1), [Fate::Temporary; 3]);
    assert_eq!(world.run(), OperationStatus::Succeeded);
    assert_eq!(world.deeds, [Deed::Do(0); 4]);
    assert_eq!(world.now.as_second(), 1 + 2 + 4);
    assert_eq!((world.operation.steps[0].attempts, &world.operation.steps[0].error), (4, &None));
}

#[test]
fn what_does_not_pass_fails_for_good() {
    let tries = DO_TRIES as usize;
    let mut world = World::new(operation(1), vec![Fate::Temporary; tries]);
    assert_eq!(world.run(), OperationStatus::Undone);
    assert_eq!(world.deeds, [vec![Deed::Do(0); tries], vec![Deed::Undo(0)]].concat());
}

#[test]
fn an_undo_that_keeps_failing_ends_it_and_leaves_what_came_before() {
    let tries = UNDO_TRIES as usize;
    let fates = [Fate::Well, Fate::ForGood].into_iter().chain(vec![Fate::Temporary; tries]);
    let mut world = World::new(operation(2), fates);
    assert_eq!(world.run(), OperationStatus::Failed);
    assert_eq!(world.deeds[2..], vec![Deed::Undo(1); tries]);
    assert_eq!(world.operation.steps[0].status, StepStatus::Done);
    assert_eq!(world.operation.error.as_deref(), Some("step-1: refused; step-1 cannot be undone: stuck"),);
    let mut lucky =
        World::new(operation(1), [Fate::ForGood].into_iter().chain(vec![Fate::Temporary; tries - 1]));
    assert_eq!(lucky.run(), OperationStatus::Undone);
}

#[test]
fn a_step_that_was_interrupted_is_done_again() {
    let began = told(operation(2), [SagaEvent::Began { step: 0 }]);
    assert_eq!(next(&began, START), Next::Verify { step: 0 });
    let again = resume(began, START);
    let Next::Wait { until } = next(&again, START) else { panic!("{again:?}") };
    assert_eq!(next(&again, until), Next::Do { step: 0 });
    assert_eq!(resume(again.clone(), until), again, "taking over twice counts once");
    for fate in [Fate::CrashBefore, Fate::CrashAfter] {
        let mut world = World::new(operation(2), [fate]);
        assert_eq!(world.run(), OperationStatus::Succeeded);
    }
}

#[test]
fn a_step_that_brings_the_driver_down_each_time_is_given_up() {
    let mut world = World::new(operation(2), vec![Fate::CrashAfter; DO_TRIES as usize]);
    assert_eq!(world.run(), OperationStatus::Undone);
    assert!(world.effects.is_empty());
}

#[test]
fn a_clock_that_is_set_back_makes_no_one_wait() {
    let later = START.checked_add(std::time::Duration::from_secs(3600)).unwrap();
    let waiting = apply(apply(operation(1), SagaEvent::Began { step: 0 }, later), failed(0, true), later);
    assert!(matches!(next(&waiting, later), Next::Wait { .. }));
    assert_eq!(next(&waiting, START), Next::Do { step: 0 });
}

#[test]
fn progress_follows_the_steps_both_ways() {
    let mut operation = operation(4);
    let mut seen = vec![progress(&operation)];
    for step in 0..3 {
        operation = told(operation, [SagaEvent::Began { step }, SagaEvent::Done { step }]);
        seen.push(progress(&operation));
    }
    operation = told(operation, [SagaEvent::CancelRequested]);
    seen.push(progress(&operation));
    for step in (0..3).rev() {
        operation = told(operation, [SagaEvent::Undone { step }]);
        seen.push(progress(&operation));
    }
    assert_eq!(seen, [0, 25, 50, 75, 50, 25, 0, 0]);
}

#[test]
fn events_that_do_not_fit_change_nothing() {
    let fresh = operation(3);
    let first = told(fresh.clone(), [SagaEvent::Began { step: 0 }]);
    let misfits = |before: &Operation, events: Vec<SagaEvent>| {
        for event in events {
            assert_eq!(&apply(before.clone(), event.clone(), Timestamp::MAX), before, "{event:?}");
        }
    };
    let undo = |step| SagaEvent::UndoFailed { step, error: String::new() };
    misfits(
        &fresh,
        vec![SagaEvent::Began { step: 1 }, SagaEvent::Began { step: 9 }, SagaEvent::Done { step: 0 }],
    );
    misfits(&fresh, vec![failed(0, true), failed(9, false), SagaEvent::Undone { step: 0 }, undo(0)]);
    misfits(
        &first,
        vec![SagaEvent::Began { step: 0 }, SagaEvent::Began { step: 1 }, SagaEvent::Undone { step: 0 }],
    );
    let ended = finish(told(fresh, [SagaEvent::CancelRequested]), START);
    misfits(&ended, vec![SagaEvent::Began { step: 0 }, SagaEvent::CancelRequested]);
    assert_eq!(finish(ended.clone(), Timestamp::MAX), ended);
    assert_eq!(finish(first.clone(), Timestamp::MAX), first, "it is not to end yet");
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::Well),
        3 => Just(Fate::Temporary),
        1 => Just(Fate::ForGood),
        2 => Just(Fate::CrashBefore),
        2 => Just(Fate::CrashAfter),
        1 => Just(Fate::Cancel),
    ];
    collection::vec(fate, 0..60)
}

fn any_event() -> impl Strategy<Value = SagaEvent> {
    let step = 0_usize..5;
    prop_oneof![
        step.clone().prop_map(|step| SagaEvent::Began { step }),
        step.clone().prop_map(|step| SagaEvent::Done { step }),
        (step.clone(), any::<bool>()).prop_map(|(step, temporary)| failed(step, temporary)),
        step.clone().prop_map(|step| SagaEvent::Undone { step }),
        step.prop_map(|step| SagaEvent::UndoFailed { step, error: "no".to_owned() }),
        Just(SagaEvent::CancelRequested),
    ]
}

proptest! {
    /// SAG-1, SAG-2 and SAG-4 are checked by the driver at every deed.
    #[test]
    fn whatever_happens_it_ends_well_ordered(steps in 0_usize..6, fates in fates(), resumes in any::<bool>()) {
        let mut world = World::new(operation(steps), fates);
        world.resumes = resumes;
        let end = world.run();
        let all: std::collections::BTreeSet<usize> = (0..steps).collect();
        match end {
            OperationStatus::Running => prop_assert!(false, "it did not end"),
            OperationStatus::Succeeded => prop_assert_eq!(&world.effects, &all),
            OperationStatus::Undone | OperationStatus::Cancelled => prop_assert!(world.effects.is_empty()),
            OperationStatus::Failed => prop_assert!(world.operation.error.is_some()),
        }
        prop_assert_eq!(end == OperationStatus::Undone, end != OperationStatus::Failed && world.operation.error.is_some());
    }

    /// SAG-3 for senseless events too: none leads to a state that has no way out, or begins a step too early.
    #[test]
    fn no_events_lead_astray(events in collection::vec(any_event(), 0..80)) {
        let mut operation = operation(4);
        for event in events {
            operation = apply(operation, event, START);
            let order: Vec<u8> = operation.steps.iter().map(|step| match step.status {
                StepStatus::Done => 0,
                StepStatus::Doing | StepStatus::Failed | StepStatus::Undoing => 1,
                StepStatus::Undone => 2,
                StepStatus::Waiting => 3,
            }).collect();
            prop_assert!(order.is_sorted() && order.iter().filter(|place| **place == 1).count() <= 1, "{order:?}");
            prop_assert!(next(&operation, Timestamp::MAX) != Next::Nothing);
        }
    }
}
