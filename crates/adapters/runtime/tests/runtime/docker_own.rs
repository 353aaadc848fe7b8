//! What is particular to the docker runtime: whose things are whose, what a container sees, an engine that goes away.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
};
use futures::{FutureExt as _, StreamExt as _};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::secret::SecretValue;
use univrs_model::span::Span;
use univrs_ports::runtime::conformance::HOSTNAME;
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, Exit, Limits, LogLimits, LogQuery, Mount, MountSource,
    Runtime, RuntimeError,
};
use univrs_runtime::DockerRuntime;

use crate::bundle::fresh;
use crate::docker::{DockerNode, obstacle, store};
use crate::dockerd::Dockerd;
use crate::harness::{Outcome, Test, say};

const PATIENCE: Duration = Duration::from_secs(120);

/// Adds the tests.
pub(crate) fn add(tests: &mut Vec<Test>) {
    macro_rules! add {
        ($($name:ident),* $(,)?) => {$(
            tests.push(Test::new(concat!("docker::", stringify!($name)), || async {
                if let Some(reason) = obstacle() {
                    return Outcome::LeftOut(reason);
                }
                let node = DockerNode::new().await;
                $name(&node).boxed().await;
                node.docker().purge().await.expect("it purges");
                assert_eq!(node.remains().await, Vec::<String>::new());
                Outcome::Passed
            }));
        )*};
    }
    add!(
        a_container_sees_what_was_asked_for,
        limits_bind,
        out_of_memory_is_told_from_a_kill,
        containers_of_an_instance_share_their_network,
        what_cannot_start_is_refused,
        long_lines_are_whole,
        logs_turn_over,
        only_some_earlier_attempts_are_kept,
        purging_touches_nothing_of_others,
        copies_of_images_follow_the_store,
        secret_variables_are_refused,
        starts_take_some_time,
    );
    tests.push(Test::new("docker::an_engine_that_goes_away_is_named_and_taken_up_again", || async {
        if let Some(reason) = obstacle() {
            return Outcome::LeftOut(reason);
        }
        an_engine_that_goes_away_is_named_and_taken_up_again().await;
        Outcome::Passed
    }));
}

async fn open(node: &DockerNode, id: &ContainerId) -> std::path::PathBuf {
    let opened = node.docker().open_sandbox(&id.instance, HOSTNAME).await.expect("a sandbox");
    opened.netns.expect("its namespace")
}

async fn run(node: &DockerNode, spec: &ContainerSpec) -> (Exit, Vec<String>) {
    node.docker().start(spec).await.expect("it starts");
    let exit = ended(&node.docker(), &spec.id).await;
    (exit, lines(&node.docker(), &spec.id, LogQuery::default()).await)
}

