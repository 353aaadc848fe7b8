//! The life of an instance on a node that does what it is told, sometimes late and sometimes badly.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use univrs_model::ids::{InstanceId, NodeId, SecretId, WorkloadId};
use univrs_model::instance::{Assignment, Desired, Health, InstanceOrder, Observation, Phase};
use univrs_model::name::Name;
use univrs_model::secret::SecretVersion;
use univrs_model::span::Span;
use univrs_rollout::life::{
    ContainerSeen, LifeStep, Memory, Preparation, ProbeResult, ProbeSeen, Seen, Trouble, dispose, next,
};

/// A node with one instance.
struct Node {
    order: InstanceOrder,
    seen: Seen,
    memory: Memory,
    observation: Option<Observation>,
    now: Timestamp,
    wake_at: Option<Timestamp>,
    log: Vec<String>,
    healthy: bool,
}

impl Node {
    fn new(spec: serde_json::Value) -> Self {
        let spec: univrs_model::workload::WorkloadSpec = serde_json::from_value(spec).unwrap();
        let assignment = Assignment {
            id: InstanceId::from_bits(1),
            org: Name::default_org(),
            workload_id: WorkloadId::from_bits(1),
            workload: spec.name.clone(),
            workload_revision: 1,
            slot: 0,
            requests: spec.requests(),
            node: Some(NodeId::from_bits(1)),
            desired: Desired::Run,
            fence: 1,
            created_at: Timestamp::UNIX_EPOCH,
            stop_requested_at: None,
            reason: "scaled down".into(),
            lost: false,
        };
        Self {
            order: InstanceOrder { assignment, spec: Arc::new(spec), secrets: BTreeMap::new() },
            seen: Seen::default(),
            memory: Memory::default(),
            observation: None,
            now: Timestamp::UNIX_EPOCH,
            wake_at: None,
            log: Vec::new(),
            healthy: true,
        }
    }

    fn wait(&mut self, millis: i64) {
        self.now = self.now.checked_add(SignedDuration::from_millis(millis)).unwrap();
    }

    fn phase(&self) -> Phase {
        self.observation.as_ref().map_or(Phase::Assigned, |seen| seen.phase)
    }

    /// Looks once and answers the steps.
    fn look(&mut self) -> Vec<LifeStep> {
        let before = self.phase();
        let life = next(&self.order, self.observation.as_ref(), &self.memory, &self.seen, self.now);
        assert!(life.observation.phase >= before, "LIF-1: {before:?} to {:?}", life.observation.phase);
        assert!(life.wake_at.is_none_or(|at| at > self.now));
        if self.observation.as_ref().is_none_or(|o| {
            (o.phase, o.health, &o.message)
                != (life.observation.phase, life.observation.health, &life.observation.message)
        }) {
            let o = &life.observation;
            self.log.push(
                format!("{}ms {:?} {:?} {}", self.now.as_millisecond(), o.phase, o.health, o.message)
                    .trim_end()
                    .to_owned(),
            );
        }
        // The same again, with what was answered, changes nothing more.
        let again = next(&self.order, Some(&life.observation), &life.memory, &self.seen, self.now);
        assert_eq!(again.observation, life.observation);
        if !life.observation.phase.is_terminal() {
            assert_eq!(again.steps, life.steps);
        }
        self.observation = Some(life.observation);
        self.memory = life.memory;
        self.wake_at = life.wake_at;
        life.steps
    }

