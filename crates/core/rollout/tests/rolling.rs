//! Updates of services in a world of chance: the floor, the ceiling, and where it all ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

mod world;

use proptest::prelude::*;
use univrs_model::ids::{NodeId, SecretId};
use univrs_model::instance::Phase;
use univrs_model::rollout::WorkloadStatus;
use univrs_model::secret::SecretVersion;
use univrs_model::workload::WorkloadSpec;

use crate::world::{World, spec};

fn service(replicas: u32, surge: u32, unavailable: u32, recreate: bool, checked: bool) -> WorkloadSpec {
    let health = checked.then(|| serde_json::json!({"tcp": {"port": 80}}));
    spec(serde_json::json!({
        "name": "web", "replicas": replicas,
        "containers": [{"name": "app", "image": "web:1", "health": health}],
        "update": {"strategy": if recreate { "recreate" } else { "rolling" }, "max_surge": surge, "max_unavailable": unavailable,
                   "min_healthy": "2s", "deadline": "1m"},
        "restart": {"initial": "1s", "max": "8s"},
    }))
}

/// Plans, and checks what a plan may never do.
fn plan_within_bounds(world: &mut World, ceiling_before: &mut usize) {
    let serving_before = world.serving();
    world.plan();
    let spec = world.workload.spec.clone();
    let in_place = spec.is_replaced_in_place();
    let replicas = spec.replicas as usize;
    let floor = if in_place { 0 } else { replicas.saturating_sub(spec.update.max_unavailable as usize) };
    assert!(world.serving() >= serving_before.min(floor), "ROL-1: {} serve of {floor}", world.serving());
    let ceiling = if in_place { replicas } else { replicas + spec.update.max_surge as usize };
    // A lowered scale leaves more for a while, but never makes more.
    let allowed = ceiling.max(*ceiling_before);
    assert!(world.not_ended() <= allowed, "ROL-2: {} of {allowed}", world.not_ended());
    *ceiling_before = world.not_ended();
    if spec.singleton {
        assert!(world.not_ended() <= 1, "ROL-3: {}", world.not_ended());
    }
}

