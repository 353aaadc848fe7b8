//! Plans: nothing happens while planning; applied once, by who planned it, if nothing moved, in time, after approval.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use univrs_control::{ChangeAction, Control, Error, Plan, PlanRefusal, PlanStatus, WriteOptions};
use univrs_model::caller::{Caller, Grant};
use univrs_model::workload::WorkloadSpec;

use crate::harness::{World, assistant, spec, token};

async fn plan_scale(world: &World, caller: &Caller, name: &str, replicas: u32) -> Result<Plan, Error> {
    let planning = world.control.planning();
    planning.planned(caller, scale(&planning, caller, name, replicas).await)
}

async fn scale(control: &Control, caller: &Caller, name: &str, replicas: u32) -> Result<(), Error> {
    let change = |spec: &WorkloadSpec| Ok(WorkloadSpec { replicas, ..spec.clone() });
    control.change_workload(caller, name, &WriteOptions::default(), change).await.map(drop)
}

async fn plan_delete(world: &World, caller: &Caller, name: &str) -> Plan {
    let planning = world.control.planning();
    let outcome = planning.delete_workload(caller, name, &WriteOptions::default()).await;
    planning.planned(caller, outcome).unwrap()
}

fn refusal(outcome: Result<Plan, Error>) -> PlanRefusal {
    match outcome {
        Err(Error::PlanRefused { refusal, .. }) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_plan_changes_nothing_until_it_is_applied_once() {
    let world = World::new().await;
    world.create("web", 2).await;
    let caller = token(1, Grant::Operate);
    let plan = plan_scale(&world, &caller, "web", 3).await.unwrap();
    assert_eq!((plan.status, plan.changes.len()), (PlanStatus::Ready, 1));
    assert_eq!(plan.changes[0].before["replicas"], 2);
    assert_eq!(plan.changes[0].after["replicas"], 3);
    assert_eq!((world.replicas("web"), world.audit().await.len()), (2, 1));

    let applied = world.control.apply_plan(&caller, plan.plan_id.as_str(), &plan.digest).await.unwrap();
    assert_eq!((applied.status, world.replicas("web")), (PlanStatus::Applied, 3));
    let shown = world.control.get_plan(&caller, plan.plan_id.as_str()).await.unwrap();
    assert_eq!((shown.status, shown.applied_revision), (PlanStatus::Applied, applied.applied_revision));
    let audit = world.audit().await;
    assert_eq!(audit.len(), 2, "one entry per write");
    assert_eq!(audit[1].caller, caller);
    assert!(audit[1].summary.contains(&plan.digest), "{}", audit[1].summary);

    let replayed = world.control.apply_plan(&caller, plan.plan_id.as_str(), &plan.digest).await;
    assert_eq!(refusal(replayed), PlanRefusal::Status { status: PlanStatus::Applied });
}

#[tokio::test]
async fn applied_at_once_by_many_it_happens_once() {
    let world = World::new().await;
    world.create("web", 2).await;
    let caller = token(1, Grant::Operate);
    let plan = plan_scale(&world, &caller, "web", 3).await.unwrap();
    let (id, digest) = (plan.plan_id.as_str(), plan.digest.as_str());
    let all = (0..50).map(|_| world.control.apply_plan(&caller, id, digest));
    let outcomes = futures::future::join_all(all).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(world.audit().await.len(), 2);
}

#[tokio::test]
async fn a_plan_is_refused_to_others_and_when_its_time_or_its_state_is_over() {
    let world = World::new().await;
    world.create("web", 2).await;
    let caller = token(1, Grant::Operate);
    let plan = plan_scale(&world, &caller, "web", 3).await.unwrap();
    let (id, digest) = (plan.plan_id.as_str(), plan.digest.as_str());
    for other in [token(2, Grant::Admin), Caller::local_admin(), assistant(Grant::Admin)] {
        let outcome = world.control.apply_plan(&other, id, digest).await;
        assert_eq!(refusal(outcome), PlanRefusal::Foreign);
    }
    // The same token, which may do less by now.
    let less = world.control.apply_plan(&token(1, Grant::Observe), id, digest).await;
    assert!(matches!(less, Err(Error::Denied { .. })), "{less:?}");
    let elsewhere = Caller { org: "other".parse().unwrap(), ..caller.clone() };
    assert!(matches!(
        world.control.apply_plan(&elsewhere, id, digest).await,
        Err(Error::NotFound { .. } | Error::Denied { .. })
    ));

    scale(&world.control, &Caller::local_admin(), "web", 4).await.unwrap();
    let moved = world.control.apply_plan(&caller, id, digest).await;
    assert_eq!(refusal(moved), PlanRefusal::Moved { what: "workload/web".to_owned() });
    assert_eq!(world.replicas("web"), 4);

    let plan = plan_scale(&world, &caller, "web", 5).await.unwrap();
    world.minutes_later(10);
    let late = world.control.apply_plan(&caller, plan.plan_id.as_str(), &plan.digest).await;
    assert_eq!(refusal(late), PlanRefusal::Expired { at: plan.expires_at });
    let shown = world.control.get_plan(&caller, plan.plan_id.as_str()).await.unwrap();
    assert_eq!(shown.status, PlanStatus::Expired);
    assert_eq!(world.replicas("web"), 4);
}

#[tokio::test]
async fn a_plan_that_destroys_waits_for_someone_else() {
    let world = World::new().await;
    world.create("web", 2).await;
    let caller = token(1, Grant::Admin);
    let plan = plan_delete(&world, &caller, "web").await;
    let (id, digest) = (plan.plan_id.as_str(), plan.digest.as_str());
    assert_eq!(plan.status, PlanStatus::WaitingForApproval);
    assert_eq!(plan.changes[0].action, ChangeAction::Delete);
    let early = world.control.apply_plan(&caller, id, digest).await;
    assert!(matches!(refusal(early), PlanRefusal::NeedsApproval { .. }));

    // Not by the token itself, however much it may; not by an AI operator; not by who may not approve.
    assert_eq!(refusal(world.control.approve_plan(&caller, id).await), PlanRefusal::OwnPlan);
    for other in [assistant(Grant::Admin), token(2, Grant::Operate)] {
        let outcome = world.control.approve_plan(&other, id).await;
        assert!(matches!(outcome, Err(Error::Denied { .. })), "{outcome:?}");
    }
    let approved = world.control.approve_plan(&Caller::local_admin(), id).await.unwrap();
    assert_eq!(approved.status, PlanStatus::Approved);
    assert_eq!(approved.digest, plan.digest);
    world.control.apply_plan(&caller, id, digest).await.unwrap();
    assert!(!world.audit().await.is_empty());
    let audit = world.audit().await;
    let actions: Vec<&str> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["workload_write", "plan_approve", "workload_write"]);
    assert!(audit[2].summary.contains("approved by the local administrator"), "{}", audit[2].summary);
}

#[tokio::test]
async fn a_rejected_plan_stays_rejected() {
    let world = World::new().await;
    world.create("web", 2).await;
    let caller = assistant(Grant::Operate);
    let plan = plan_delete(&world, &caller, "web").await;
    let id = plan.plan_id.as_str();
    world.control.reject_plan(&Caller::local_admin(), id).await.unwrap();
    let rejected = PlanRefusal::Status { status: PlanStatus::Rejected };
    assert_eq!(refusal(world.control.apply_plan(&caller, id, &plan.digest).await), rejected);
    assert_eq!(refusal(world.control.approve_plan(&Caller::local_admin(), id).await), rejected);
}

#[tokio::test]
async fn what_ends_instances_is_told_from_what_does_not() {
    let world = World::new().await;
    world.create("web", 2).await;
    world.create("big", 40).await;
    let admin = Caller::local_admin();
    for (name, replicas, status) in [
        ("web", 2, PlanStatus::Empty),
        ("web", 5, PlanStatus::Ready),
        ("web", 1, PlanStatus::Ready),
        ("web", 0, PlanStatus::WaitingForApproval),
    ] {
        let plan = plan_scale(&world, &admin, name, replicas).await.unwrap();
        assert_eq!(plan.status, status, "{name} to {replicas}: {:?}", plan.approval_needed);
    }
    let nothing = plan_scale(&world, &admin, "web", 2).await.unwrap();
    let outcome = world.control.apply_plan(&admin, nothing.plan_id.as_str(), &nothing.digest).await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "there is nothing to apply: {outcome:?}");
}