    /// Carries a step out at once.
    fn carry_out(&mut self, step: &LifeStep) {
        match step {
            LifeStep::PrepareImages => self.seen.images = Preparation::Ready,
            LifeStep::PrepareStorage => self.seen.storage = Preparation::Ready,
            LifeStep::OpenSandbox => self.seen.sandbox = Preparation::Ready,
            LifeStep::Attach => {
                self.seen.network = Preparation::Ready;
                self.seen.address = Some("10.0.0.2".into());
            }
            LifeStep::StartContainer { name, attempt } => {
                let running = ContainerSeen::Running { attempt: *attempt, since: self.now };
                self.log.push(format!("{}ms start {name} {attempt}", self.now.as_millisecond()));
                self.seen.containers.insert(name.clone(), running);
                self.seen.secrets.insert(name.clone(), self.order.secrets.clone());
                self.seen.probes.remove(name);
            }
            LifeStep::StopContainer { name, .. } => self.exit(name.as_str(), 143),
            LifeStep::RenewSecrets { name } => {
                self.log.push(format!("{}ms renew {name}", self.now.as_millisecond()));
                self.seen.secrets.insert(name.clone(), self.order.secrets.clone());
            }
            LifeStep::Probe { name } => {
                let result = ProbeResult { at: self.now, passed: self.healthy, message: "refused".into() };
                self.seen.probes.insert(name.clone(), ProbeSeen { in_flight: false, last: Some(result) });
            }
            LifeStep::Detach => {
                self.seen.network = Preparation::Missing;
                self.seen.address = None;
            }
            LifeStep::CloseSandbox => self.seen.sandbox = Preparation::Missing,
            LifeStep::ReleaseStorage => self.seen.storage = Preparation::Missing,
        }
    }

    fn exit(&mut self, name: &str, code: i32) {
        let name: Name = name.parse().unwrap();
        if let Some(ContainerSeen::Running { attempt, since }) = self.seen.containers.get(&name).cloned() {
            let exited = ContainerSeen::Exited {
                attempt,
                since,
                code: Some(code),
                out_of_memory: false,
                at: self.now,
            };
            self.seen.containers.insert(name, exited);
        }
    }

    /// Looks and acts until nothing is left to do now.
    fn settle(&mut self) {
        for _ in 0..50 {
            let steps = self.look();
            if steps.is_empty() {
                return;
            }
            for step in steps {
                self.carry_out(&step);
            }
        }
        panic!("it never comes to rest: {:#?}", self.log);
    }

    /// Lets time pass to each moment that it wants to be looked at, up to so many.
    fn pass(&mut self, moments: usize) {
        for _ in 0..moments {
            self.settle();
            match self.wake_at {
                Some(at) => self.now = at,
                None => return,
            }
        }
        self.settle();
    }

    fn check(&self, expected: &Expect) {
        expected.assert_eq(&self.log.join("\n"));
    }
}

fn web(extra: serde_json::Value) -> serde_json::Value {
    let mut spec = serde_json::json!({"name": "web", "image": "web:1"});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    spec
}

#[test]
fn a_new_value_is_signalled_only_where_that_is_wanted() {
    let version = |version| SecretVersion { secret: SecretId::from_bits(1), version };
    for (on_change, renewals) in [("signal", 1), ("none", 0), ("restart", 0)] {
        let mut node = Node::new(web(serde_json::json!({
            "secrets": [{"name": "db", "file": "/run/db", "on_change": on_change}]
        })));
        node.order.secrets.insert("db".parse().unwrap(), version(1));
        node.settle();
        node.order.secrets.insert("db".parse().unwrap(), version(2));
        node.settle();
        node.order.secrets.clear();
        node.settle();
        let told = node.log.iter().filter(|line| line.ends_with("renew app")).count();
        assert_eq!(told, renewals, "{on_change}: a value that is gone signals nothing");
        assert_eq!(node.observation.as_ref().unwrap().restarts, 0);
    }
}

