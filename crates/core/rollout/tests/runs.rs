//! Jobs, cron workloads, daemons, dependencies, loss and rollback, told as stories.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

mod world;

use expect_test::expect;
use jiff::Timestamp;
use univrs_model::ids::NodeId;
use univrs_model::instance::{Desired, Instance, Observation, Phase};
use univrs_model::rollout::WorkloadStatus;
use univrs_rollout::{DependencyState, Loss, judge_loss, plan};

use crate::world::{World, spec};

fn end(instance: &mut Instance, phase: Phase, code: Option<i32>, now: Timestamp) {
    instance.assignment.node.get_or_insert(NodeId::from_bits(1));
    let seen = instance
        .observation
        .get_or_insert_with(|| Observation::taken_up(instance.assignment.id.clone(), 1, now));
    seen.phase = phase;
    seen.exit_code = code;
    seen.started_at.get_or_insert(now);
    seen.ended_at = phase.is_terminal().then_some(now);
}

fn job(replicas: u32) -> World {
    World::new(spec(serde_json::json!({"name": "job", "kind": "job", "image": "i", "replicas": replicas})), 1)
}

#[test]
fn a_job_completes_and_stays_completed() {
    let mut world = job(3);
    assert_eq!(world.plan().create.len(), 3);
    for at in 0..3 {
        let now = world.now;
        end(&mut world.instances[at], Phase::Stopped, Some(0), now);
        world.wait(1000);
        world.plan();
    }
    assert_eq!((world.status(), world.count(|_| true)), (WorkloadStatus::Completed, 3));
    world.wait(1_000_000);
    assert!(world.plan().create.is_empty());
    // One more is wanted: only that one runs.
    world.change(|spec| spec.replicas = 4);
    assert_eq!(world.plan().create.len(), 1);
}

#[test]
fn a_job_fails_with_its_code_but_survives_its_nodes() {
    let mut world = job(1);
    world.plan();
    let now = world.now;
    world.instances[0].assignment.node = Some(NodeId::from_bits(1));
    world.instances[0].assignment.lost = true;
    assert_eq!(world.plan().create.len(), 1, "a lost run is made up for");
    end(&mut world.instances[1], Phase::Failed, None, now);
    assert_eq!(world.plan().create.len(), 1, "its node failed it");
    let last = world.instances.len() - 1;
    end(&mut world.instances[last], Phase::Failed, Some(7), now);
    assert!(world.plan().create.is_empty());
    assert_eq!(world.status(), WorkloadStatus::Failed);
    let message = &world.rollout.as_ref().unwrap().message;
    assert!(
        message.starts_with("0 of 1 completed: in_") && message.ends_with("ended with code 7"),
        "{message}"
    );
}

fn cron(overlap: &str) -> World {
    World::new(
        spec(serde_json::json!({"name": "nightly", "kind": "cron", "image": "i",
            "schedule": {"cron": "*/10 * * * *", "overlap": overlap}})),
        1,
    )
}