fn as_wanted(world: &World) {
    let rollout = world.rollout.as_ref().unwrap();
    let replicas = world.workload.spec.replicas as usize;
    let why = format!("{:?} {} {:#?}", rollout.status, rollout.message, world.log);
    assert!(rollout.settled, "{why}");
    assert_eq!(world.not_ended(), replicas, "{why}");
    assert!(
        world
            .instances
            .iter()
            .filter(|i| !i.phase().is_terminal())
            .all(|i| { i.phase() == Phase::Running && i.assignment.workload_revision == rollout.target })
    );
    let expected =
        if rollout.reverted_from.is_some() { WorkloadStatus::Reverted } else { WorkloadStatus::Running };
    assert_eq!(rollout.status, expected, "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn updates_keep_their_bounds_and_end(
        seed: u64,
        replicas in 0u32..6,
        surge in 0u32..3,
        unavailable in 0u32..3,
        recreate in prop::bool::weighted(0.2),
        singleton in prop::bool::weighted(0.15),
        checked: bool,
        trouble in 0u64..40,
        steps in 10usize..80,
    ) {
        let surge = if unavailable == 0 { surge.max(1) } else { surge };
        let mut first = service(replicas, surge, unavailable, recreate, checked);
        if singleton {
            first.singleton = true;
            first.replicas = replicas.min(1);
        }
        let mut world = World::new(first, seed);
        let mut ceiling = 0;
        let mut version = 1;
        world.trouble = trouble;
        for _ in 0..steps {
            match world.chance.below(20) {
                0 => {
                    version += 1;
                    let image = format!("web:{version}");
                    if world.chance.percent(40) {
                        world.bad.insert(image.clone());
                    }
                    world.change(|spec| spec.containers[0].image = image);
                }
                1 if !singleton => {
                    let replicas = u32::try_from(world.chance.below(6)).unwrap();
                    world.change(|spec| spec.replicas = replicas);
                }
                2 => {
                    let node = NodeId::from_bits(u128::from(world.chance.below(4)));
                    if !world.draining.remove(&node) && world.draining.len() < 2 {
                        world.draining.insert(node);
                    }
                }
                3 => {
                    let oldest = world.rollout.as_ref().map(|r| r.revisions[0].number);
                    world.workload.roll_back_to = oldest;
                    world.workload.generation += 1;
                }
                _ => {}
            }
            plan_within_bounds(&mut world, &mut ceiling);
            world.live();
            let millis = 200 + world.chance.below(3000);
            world.wait(i64::try_from(millis).unwrap());
        }
        // From wherever it is now: in a kind world it becomes as wanted.
        world.draining.clear();
        world.bad.clear();
        world.instances.iter_mut().for_each(|i| i.reachable = true);
        for _ in 0..150 {
            world.trouble = 0;
            plan_within_bounds(&mut world, &mut ceiling);
            world.live();
            world.wait(1000);
        }
        world.plan();
        as_wanted(&world);
    }

    #[test]
    fn a_bad_version_ends_on_the_proven_one(seed: u64, replicas in 1u32..6, surge in 0u32..3, recreate: bool, checked: bool) {
        let mut world = World::new(service(replicas, surge, u32::from(surge == 0), recreate, checked), seed);
        world.calm(60);
        as_wanted(&world);
        let proven = world.rollout.as_ref().unwrap().target;
        world.bad.insert("web:2".into());
        world.change(|spec| spec.containers[0].image = "web:2".into());
        world.calm(200);
        as_wanted(&world);
        let rollout = world.rollout.clone().unwrap();
        prop_assert_eq!(rollout.target, proven, "ROL-4");
        prop_assert_eq!(rollout.reverted_from, Some(proven + 1));
        prop_assert_eq!(rollout.status, WorkloadStatus::Reverted);
        // A new scale keeps it reverted.
        world.change(|spec| spec.replicas += 1);
        world.calm(40);
        as_wanted(&world);
        prop_assert_eq!(world.status(), WorkloadStatus::Reverted);
        // Another version ends the revert.
        world.change(|spec| spec.containers[0].image = "web:3".into());
        world.calm(100);
        as_wanted(&world);
        prop_assert_eq!(world.status(), WorkloadStatus::Running);
    }

    #[test]
    fn a_deleted_workload_leaves_nothing(seed: u64, replicas in 0u32..6, steps in 0usize..20, trouble in 0u64..40) {
        let mut world = World::new(service(replicas, 1, 0, false, false), seed);
        world.trouble = trouble;
        for _ in 0..steps {
            world.plan();
            world.live();
            world.wait(700);
        }
        world.workload.deleting = true;
        world.instances.iter_mut().for_each(|i| i.reachable = true);
        world.trouble = 0;
        for _ in 0..20 {
            if !world.removed {
                world.plan();
            }
            world.live();
            world.wait(700);
        }
        prop_assert!(world.removed && world.instances.is_empty());
    }
}

fn value(version: u64) -> SecretVersion {
    SecretVersion { secret: SecretId::from_bits(1), version }
}

fn with_secret(on_change: &str) -> World {
    let mut wanted = service(2, 1, 0, false, true);
    let uses = serde_json::json!({"name": "db", "env": "DB", "file": "/run/db", "on_change": on_change});
    wanted.secrets = vec![serde_json::from_value(uses).unwrap()];
    World::new(wanted, 11)
}

#[test]
fn a_missing_secret_is_waited_for_and_said_once() {
    let mut world = with_secret("restart");
    world.calm(200);
    assert_eq!(
        (world.instances.len(), world.status()),
        (0, WorkloadStatus::Pending),
        "nothing is started in vain"
    );
    let rollout = world.rollout.clone().unwrap();
    assert!(
        rollout.message.starts_with("waiting for secret db, which does not exist"),
        "{}",
        rollout.message
    );
    let told = world.log.iter().filter(|line| line.starts_with("WorkloadWaiting")).count();
    assert_eq!(told, 1, "{:#?}", world.log);
    world.secrets.insert("db".parse().unwrap(), value(1));
    world.calm(60);
    as_wanted(&world);
    let rollout = world.rollout.unwrap();
    assert_eq!((rollout.target, rollout.revisions[0].secrets.get("db").cloned()), (1, Some(value(1))));
}