#[tokio::test]
async fn planning_is_checked_as_doing_is() {
    let world = World::new().await;
    world.create("web", 2).await;
    let planning = world.control.planning();
    let taken =
        planning.create_workload(&Caller::local_admin(), spec("web", 1), &WriteOptions::default()).await;
    assert!(matches!(planning.planned(&Caller::local_admin(), taken), Err(Error::Exists { .. })));
    let denied = plan_scale(&world, &assistant(Grant::Observe), "web", 3).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let missing = plan_scale(&world, &Caller::local_admin(), "none", 3).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    let (kept, _) = world.control.list_plans(&Caller::local_admin()).await.unwrap();
    assert!(kept.is_empty(), "what cannot be done leaves no plan");
}

#[tokio::test]
async fn old_plans_go_when_new_ones_come_and_too_many_are_refused() {
    let world = World::new().await;
    world.create("web", 2).await;
    let admin = Caller::local_admin();
    for _ in 0..300 {
        plan_scale(&world, &admin, "web", 3).await.unwrap();
    }
    let refused = plan_scale(&world, &admin, "web", 3).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    world.minutes_later(11);
    plan_scale(&world, &admin, "web", 3).await.unwrap();
    assert_eq!(
        world.control.list_plans(&admin).await.unwrap().0.len(),
        301,
        "what expired is kept for a while"
    );
    world.minutes_later(75);
    for _ in 0..4 {
        plan_scale(&world, &admin, "web", 3).await.unwrap();
    }
    assert!(world.control.list_plans(&admin).await.unwrap().0.len() <= 5);
}

#[tokio::test]
async fn a_thousand_bad_digests_are_a_thousand_refusals() {
    let world = World::new().await;
    world.create("web", 2).await;
    let caller = token(1, Grant::Operate);
    let plan = plan_scale(&world, &caller, "web", 3).await.unwrap();
    let id = plan.plan_id.as_str();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let digests = prop_oneof![
        "sha256:[0-9a-f]{64}",
        "[ -~]{0,100}",
        Just(plan.digest.to_uppercase()),
        Just(plan.digest[..70].to_owned()),
        Just(format!("{} ", plan.digest)),
        (7..71_usize).prop_map({
            let digest = plan.digest.clone();
            move |at| {
                let mut letters: Vec<char> = digest.chars().collect();
                letters[at] = if letters[at] == '0' { '1' } else { '0' };
                letters.into_iter().collect::<String>()
            }
        }),
    ];
    for _ in 0..1000 {
        let digest = digests.new_tree(&mut runner).unwrap().current();
        assert_ne!(digest, plan.digest);
        let outcome = world.control.apply_plan(&caller, id, &digest).await;
        assert_eq!(refusal(outcome), PlanRefusal::OtherDigest, "{digest}");
    }
    assert_eq!((world.replicas("web"), world.audit().await.len()), (2, 1));
    // The plan itself is as good as before.
    world.control.apply_plan(&caller, id, &plan.digest).await.unwrap();
}