#[test]
fn cron_runs_when_due() {
    let mut world = cron("forbid");
    let first = world.plan();
    assert!(first.create.is_empty());
    assert_eq!(first.wake_at.unwrap().to_string(), "2026-01-01T00:10:00Z");
    world.now = first.wake_at.unwrap();
    assert_eq!(world.plan().create.len(), 1);
    // Still running when the next is due: skipped.
    world.wait(600_000);
    assert!(world.plan().create.is_empty());
    let now = world.now;
    end(&mut world.instances[0], Phase::Failed, Some(3), now);
    world.wait(1000);
    world.plan();
    assert_eq!(world.status(), WorkloadStatus::Degraded);
    // Nobody planned for an hour: one run makes up for all.
    world.wait(3_600_000);
    assert_eq!(world.plan().create.len(), 1);
    let now = world.now;
    end(&mut world.instances[1], Phase::Stopped, Some(0), now);
    world.plan();
    assert_eq!(world.status(), WorkloadStatus::Running);
    expect![[r#"
        RolloutStarted: rolling out version 1
        RunScheduled: the run due at 2026-01-01T00:10:00Z begins
        RunSkipped: the run due at 2026-01-01T00:20:00Z was skipped: the one before has not ended
        RunSkipped: 5 runs were missed and made up for by one
        RunScheduled: the run due at 2026-01-01T01:20:00Z begins"#]]
    .assert_eq(&world.log.join("\n"));
}

#[test]
fn cron_overlaps_as_it_is_told() {
    let mut world = cron("allow");
    world.plan();
    world.wait(600_000);
    world.plan();
    world.wait(600_000);
    assert_eq!(world.plan().create.len(), 1);
    assert_eq!(world.not_ended(), 2);

    let mut world = cron("replace");
    world.plan();
    world.wait(600_000);
    world.plan();
    let now = world.now;
    end(&mut world.instances[0], Phase::Running, None, now);
    world.wait(600_000);
    let decision = world.plan();
    assert_eq!((decision.update.len(), decision.create.len()), (1, 0));
    let now = world.now;
    end(&mut world.instances[0], Phase::Stopped, Some(143), now);
    assert_eq!(world.plan().create.len(), 1);
}

#[test]
fn daemons_follow_their_nodes() {
    let mut world = World::new(
        spec(serde_json::json!({"name": "agent", "kind": "daemon", "image": "i:1",
        "update": {"min_healthy": "1s"}})),
        1,
    );
    let nodes: Vec<NodeId> = (1..4).map(NodeId::from_bits).collect();
    world.eligible = nodes.clone();
    world.calm(20);
    assert_eq!((world.status(), world.serving()), (WorkloadStatus::Running, 3));
    world.eligible.push(NodeId::from_bits(9));
    world.eligible.remove(0);
    world.calm(20);
    let mut on: Vec<NodeId> = world
        .instances
        .iter()
        .filter(|i| !i.phase().is_terminal())
        .filter_map(|i| i.assignment.node.clone())
        .collect();
    on.sort();
    let mut wanted = world.eligible.clone();
    wanted.sort();
    assert_eq!(on, wanted);
    // An update goes node by node.
    world.change(|spec| spec.image = Some("i:2".into()));
    for _ in 0..40 {
        let serving = world.serving();
        world.plan();
        assert!(world.serving() >= serving.min(2), "more than one node is without");
        world.live();
        world.wait(1000);
    }
    world.plan();
    assert_eq!((world.status(), world.serving()), (WorkloadStatus::Running, 3));
}

#[test]
fn starts_wait_for_dependencies() {
    let mut world = World::new(
        spec(serde_json::json!({"name": "web", "image": "i", "depends_on": [{"workload": "db"}]})),
        1,
    );
    let mut input = world.input();
    let first = plan(&input);
    assert!(first.create.is_empty());
    assert_eq!(first.rollout.message, "waiting for db, which does not exist");
    assert_eq!(first.rollout.status, WorkloadStatus::Pending);
    let state = DependencyState { exists: true, started: true, ..DependencyState::default() };
    input.dependencies.insert("db".parse().unwrap(), state);
    assert_eq!(plan(&input).rollout.message, "waiting for db to be healthy");
    // The deadline counts from when the wait was over.
    input.rollout = Some(plan(&input).rollout);
    world.wait(3_600_000);
    input.now = world.now;
    input.dependencies.insert("db".parse().unwrap(), DependencyState { healthy: true, ..state });
    let started = plan(&input);
    assert_eq!(started.create.len(), 1);
    assert_eq!((started.rollout.status, started.rollout.progressed_at), (WorkloadStatus::Pending, world.now));
}

#[test]
fn lost_nodes_are_judged_by_policy() {
    let mut world = World::new(spec(serde_json::json!({"name": "web", "image": "i"})), 1);
    world.calm(10);
    let instance = world.instances[0].clone();
    let ended = world.now;
    let at = |millis: i64| ended.checked_add(jiff::SignedDuration::from_millis(millis)).unwrap();
    let web = world.workload.spec.as_ref().clone();
    assert_eq!(judge_loss(&instance, &web, None, false, ended), Loss::Keep);
    assert!(
        matches!(judge_loss(&instance, &web, Some(ended), false, ended), Loss::Lost(lost) if lost.lost && lost.fence > instance.assignment.fence)
    );
    let mut single = web.clone();
    single.singleton = true;
    // 10 s until its node stops it, and 10 s of grace.
    assert_eq!(judge_loss(&instance, &single, Some(ended), false, ended), Loss::Wait(at(20_000)));
    assert!(matches!(judge_loss(&instance, &single, Some(ended), false, at(20_000)), Loss::Lost(_)));
    assert!(matches!(judge_loss(&instance, &single, Some(ended), true, ended), Loss::Lost(_)));
    let mut keeps = web;
    keeps.on_disconnect.on_reconnect = univrs_model::workload::OnReconnect::KeepOriginal;
    assert!(matches!(judge_loss(&instance, &keeps, Some(ended), false, at(60_000)), Loss::Wait(_)));
}

/// A workload of two whose first instance was away, was replaced, and is back after so many restarts; answers whether it
/// stayed.
fn the_original_stays(policy: &str, restarts: u32) -> bool {
    let mut world = World::new(
        spec(serde_json::json!({"name": "web", "image": "i", "replicas": 2,
        "on_disconnect": {"on_reconnect": policy}})),
        1,
    );
    world.calm(10);
    let original = world.instances[0].assignment.id.clone();
    world.instances[0].reachable = false;
    // The lease of its node has run out: it is given up at once where nobody waits for it.
    let web = world.workload.spec.as_ref().clone();
    if let Loss::Lost(lost) = judge_loss(&world.instances[0], &web, Some(world.now), false, world.now) {
        world.instances[0].assignment = *lost;
    }
    let decision = world.plan();
    assert_eq!(decision.create.len(), 1, "it is replaced while it is away");
    world.chance = world::Chance(8);
    for _ in 0..6 {
        // Its node stays away: only the others live.
        let away = world.instances.iter().position(|i| i.assignment.id == original);
        let kept = away.map(|away| world.instances.remove(away));
        world.live();
        if let (Some(away), Some(kept)) = (away, kept) {
            world.instances.insert(away, kept);
        }
        world.wait(1000);
        world.plan();
    }
    if let Some(back) = world.instances.iter_mut().find(|i| i.assignment.id == original) {
        back.reachable = true;
        back.observation.as_mut().unwrap().restarts = restarts;
    }
    world.calm(10);
    assert_eq!(world.not_ended(), 2, "{policy}: there are as many as before");
    let back = world.instances.iter().find(|i| i.assignment.id == original);
    back.is_some_and(|back| back.assignment.desired == Desired::Run && back.phase() == Phase::Running)
}

#[test]
fn policy_says_who_stays_when_the_original_comes_back() {
    for (policy, restarts, stays) in [
        ("keep_original", 0, true),
        ("keep_original", 9, true),
        ("keep_replacement", 0, false),
        // The older one, unless it had to be restarted more often.
        ("best_score", 0, true),
        ("best_score", 9, false),
    ] {
        assert_eq!(the_original_stays(policy, restarts), stays, "{policy} after {restarts} restarts");
    }
}

#[test]
fn a_failed_first_version_is_tried_on() {
    let mut world = World::new(
        spec(serde_json::json!({"name": "web", "image": "bad:1",
        "update": {"deadline": "20s"}, "restart": {"max": "4s"}})),
        3,
    );
    world.bad.insert("bad:1".into());
    world.calm(40);
    assert_eq!(world.status(), WorkloadStatus::Failed);
    let tried = world.rollout.as_ref().unwrap().target;
    world.bad.clear();
    world.calm(40);
    assert_eq!((world.status(), world.rollout.as_ref().unwrap().target), (WorkloadStatus::Running, tried));
    let failures = world.log.iter().filter(|line| line.starts_with("RolloutFailed")).count();
    assert_eq!(failures, 1, "{:#?}", world.log);
}

#[test]
fn a_failed_update_without_auto_revert_stays_and_the_old_one_serves() {
    let mut world = World::new(
        spec(serde_json::json!({"name": "web", "image": "web:1", "replicas": 3,
        "update": {"deadline": "20s", "auto_revert": false}})),
        3,
    );
    world.calm(20);
    world.bad.insert("web:2".into());
    world.change(|spec| spec.image = Some("web:2".into()));
    for _ in 0..100 {
        world.plan();
        assert!(world.count(|i| i.serves() && i.assignment.workload_revision == 1) >= 3);
        world.live();
        world.wait(1000);
    }
    assert_eq!(world.status(), WorkloadStatus::Failed);
}

#[test]
fn revisions_are_kept_within_bounds() {
    let mut world = World::new(spec(serde_json::json!({"name": "web", "image": "web:0"})), 3);
    world.calm(20);
    for version in 1..30 {
        world.change(|spec| spec.image = Some(format!("web:{version}")));
        world.calm(20);
    }
    let rollout = world.rollout.clone().unwrap();
    assert_eq!((rollout.revisions.len(), rollout.target, rollout.last_revision), (10, 30, 30));
    // Back to a kept one, under its own number.
    world.workload.roll_back_to = Some(25);
    world.workload.generation += 1;
    world.calm(20);
    let rollout = world.rollout.clone().unwrap();
    assert_eq!((rollout.target, rollout.last_revision, world.status()), (25, 30, WorkloadStatus::Running));
    let target = rollout.revision(25).unwrap();
    assert_eq!(target.spec.image.as_deref(), Some("web:24"));
}