#[test]
fn it_starts_and_is_stopped() {
    let mut node = Node::new(web(serde_json::json!({})));
    assert_eq!(node.look(), [LifeStep::PrepareImages, LifeStep::PrepareStorage, LifeStep::OpenSandbox]);
    node.settle();
    let seen = node.observation.clone().unwrap();
    assert_eq!((seen.phase, seen.health, seen.restarts), (Phase::Running, Health::None, 0));
    assert_eq!(seen.address.as_deref(), Some("10.0.0.2"));
    node.wait(1000);
    node.order.assignment.desired = Desired::Stop;
    node.order.assignment.fence = 2;
    node.settle();
    node.check(&expect![[r#"
        0ms Pulling None
        0ms Starting None
        0ms Starting Starting
        0ms start app 0
        0ms Running None
        1000ms Stopping None scaled down
        1000ms Stopped None scaled down"#]]);
    assert_eq!(node.observation.as_ref().unwrap().exit_code, Some(143));
    assert_eq!(node.observation.as_ref().unwrap().fence, 2);
    // Logs stay readable until the order is gone.
    assert_eq!(dispose(&node.seen, Span::ZERO), [LifeStep::CloseSandbox, LifeStep::ReleaseStorage]);
    // A container that is about to run would be left over when what it stands on went first.
    node.seen.containers.insert("app".parse().unwrap(), ContainerSeen::Starting);
    assert_eq!(dispose(&node.seen, Span::ZERO), []);
}

#[test]
fn restarts_wait_longer_and_longer() {
    let mut node = Node::new(web(serde_json::json!({"restart": {"initial": "1s", "max": "3s"}})));
    node.settle();
    for _ in 0..5 {
        node.wait(100);
        node.exit("app", 1);
        node.pass(1);
    }
    // A long run starts the series anew.
    node.wait(700_000);
    node.exit("app", 1);
    node.settle();
    assert_eq!(node.observation.as_ref().unwrap().restarts, 6);
    node.check(&expect![[r#"
        0ms Pulling None
        0ms Starting None
        0ms Starting Starting
        0ms start app 0
        0ms Running None
        100ms Running Starting app ended with code 1; restart 1 is due at 1970-01-01T00:00:00.1Z
        100ms start app 1
        100ms Running None
        200ms Running Starting app ended with code 1; restart 2 is due at 1970-01-01T00:00:01.2Z
        1200ms start app 2
        1200ms Running None
        1300ms Running Starting app ended with code 1; restart 3 is due at 1970-01-01T00:00:03.3Z
        3300ms start app 3
        3300ms Running None
        3400ms Running Starting app ended with code 1; restart 4 is due at 1970-01-01T00:00:06.4Z
        6400ms start app 4
        6400ms Running None
        6500ms Running Starting app ended with code 1; restart 5 is due at 1970-01-01T00:00:09.5Z
        9500ms start app 5
        9500ms Running None
        709500ms Running Starting app ended with code 1; restart 6 is due at 1970-01-01T00:11:49.5Z
        709500ms start app 6
        709500ms Running None"#]]);
}

#[test]
fn policies_decide_what_an_end_means() {
    for (kind, policy, code, phase) in [
        ("service", "always", 0, Phase::Running),
        ("service", "on_failure", 0, Phase::Stopped),
        ("service", "on_failure", 3, Phase::Running),
        ("service", "never", 0, Phase::Stopped),
        ("service", "never", 3, Phase::Failed),
        ("job", "always", 0, Phase::Stopped),
        ("job", "always", 3, Phase::Running),
        ("job", "never", 3, Phase::Failed),
    ] {
        let mut node = Node::new(web(serde_json::json!({"kind": kind, "restart": {"policy": policy}})));
        node.settle();
        node.wait(10);
        node.exit("app", code);
        node.settle();
        assert_eq!(node.phase(), phase, "{kind} {policy} {code}");
        assert_eq!(node.observation.unwrap().exit_code, Some(code));
    }
}

#[test]
fn a_job_gives_up() {
    let mut node = Node::new(web(serde_json::json!({"kind": "job"})));
    node.settle();
    for _ in 0..6 {
        node.wait(10);
        node.exit("app", 2);
        node.pass(1);
    }
    let seen = node.observation.unwrap();
    assert_eq!((seen.phase, seen.restarts, seen.exit_code), (Phase::Failed, 5, Some(2)));
    assert_eq!(seen.message, "app ended with code 2");
}

#[test]
fn health_starts_passes_fails_and_comes_back() {
    let health =
        serde_json::json!({"tcp": {"port": 80}, "interval": "2s", "retries": 2, "start_period": "3s"});
    let mut node = Node::new(serde_json::json!({
        "name": "web", "containers": [{"name": "app", "image": "web:1", "health": health}]}));
    node.healthy = false;
    node.pass(2);
    node.healthy = true;
    node.pass(2);
    node.healthy = false;
    node.pass(5);
    node.healthy = true;
    node.pass(2);
    node.check(&expect![[r#"
        0ms Pulling None
        0ms Starting None
        0ms Starting Starting
        0ms start app 0
        0ms Running Starting
        1500ms Running Passing
        7500ms Running Failing app fails its check: refused
        7500ms Running Failing app was stopped because it failed its check; restart 1 is due at 1970-01-01T00:00:07.5Z
        7500ms start app 1
        7500ms Running Failing app failed its check and has not passed since
        7500ms Running Failing app fails its check: refused
        9500ms Running Passing"#]]);
}

#[test]
fn what_never_passes_fails_after_its_start_period() {
    let health =
        serde_json::json!({"tcp": {"port": 80}, "interval": "1s", "retries": 2, "start_period": "3s"});
    let mut node = Node::new(serde_json::json!({
        "name": "web", "restart": {"policy": "never"}, "containers": [{"name": "app", "image": "web:1", "health": health}]}));
    node.healthy = false;
    node.pass(30);
    assert_eq!(node.phase(), Phase::Failed);
    assert_eq!(node.now.as_millisecond(), 5000);
}

#[test]
fn preparations_are_tried_again_only_when_that_may_help() {
    let mut node = Node::new(web(serde_json::json!({})));
    node.settle();
    let mut node =
        Node { seen: Seen::default(), observation: None, memory: Memory::default(), log: Vec::new(), ..node };
    let trouble = |temporary, tries| {
        Preparation::Failed(Trouble {
            message: "no route".into(),
            temporary,
            at: Timestamp::UNIX_EPOCH,
            tries,
        })
    };
    node.seen.images = trouble(true, 2);
    assert!(!node.look().contains(&LifeStep::PrepareImages));
    assert_eq!(node.wake_at.unwrap().as_millisecond(), 2000);
    node.wait(2000);
    assert!(node.look().contains(&LifeStep::PrepareImages));
    node.seen.images = trouble(false, 3);
    node.settle();
    assert_eq!(node.phase(), Phase::Failed);
    assert_eq!(node.observation.unwrap().message, "cannot prepare its images: no route");
}

#[test]
fn a_singleton_stops_by_itself_when_cut_off() {
    let mut node = Node::new(web(serde_json::json!({"singleton": true})));
    node.settle();
    node.seen.cut_off_since = Some(node.now);
    node.wait(9_999);
    node.settle();
    assert_eq!(node.phase(), Phase::Running);
    assert_eq!(node.wake_at.unwrap().as_millisecond(), 10_000);
    node.wait(1);
    node.settle();
    assert_eq!(node.phase(), Phase::Stopped);
    let mut keeps = Node::new(web(serde_json::json!({})));
    keeps.settle();
    keeps.seen.cut_off_since = Some(keeps.now);
    keeps.wait(1_000_000);
    keeps.settle();
    assert_eq!(keeps.phase(), Phase::Running);
}

#[test]
fn a_node_that_is_cut_off_starts_nothing_new() {
    let mut node = Node::new(web(serde_json::json!({})));
    node.seen.cut_off_since = Some(node.now);
    node.settle();
    node.wait(60_000);
    node.settle();
    assert!(node.phase() < Phase::Running && node.seen.containers.is_empty(), "{:?}", node.phase());
    node.seen.cut_off_since = None;
    node.settle();
    assert_eq!(node.phase(), Phase::Running);
}

#[test]
fn containers_that_outlive_the_daemon_are_kept() {
    let mut node = Node::new(web(serde_json::json!({})));
    node.settle();
    let (started, containers) = (node.observation.clone().unwrap().started_at, node.seen.containers.clone());
    node.wait(5000);
    // The daemon restarted: only the store's observation and the runtime's containers are known.
    node.memory = Memory::default();
    node.seen = Seen { containers, address: node.seen.address.clone(), ..Seen::default() };
    node.settle();
    let seen = node.observation.clone().unwrap();
    assert_eq!((seen.phase, seen.restarts, seen.started_at), (Phase::Running, 0, started));
    // The machine restarted: nothing is left, and it is made anew as one more restart.
    node.memory = Memory::default();
    node.seen = Seen::default();
    node.look();
    assert_eq!(node.observation.as_ref().unwrap().health, Health::Starting);
    node.settle();
    let seen = node.observation.unwrap();
    assert_eq!((seen.phase, seen.health, seen.restarts), (Phase::Running, Health::None, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn phases_only_move_forward_and_end(
        job: bool, checked: bool, two: bool, policy in 0usize..3,
        moves in prop::collection::vec((0u8..12, 0i64..4000), 0..60),
    ) {
        let health = checked.then(|| serde_json::json!({"tcp": {"port": 80}}));
        let mut containers = vec![serde_json::json!({"name": "app", "image": "web:1", "health": health})];
        if two {
            containers.push(serde_json::json!({"name": "side", "image": "side:1"}));
        }
        let policy = ["always", "on_failure", "never"][policy];
        let kind = if job { "job" } else { "service" };
        let mut node = Node::new(serde_json::json!({
            "name": "web", "kind": kind, "containers": containers, "restart": {"policy": policy, "max": "5s"}}));
        for (act, millis) in moves {
            let steps = node.look();
            match act {
                // Most of what it asks for is done, some of it not yet.
                0..=5 => steps.iter().for_each(|step| node.carry_out(step)),
                6 => steps.iter().take(1).for_each(|step| node.carry_out(step)),
                7 => node.exit("app", i32::from(millis % 2 == 0)),
                8 => node.exit("side", 0),
                9 => node.healthy = !node.healthy,
                10 => node.memory = Memory::default(),
                _ => {
                    let trouble = Trouble { message: "no luck".into(), temporary: true, at: node.now, tries: 1 };
                    let name: Name = "app".parse().unwrap();
                    if steps.iter().any(|step| matches!(step, LifeStep::StartContainer { name, .. } if name.as_str() == "app")) {
                        node.seen.containers.insert(name, ContainerSeen::NotStarted { attempt: 0, trouble });
                    }
                }
            }
            node.wait(millis);
        }
        node.order.assignment.desired = Desired::Stop;
        node.settle();
        prop_assert!(node.phase().is_terminal(), "LIF-1");
        let running = node.seen.containers.values().any(|seen| matches!(seen, ContainerSeen::Running { .. }));
        prop_assert!(!running);
        prop_assert_eq!(node.seen.network, Preparation::Missing);
    }
}

#[test]
fn a_clock_that_jumps_neither_restarts_nor_ends_anything() {
    let day = 24 * 60 * 60 * 1000;
    for jump in [day, -day, 400 * day, -400 * day] {
        let mut node = Node::new(web(serde_json::json!({})));
        node.settle();
        let started = node.observation.as_ref().unwrap().started_at;
        node.wait(5000);
        node.settle();
        node.wait(jump);
        node.settle();
        let seen = node.observation.clone().unwrap();
        assert_eq!((seen.phase, seen.restarts, seen.started_at), (Phase::Running, 0, started), "{jump}");
    }
}