async fn ended(runtime: &DockerRuntime, id: &ContainerId) -> Exit {
    let until = Instant::now() + PATIENCE;
    loop {
        let state = runtime.inspect(id).await.expect("an answer").expect("the container");
        if let ContainerPhase::Exited(exit) = state.phase {
            return exit;
        }
        assert!(Instant::now() < until, "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn lines(runtime: &DockerRuntime, id: &ContainerId, query: LogQuery) -> Vec<String> {
    let lines = runtime.logs(id, query).await.expect("its log");
    lines.map(|line| line.expect("a line").text).collect().await
}

async fn a_container_sees_what_was_asked_for(node: &DockerNode) {
    let id = fresh("app");
    open(node, &id).await;
    let folder = node.dir.path().join("mounted");
    std::fs::create_dir(&folder).expect("a directory");
    std::fs::write(folder.join("hosts"), "127.0.0.1 here\n").expect("a file");
    std::fs::write(folder.join("data"), "kept\n").expect("a file");
    let host = |name: &str, target: &str, read_only| Mount {
        source: MountSource::Host(folder.join(name)),
        target: target.into(),
        read_only,
    };
    let script = "hostname; id -u; id -g; pwd; echo $GREETING; cat /etc/hosts; cat /data/data; \
        touch /data/x 2>/dev/null || echo read-only; echo secret >/secrets/s && df /secrets | tail -1 | awk '{print $2}'; \
        grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | awk '{print $2}'; \
        touch /proc/sys/kernel/x 2>/dev/null || echo protected";
    let spec = ContainerSpec {
        user: "web".to_owned(),
        working_dir: "/srv".to_owned(),
        mounts: vec![
            host("hosts", "/etc/hosts", true),
            host("", "/data", true),
            Mount {
                source: MountSource::Memory { size: Bytes::new(1 << 20) },
                target: "/secrets".into(),
                read_only: false,
            },
        ],
        ..node.script(&id, script)
    };
    let (exit, said) = run(node, &spec).await;
    assert_eq!(exit.code, Some(0), "{said:?}");
    assert_eq!(
        said,
        [
            HOSTNAME,
            "33",
            "34",
            "/srv",
            "hello there",
            "127.0.0.1 here",
            "kept",
            "read-only",
            "1024",
            // The thirteen capabilities of the oci runtime, no new privileges, a filter of system calls.
            "00000000a00425fb",
            "1",
            "2",
            "protected",
        ]
    );
    assert!(!folder.join("x").exists());
}

async fn limits_bind(node: &DockerNode) {
    let id = fresh("app");
    open(node, &id).await;
    let limits = Limits {
        cpu_request: Cpu::millicores(500),
        cpu: Some(Cpu::millicores(250)),
        memory: Some(Bytes::new(64 << 20)),
        pids: 33,
    };
    node.docker()
        .start(&ContainerSpec { limits, ..node.script(&id, "exec sleep 100") })
        .await
        .expect("it starts");
    let state = node.docker().inspect(&id).await.expect("an answer").expect("the container");
    let pid = state.pid.expect("a process");
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its groups");
    let read = |controller: &str, one: &str, two: &str| {
        // Version 1 names the controller, version 2 has one group for all.
        let (dir, file) = groups
            .lines()
            .find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                let found = controllers.split(',').any(|name| name == controller);
                found.then(|| (format!("/sys/fs/cgroup/{controller}{path}"), one))
            })
            .unwrap_or_else(|| (format!("/sys/fs/cgroup{}", groups.trim().trim_start_matches("0::")), two));
        std::fs::read_to_string(Path::new(&dir).join(file)).expect("a limit").trim().to_owned()
    };
    assert!(["25000", "25000 100000"].contains(&&*read("cpu", "cpu.cfs_quota_us", "cpu.max")));
    assert_eq!(read("memory", "memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(read("pids", "pids.max", "pids.max"), "33");
}

async fn out_of_memory_is_told_from_a_kill(node: &DockerNode) {
    let (hungry, killed) = (fresh("hungry"), fresh("killed"));
    open(node, &hungry).await;
    open(node, &killed).await;
    let limits = Limits { memory: Some(Bytes::new(16 << 20)), ..Limits::default() };
    let greedy = node.script(&hungry, "exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    let (exit, _) = run(node, &ContainerSpec { limits, ..greedy }).await;
    assert_eq!((exit.code, exit.out_of_memory), (Some(137), true));
    node.docker().start(&node.script(&killed, "exec sleep 100")).await.expect("it starts");
    node.docker().signal(&killed, "SIGKILL").await.expect("it is sent");
    let exit = ended(&node.docker(), &killed).await;
    assert_eq!((exit.code, exit.out_of_memory), (Some(137), false));
}

async fn containers_of_an_instance_share_their_network(node: &DockerNode) {
    let server = fresh("server");
    let client = ContainerId { container: "client".parse().expect("a name"), ..server.clone() };
    let netns = open(node, &server).await;
    let serve = "echo hello | nc -l -p 80";
    // Not root, and a low port: it is the instance's own.
    let spec = ContainerSpec { user: "web".to_owned(), ..node.script(&server, serve) };
    let pid = node.docker().start(&spec).await.expect("it starts").pid.expect("a process");
    let namespace = |path: &Path| {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).expect("a namespace").ino()
    };
    assert_eq!(namespace(&netns), namespace(Path::new(&format!("/proc/{pid}/ns/net"))));
    let ask = "for n in $(seq 600); do nc 127.0.0.1 80 </dev/null && exit 0; sleep 0.1; done; exit 1";
    let (exit, said) = run(node, &node.script(&client, ask)).await;
    assert_eq!((exit.code, said), (Some(0), vec!["hello".to_owned()]));
}

async fn what_cannot_start_is_refused(node: &DockerNode) {
    let id = fresh("app");
    open(node, &id).await;
    let good = node.script(&id, "true");
    let mount = |target: &str, source: &str| Mount {
        source: MountSource::Host(source.into()),
        target: target.into(),
        read_only: true,
    };
    for (spec, expected) in [
        (ContainerSpec { user: "nobody-here".to_owned(), ..good.clone() }, "nobody-here"),
        (ContainerSpec { command: vec!["/etc/passwd".to_owned()], ..good.clone() }, "permission denied"),
        (
            ContainerSpec { mounts: vec![mount("/data", "/no/such/source")], ..good.clone() },
            "/no/such/source",
        ),
        (ContainerSpec { mounts: vec![mount("data", "/tmp")], ..good.clone() }, "absolute"),
        (ContainerSpec { stop_signal: "SIGNOTHING".to_owned(), ..good.clone() }, "SIGNOTHING"),
    ] {
        match node.docker().start(&spec).await {
            Err(RuntimeError::Refused { reason, .. }) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{expected}: it must be refused, was {other:?}"),
        }
    }
    assert_eq!(node.docker().inspect(&id).await.expect("an answer"), None);
}

async fn long_lines_are_whole(node: &DockerNode) {
    let id = fresh("app");
    open(node, &id).await;
    let script = "echo first; yes x | head -n 40000 | tr -d '\\n'; echo; echo last; printf 'no end'";
    let (_, said) = run(node, &node.script(&id, script)).await;
    let lengths: Vec<usize> = said.iter().map(String::len).collect();
    assert_eq!(lengths, [5, 40_000, 4, 6]);
    for (tail, expected) in [(1, &lengths[3..]), (2, &lengths[2..]), (3, &lengths[1..]), (9, &lengths[..])] {
        let query = LogQuery { tail: Some(tail), ..LogQuery::default() };
        let found: Vec<usize> = lines(&node.docker(), &id, query).await.iter().map(String::len).collect();
        assert_eq!(found, expected, "the last {tail}");
    }
}

async fn logs_turn_over(node: &DockerNode) {
    let id = fresh("app");
    open(node, &id).await;
    let log = LogLimits { max_bytes: 20_000, kept_files: 1 };
    let spec = ContainerSpec { log, ..node.script(&id, "for n in $(seq 2000); do echo line $n; done") };
    let (_, said) = run(node, &spec).await;
    assert!(said.len() < 1000, "{} lines are kept", said.len());
    assert_eq!(said.last().map(String::as_str), Some("line 2000"));
}

async fn only_some_earlier_attempts_are_kept(node: &DockerNode) {
    let id = fresh("app");
    open(node, &id).await;
    for attempt in 0..7 {
        let spec = ContainerSpec { attempt, ..node.script(&id, &format!("echo {attempt}")) };
        run(node, &spec).await;
    }
    let said = lines(&node.docker(), &id, LogQuery::default()).await;
    assert_eq!(said, ["2", "3", "4", "5", "6"]);
    let listed = node.docker().list().await.expect("a list").containers;
    assert_eq!(listed.iter().map(|state| state.attempt).collect::<Vec<_>>(), [6]);
}

async fn purging_touches_nothing_of_others(node: &DockerNode) {
    let other = DockerNode::new().await;
    let (mine, theirs) = (fresh("app"), fresh("app"));
    for (node, id) in [(node, &mine), (&other, &theirs)] {
        open(node, id).await;
        node.docker().start(&node.script(id, "exec sleep 100")).await.expect("it starts");
    }
    // A stranger's container that wears our labels, as one made from an image that we ran might.
    let engine = node.engine();
    let image = format!("univrs.internal/{}:{}", other.id, &other.image.digest["sha256:".len()..]);
    let labels = [("dev.univrs.node", node.id.as_str()), ("dev.univrs.instance", mine.instance.as_str())];
    let body = ContainerCreateBody {
        image: Some(image),
        labels: Some(HashMap::from(labels.map(|(key, value)| (key.to_owned(), value.to_owned())))),
        entrypoint: Some(vec!["/bin/sh".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let name = format!("stranger-{}", std::process::id());
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    engine.create_container(Some(options), body).await.expect("a container");
    node.docker().purge().await.expect("it purges");
    assert_eq!(node.remains().await, Vec::<String>::new());
    let stranger = engine.inspect_container(&name, None::<InspectContainerOptions>).await;
    assert!(stranger.is_ok(), "{stranger:?}");
    let state = other.docker().inspect(&theirs).await.expect("an answer").expect("the container");
    assert_eq!(state.phase, ContainerPhase::Running);
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    engine.remove_container(&name, Some(options)).await.expect("it goes");
    other.docker().purge().await.expect("it purges");
}

async fn copies_of_images_follow_the_store(node: &DockerNode) {
    use univrs_ports::images::{ImageConfig, Images as _, PullPolicy};
    let dir = tempfile::tempdir().expect("a directory");
    let (images, image) = store(dir.path()).await;
    let socket = node.options().socket;
    let own =
        DockerNode::with(tempfile::tempdir().expect("a directory"), socket, images.clone(), image).await;
    let files = vec![
        univrs_image::FileEntry::host("/bin/busybox", 0o755, crate::bundle::BUSYBOX),
        univrs_image::FileEntry::symlink("/bin/sh", "busybox"),
    ];
    images.build("test/short:1", files, ImageConfig::default()).await.expect("an image");
    let short = images.prepare("test/short:1", PullPolicy::Never).await.expect("the image");
    let copy = format!("univrs.internal/{}:{}", own.id, &short.digest["sha256:".len()..]);
    let has = async || own.remains().await.contains(&copy);
    let id = fresh("app");
    open(&own, &id).await;
    run(&own, &ContainerSpec { image: short, ..own.script(&id, "true") }).await;
    own.docker().close_sandbox(&id.instance).await.expect("it closes");
    assert!(has().await, "a copy that the store still has is kept");
    images.remove("test/short:1").await.expect("it goes");
    let id = fresh("app");
    open(&own, &id).await;
    own.docker().close_sandbox(&id.instance).await.expect("it closes");
    assert!(!has().await, "a copy that the store no longer has goes");
    own.docker().purge().await.expect("it purges");
}

/// The engine writes environments down, so a secret cannot go that way.
async fn secret_variables_are_refused(node: &DockerNode) {
    let id = fresh("app");
    open(node, &id).await;
    let mut spec = node.script(&id, "true");
    spec.secret_env.insert("TOKEN".to_owned(), SecretValue::new(b"hidden".to_vec()));
    let error = node.docker().start(&spec).await.expect_err("refused").to_string();
    assert!(error.contains("TOKEN") && error.contains("`file`") && !error.contains("hidden"), "{error}");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("0");
    std::fs::write(&file, "hidden").expect("a file");
    let mut spec = node.script(&id, "test \"$(stat -c '%a %u' /secret) $(cat /secret)\" = '400 1234 hidden'");
    spec.user = "1234".to_owned();
    spec.mounts = vec![Mount { source: MountSource::Owned(file), target: "/secret".into(), read_only: true }];
    node.docker().start(&spec).await.expect("it starts");
    assert_eq!(ended(&node.docker(), &id).await.code, Some(0));
    node.docker().close_sandbox(&id.instance).await.expect("it closes");
}

/// A figure, not a judgement.
async fn starts_take_some_time(node: &DockerNode) {
    let mut millis = Vec::new();
    for _ in 0..10 {
        let id = fresh("app");
        let began = Instant::now();
        open(node, &id).await;
        let opened = began.elapsed();
        node.docker().start(&node.script(&id, "exec sleep 100")).await.expect("it starts");
        millis.push(((began.elapsed() - opened).as_millis(), opened.as_millis()));
        node.docker().close_sandbox(&id.instance).await.expect("it closes");
    }
    millis.sort_unstable();
    let (start, sandbox) = millis[millis.len() / 2];
    say(&format!("  docker: median start {start} ms, sandbox before it {sandbox} ms"));
}

async fn an_engine_that_goes_away_is_named_and_taken_up_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (images, image) = store(dir.path()).await;
    let mut engine = Dockerd::start();
    let node =
        DockerNode::with(tempfile::tempdir().expect("a directory"), engine.socket(), images, image).await;
    let id = fresh("app");
    let before = open(&node, &id).await;
    node.docker().start(&node.script(&id, "exec sleep 100")).await.expect("it starts");
    let mut endings = node.docker().endings();
    engine.stop();
    let named = |outcome: Result<(), RuntimeError>| {
        let text = outcome.expect_err("no engine").to_string();
        let socket = engine.socket();
        assert!(
            text.contains(&*socket.to_string_lossy()) && text.contains("systemctl start docker"),
            "{text}"
        );
    };
    named(node.docker().list().await.map(drop));
    named(node.docker().stop(&id, Span::ZERO).await.map(drop));
    named(DockerRuntime::connect(node.options()).await.map(drop));
    engine.resume();
    let hinted = async { while endings.next().await.is_some_and(|hint| hint != id) {} };
    tokio::time::timeout(PATIENCE, hinted).await.expect("what ended meanwhile is hinted at");
    ended(&node.docker(), &id).await;
    // The namespace went with the engine: nothing starts before there is a new one.
    let again = ContainerSpec { attempt: 1, ..node.script(&id, "exec sleep 100") };
    let outcome = node.docker().start(&again).await;
    assert!(matches!(outcome, Err(RuntimeError::NotFound { .. })), "{outcome:?}");
    assert_eq!(open(&node, &id).await, before);
    let state = node.docker().start(&again).await.expect("it starts");
    let pid = state.pid.expect("a process");
    let namespace = |path: &str| std::fs::read_link(path).expect("a namespace");
    use std::os::unix::fs::MetadataExt as _;
    let kept = std::fs::metadata(&before).expect("the file").ino();
    assert_eq!(namespace(&format!("/proc/{pid}/ns/net")).to_string_lossy(), format!("net:[{kept}]"));
    node.docker().purge().await.expect("it purges");
    assert_eq!(node.remains().await, Vec::<String>::new());
}
