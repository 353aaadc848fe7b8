//! Budgets of tokens, and who may agree to their plans.

use univrs_control::{Control, Error, PlanRefusal, PlanStatus, WriteOptions};
use univrs_model::caller::{Caller, Grant};
use univrs_model::token::{Approval, Budget, TokenSpec};
use univrs_model::workload::WorkloadSpec;

use crate::harness::World;

/// The holder of a new token.
async fn holder(control: &Control, budget: Budget, approval: Approval) -> Caller {
    let spec = TokenSpec {
        name: "ai".parse().unwrap(),
        grant: Grant::Operate,
        direct: false,
        cluster_wide: false,
        budget,
        approval,
        ttl: None,
    };
    let admin = Caller::local_admin();
    let made = control.create_token(&admin, &spec, &WriteOptions::default()).await.unwrap();
    assert_eq!((made.view.budget, made.view.approval), (budget, approval));
    Caller { principal: control.authenticate(&made.token).unwrap(), ..admin }
}

async fn scale(control: &Control, caller: &Caller, replicas: u32) -> Result<(), Error> {
    let change = |spec: &WorkloadSpec| Ok(WorkloadSpec { replicas, ..spec.clone() });
    control.change_workload(caller, "web", &WriteOptions::default(), change).await.map(drop)
}

fn over(outcome: Result<impl std::fmt::Debug, Error>) -> String {
    match outcome {
        Err(error @ Error::OverBudget { .. }) => error.to_string(),
        other => panic!("not over budget: {other:?}"),
    }
}

#[tokio::test]
async fn what_touches_too_much_at_once_is_neither_planned_nor_done() {
    let world = World::new().await;
    world.create("web", 2).await;
    let budget = Budget { objects_per_plan: Some(4), ..Budget::default() };
    let caller = holder(&world.control, budget, Approval::Person).await;
    let planning = world.control.planning();
    // The workload and three instances.
    let fits = scale(&planning, &caller, 3).await;
    assert_eq!(planning.planned(&caller, fits).unwrap().status, PlanStatus::Ready);
    let told = over(scale(&planning, &caller, 30).await);
    assert!(told.contains("31") && told.contains('4'), "{told}");
    over(scale(&world.control, &caller, 30).await);
    assert_eq!(world.replicas("web"), 2);
    // Nobody else is bounded by it.
    scale(&world.control, &Caller::local_admin(), 30).await.unwrap();
}

#[tokio::test]
async fn removals_of_a_day_are_counted_once_each_however_many_come_at_once() {
    let world = World::new().await;
    let budget = Budget { destroys_per_day: Some(3), ..Budget::default() };
    let caller = holder(&world.control, budget, Approval::Person).await;
    let names: Vec<String> = (0..10).map(|at| format!("web-{at}")).collect();
    for name in &names {
        world.create(name, 0).await;
    }
    let options = WriteOptions::default();
    let planning = world.control.planning();
    // Looking takes nothing.
    for name in &names {
        let planned = planning.delete_workload(&caller, name, &options).await;
        assert_eq!(planning.planned(&caller, planned).unwrap().status, PlanStatus::WaitingForApproval);
    }
    let mut done = 0;
    for _ in 0..10 {
        let all = names.iter().map(|name| world.control.delete_workload(&caller, name, &options));
        let outcomes = futures::future::join_all(all).await;
        done += outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        if outcomes.iter().all(|outcome| !matches!(outcome, Err(Error::Contended { .. }))) {
            break;
        }
    }
    let removed = names.iter().filter(|name| {
        let view = world.control.get_workload(&Caller::local_admin(), name).unwrap();
        view.message == "it is being removed"
    });
    assert_eq!(removed.count(), 3, "{done} calls were answered well");
    world.create("late", 0).await;
    let told = over(planning.delete_workload(&caller, "late", &options).await);
    assert!(told.contains("3 of 3"), "{told}");
    over(world.control.delete_workload(&caller, "late", &options).await);
    // The next day begins anew.
    world.minutes_later(24 * 60);
    world.control.delete_workload(&caller, "late", &options).await.unwrap();
}

#[tokio::test]
async fn a_person_in_front_of_the_client_agrees_only_for_a_token_made_so() {
    let world = World::new().await;
    for (name, approval) in [("a", Approval::Person), ("b", Approval::Elicitation)] {
        world.create(name, 1).await;
        let caller = holder(&world.control, Budget::default(), approval).await;
        let planning = world.control.planning();
        let outcome = planning.delete_workload(&caller, name, &WriteOptions::default()).await;
        let plan = planning.planned(&caller, outcome).unwrap();
        let (id, digest) = (plan.plan_id.as_str(), plan.digest.as_str());
        let waits = |outcome| match outcome {
            Err(Error::PlanRefused { refusal: PlanRefusal::NeedsApproval { .. }, .. }) => (),
            other => panic!("it did not wait: {other:?}"),
        };
        waits(world.control.apply_plan(&caller, id, digest).await);
        let agreed = world.control.apply_agreed_plan(&caller, id, digest).await;
        if approval == Approval::Person {
            waits(agreed);
            // Nor does it count for somebody without a token, such as an operator on this machine.
            let local = crate::harness::assistant(Grant::Admin);
            assert_eq!(world.control.approval_of(&local), Approval::Person);
            continue;
        }
        let other = world.control.apply_agreed_plan(&caller, id, "sha256:0").await;
        assert!(agreed.is_ok() && other.is_err(), "{agreed:?} {other:?}");
        let audit = world.audit().await;
        let last = audit.last().unwrap();
        assert!(last.summary.contains("the person whom its client asked") && last.summary.contains(digest));
        assert_eq!(last.caller.principal, caller.principal);
    }
}