#[test]
fn a_new_value_rolls_the_workload_within_its_floor() {
    let mut world = with_secret("restart");
    world.secrets.insert("db".parse().unwrap(), value(1));
    world.calm(60);
    world.secrets.insert("db".parse().unwrap(), value(2));
    let mut ceiling = world.not_ended();
    for _ in 0..60 {
        plan_within_bounds(&mut world, &mut ceiling);
        world.live();
        world.wait(1000);
    }
    as_wanted(&world);
    let rollout = world.rollout.as_ref().unwrap();
    assert_eq!(rollout.target, 2);
    assert_eq!(rollout.revision(2).unwrap().secrets.get("db"), Some(&value(2)));
    assert_eq!(
        rollout.revision(1).unwrap().secrets.get("db"),
        Some(&value(1)),
        "a revert would bring it back"
    );
}

#[test]
fn a_value_that_breaks_the_workload_is_reverted_once() {
    let mut world = with_secret("restart");
    world.secrets.insert("db".parse().unwrap(), value(1));
    world.calm(60);
    let proven: Vec<_> = world.instances.iter().map(|i| i.assignment.id.clone()).collect();
    world.secrets.insert("db".parse().unwrap(), value(2));
    world.plan();
    // Whatever starts with the new value fails its checks.
    for _ in 0..120 {
        world.live();
        let now = world.now;
        for instance in world.instances.iter_mut().filter(|i| i.assignment.workload_revision == 2) {
            if let Some(seen) = instance.observation.as_mut().filter(|seen| seen.phase == Phase::Running) {
                seen.health = univrs_model::instance::Health::Failing;
                seen.health_since = now;
            }
        }
        world.wait(1000);
        world.plan();
    }
    as_wanted(&world);
    let rollout = world.rollout.as_ref().unwrap();
    assert_eq!((rollout.target, rollout.reverted_from, rollout.last_revision), (1, Some(2), 2));
    assert!(
        proven.iter().all(|id| world.instances.iter().any(|i| i.assignment.id == *id)),
        "they kept serving"
    );
}

#[test]
fn signals_and_work_that_ended_make_no_new_version() {
    let mut world = with_secret("signal");
    world.secrets.insert("db".parse().unwrap(), value(1));
    world.calm(60);
    world.secrets.insert("db".parse().unwrap(), value(2));
    world.calm(60);
    assert_eq!(world.rollout.as_ref().unwrap().last_revision, 1);

    let mut world = with_secret("restart");
    world.change(|spec| spec.kind = univrs_model::workload::WorkloadKind::Job);
    world.secrets.insert("db".parse().unwrap(), value(1));
    world.plan();
    world.secrets.insert("db".parse().unwrap(), value(2));
    world.plan();
    let rollout = world.rollout.unwrap();
    assert_eq!((rollout.last_revision, rollout.revisions[0].secrets.get("db").cloned()), (1, Some(value(2))));
}

#[test]
fn a_clock_that_jumps_ends_nothing_that_serves() {
    let day = 24 * 60 * 60 * 1000;
    for jump in [day, -day, 400 * day, -400 * day] {
        let mut world = World::new(service(3, 1, 0, false, true), 5);
        world.calm(60);
        let before: Vec<_> = world.instances.iter().map(|i| i.assignment.id.clone()).collect();
        world.wait(jump);
        world.calm(60);
        as_wanted(&world);
        let after: Vec<_> = world.instances.iter().map(|i| i.assignment.id.clone()).collect();
        assert_eq!(before, after, "{jump}");
        // A change that comes after the jump ends as any other.
        world.change(|spec| spec.containers[0].image = "web:2".into());
        world.calm(200);
        as_wanted(&world);
    }
}
