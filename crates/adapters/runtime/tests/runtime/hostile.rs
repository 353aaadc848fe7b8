//! What containers must not do, what happens to them when things around them break, and that nothing stays behind.

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::span::Span;
use univrs_ports::runtime::conformance::HOSTNAME;
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, ExecSpec, Exit, LogLimits, LogQuery, Mount, MountSource,
    Runtime as _, RuntimeError,
};
use univrs_runtime::OciRuntime;

use crate::bundle::{Node, fresh, obstacle};
use crate::harness::{Outcome, Test};

const PATIENCE: Duration = Duration::from_secs(120);

macro_rules! add_tests {
    ($tests:ident: $of:literal: $($name:ident),* $(,)?) => {$(
        $tests.push(Test::new(concat!($of, "::", stringify!($name)), || async {
            if let Some(reason) = obstacle() {
                return Outcome::LeftOut(reason);
            }
            let node = Node::new();
            $name(&node).await;
            node.oci().purge().await.expect("it purges");
            crate::hostile::nothing_remains(&node, |_| true).await;
            Outcome::Passed
        }));
    )*};
}
pub(crate) use add_tests;

/// Adds the tests.
pub(crate) fn add(tests: &mut Vec<Test>) {
    add_tests!(tests: "hostile":
        a_container_sees_its_own_world,
        system_calls_are_restricted_for_every_program,
        the_host_is_out_of_reach,
        signals_are_as_new_programs_expect,
        users_come_from_the_image,
        mounts_appear_as_asked,
        limits_bind,
        want_of_memory_is_told,
        bad_programs_are_refused,
        bad_environments_are_refused,
        images_may_have_many_layers,
        names_may_be_long,
        logs_turn_over,
        a_killed_shim_ends_its_container,
        a_shim_killed_behind_the_daemons_back_is_noticed,
        containers_outlive_a_killed_daemon,
        an_abandoned_start_harms_nothing,
        a_failed_start_leaves_nothing,
        commands_are_like_the_container,
    );
}

/// Waits until nothing of the node is left of the kinds that matter: what was killed takes the kernel a moment to end.
pub(crate) async fn nothing_remains(node: &Node, matters: impl Fn(&str) -> bool) {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let left: Vec<String> = node.remains().into_iter().filter(|what| matters(what)).collect();
        if left.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < until, "{left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn start(node: &Node, spec: &ContainerSpec) -> Result<(), RuntimeError> {
    node.oci().open_sandbox(&spec.id.instance, HOSTNAME).await.expect("a sandbox");
    node.oci().start(spec).await.map(drop)
}

async fn ended(runtime: &OciRuntime, id: &ContainerId) -> Exit {
    let wait = async {
        loop {
            let state = runtime.inspect(id).await.expect("an answer").expect("the container");
            if let ContainerPhase::Exited(exit) = state.phase {
                return exit;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it ends in time")
}

async fn log(runtime: &OciRuntime, id: &ContainerId) -> Vec<String> {
    let lines = runtime.logs(id, LogQuery::default()).await.expect("logs");
    lines.map(|line| line.expect("a line").text).collect().await
}

/// Waits until its log has so many lines, and answers them.
async fn log_of(runtime: &OciRuntime, id: &ContainerId, lines: usize) -> Vec<String> {
    let wait = async {
        loop {
            let found = log(runtime, id).await;
            if found.len() >= lines {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it writes in time")
}

/// Runs a container to its end.
pub(crate) async fn run(node: &Node, spec: &ContainerSpec) -> (Exit, Vec<String>) {
    start(node, spec).await.expect("it starts");
    let exit = ended(&node.oci(), &spec.id).await;
    (exit, log(&node.oci(), &spec.id).await)
}

async fn says(node: &Node, script: &str) -> Vec<String> {
    run(node, &node.script(&fresh("app"), script)).await.1
}

pub(crate) async fn command(node: &Node, id: &ContainerId, script: &str) -> String {
    use tokio::io::AsyncReadExt as _;
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let spec = ExecSpec { command, env: [("MORE".to_owned(), "yes".to_owned())].into(), tty: false };
    let mut session = node.oci().exec(id, spec).await.expect("it runs");
    let mut text = String::new();
    session.stdout.read_to_string(&mut text).await.expect("its output");
    tokio::time::timeout(PATIENCE, session.exit).await.expect("it ends").expect("an exit code");
    text
}

async fn a_container_sees_its_own_world(node: &Node) {
    let mut spec = node.script(
        &fresh("app"),
        "hostname; pwd; echo $GREETING; cat /etc/layer; echo $$; ip -o link show lo | grep -c 'LOOPBACK,UP'; \
         cat /proc/self/cgroup | grep -vc ':/$'; ls /proc/self/fd | wc -l; echo $HOME",
    );
    spec.working_dir = "/not/there/yet".to_owned();
    let (_, said) = run(node, &spec).await;
    // Four open files: the three usual ones and the directory that `ls` reads.
    assert_eq!(said, ["box", "/not/there/yet", "hello there", "top", "1", "1", "0", "4", "/root"]);
}

const RESTRICTED: &str = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'; \
    unshare -U true 2>&1 | grep -c 'Operation not permitted'; \
    mount -t tmpfs none /tmp 2>&1 | grep -ciE 'not permitted|denied'; \
    unshare -m true 2>&1 | grep -c 'Operation not permitted'; (true) && echo forks";
const RESTRICTED_ANSWER: [&str; 6] = ["NoNewPrivs:1", "Seccomp:2", "1", "1", "1", "forks"];

async fn system_calls_are_restricted_for_every_program(node: &Node) {
    let id = fresh("app");
    let spec = node.script(&id, &format!("{RESTRICTED}; exec sleep 100"));
    start(node, &spec).await.expect("it starts");
    let said = command(node, &id, RESTRICTED).await;
    assert_eq!(said.lines().collect::<Vec<_>>(), RESTRICTED_ANSWER);
    assert_eq!(log_of(&node.oci(), &id, RESTRICTED_ANSWER.len()).await, RESTRICTED_ANSWER);
}

async fn the_host_is_out_of_reach(node: &Node) {
    let said = says(
        node,
        "echo 1 2>/dev/null >/proc/sys/kernel/panic || echo sys; \
         mknod /tmp/disk b 254 0 2>/dev/null || echo mknod; \
         cat /proc/interrupts | wc -c; ls /sys/firmware | wc -l; \
         touch /sys/x 2>/dev/null || echo sysfs; \
         for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do \
            [ -e $f ] && { echo 1 2>/dev/null >$f || echo cgroup; }; done; \
         dd if=/dev/kmsg of=/dev/null count=1 2>/dev/null || echo kmsg; \
         grep CapEff /proc/self/status | tr -d '\\t'",
    )
    .await;
    assert_eq!(
        said,
        ["sys", "mknod", "0", "0", "sysfs", "cgroup", "kmsg", "CapEff:00000000a00425fb"]
            .map(str::to_owned)
            .to_vec()
    );
}

async fn signals_are_as_new_programs_expect(node: &Node) {
    let said =
        says(node, "grep -E '^Sig(Ign|Blk):' /proc/self/status | grep -c '0000000$'; yes | head -n 1").await;
    // The C library ignores two signals that only it uses, 32 and 33.
    assert_eq!(said, ["2", "y"]);
}

async fn users_come_from_the_image(node: &Node) {
    for (user, expected) in [
        ("", "uid=0(root) gid=0(root)"),
        ("web", "uid=33(web) gid=34(web) groups=26(tape)"),
        ("web:tape", "uid=33(web) gid=26(tape)"),
        ("1234:99", "uid=1234 gid=99"),
    ] {
        let mut spec =
            node.script(&fresh("app"), "id; cat /proc/self/status | grep -c 'CapEff.*0000000000000000'");
        spec.user = user.to_owned();
        let (_, said) = run(node, &spec).await;
        assert!(said[0].starts_with(expected), "{user}: {said:?}");
        assert_eq!(said[1], if user.is_empty() { "0" } else { "1" }, "{user}");
    }
    let mut spec = node.script(&fresh("app"), "id");
    spec.user = "nobody".to_owned();
    let outcome = start(node, &spec).await;
    assert!(
        matches!(&outcome, Err(RuntimeError::Refused { reason, .. }) if reason.contains("`nobody`")),
        "{outcome:?}"
    );
}

async fn mounts_appear_as_asked(node: &Node) {
    std::fs::create_dir(node.path("shared")).expect("a directory");
    std::fs::write(node.path("hosts"), "10.0.0.1 here\n").expect("a file");
    let mount =
        |source: MountSource, target: &str, read_only| Mount { source, target: target.into(), read_only };
    let host = |name: &str| MountSource::Host(node.path(name));
    let mut spec = node.script(
        &fresh("app"),
        "cat /etc/hosts; echo x 2>/dev/null >/etc/hosts || echo read-only; echo kept >/deep/below/file; \
         touch /see/x 2>/dev/null || echo read-only; \
         dd if=/dev/zero of=/memory/x bs=1M count=4 2>/dev/null || echo full; stat -c %a /memory",
    );
    spec.mounts = vec![
        mount(host("shared"), "/deep/below", false),
        mount(MountSource::Memory { size: Bytes::mebibytes(2) }, "/memory", false),
        mount(host("hosts"), "/etc/hosts", true),
        mount(host("shared"), "/see", true),
    ];
    let (_, said) = run(node, &spec).await;
    assert_eq!(said, ["10.0.0.1 here", "read-only", "read-only", "full", "1777"]);
    assert_eq!(std::fs::read_to_string(node.path("shared/file")).expect("the file"), "kept\n");
    for bad in [
        mount(host("nothing"), "/x", false),
        mount(host("shared"), "relative", false),
        mount(host("shared"), "/", false),
        mount(host("shared"), "/etc/passwd", false),
        mount(host("hosts"), "/etc", false),
        mount(MountSource::Memory { size: Bytes::new(0) }, "/memory", false),
    ] {
        let mut spec = node.script(&fresh("app"), "true");
        spec.mounts = vec![bad];
        let outcome = start(node, &spec).await;
        assert!(matches!(outcome, Err(RuntimeError::Refused { .. })), "{outcome:?}");
    }
}

async fn limits_bind(node: &Node) {
    let mut spec = node.script(
        &fresh("app"),
        "cd /sys/fs/cgroup; if [ -d memory ]; then cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max \
         cpu/cpu.shares; else cat memory.max; cut -d' ' -f1 cpu.max; cat pids.max; echo 256; fi; ulimit -n; \
         i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; echo never",
    );
    spec.limits.memory = Some(Bytes::mebibytes(32));
    spec.limits.cpu = Some(Cpu::millicores(500));
    spec.limits.cpu_request = Cpu::millicores(250);
    spec.limits.pids = 10;
    let (exit, said) = run(node, &spec).await;
    assert_eq!(said[..4], ["33554432", "50000", "10", "256"], "{said:?}");
    assert!(said[4].parse::<u64>().expect("a number") >= 1024, "{said:?}");
    assert!(!said.contains(&"never".to_owned()) && exit.code != Some(0), "{exit:?} {said:?}");
}

async fn want_of_memory_is_told(node: &Node) {
    let id = fresh("app");
    let mut spec = node.script(&id, "exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    spec.limits.memory = Some(Bytes::mebibytes(16));
    let (exit, said) = run(node, &spec).await;
    assert_eq!((exit.code, exit.out_of_memory), (Some(137), true), "{said:?}");
    let (exit, _) = run(node, &node.script(&fresh("app"), "kill -9 $$; exit 137")).await;
    assert_eq!((exit.code, exit.out_of_memory), (Some(137), false));
}

async fn bad_programs_are_refused(node: &Node) {
    for (program, expected) in [
        ("nothing", "`nothing` was not found in"),
        ("/bin/text", "not executable"),
        ("text", "not executable"),
        ("/bin/script", "interpreter"),
        ("/bin", "not a file"),
        ("", "empty"),
        ("zero\0byte", "zero byte"),
    ] {
        let mut spec = node.script(&fresh("app"), "");
        spec.command = vec![program.to_owned()];
        match start(node, &spec).await {
            Err(RuntimeError::Refused { reason, .. }) => {
                assert!(reason.contains(expected), "{program}: {reason}")
            }
            other => panic!("{program} must be refused, was {other:?}"),
        }
    }
}

async fn bad_environments_are_refused(node: &Node) {
    for (key, value) in [("", "x"), ("a=b", "x"), ("a", "x\0y")] {
        let mut spec = node.script(&fresh("app"), "env");
        spec.env.insert(key.to_owned(), value.to_owned());
        let outcome = start(node, &spec).await;
        assert!(matches!(outcome, Err(RuntimeError::Refused { .. })), "{key}: {outcome:?}");
    }
    let mut spec = node.script(&fresh("app"), "umask; env | sort");
    spec.env = [("EMPTY".to_owned(), String::new()), ("TEXT".to_owned(), "a=b c\td".to_owned())].into();
    let (_, said) = run(node, &spec).await;
    assert_eq!(
        said,
        [
            "0022",
            "EMPTY=",
            "HOME=/root",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/",
            "SHLVL=1",
            "TEXT=a=b c\td"
        ]
    );
}

async fn images_may_have_many_layers(node: &Node) {
    let mut spec = node.script(&fresh("app"), "cat /number; ls /only | wc -l");
    for number in 0..120 {
        let layer = node.path(&format!("many/{}{number}", "long".repeat(20)));
        std::fs::create_dir_all(layer.join("only")).expect("a directory");
        std::fs::write(layer.join("number"), format!("{number}\n")).expect("a file");
        std::fs::write(layer.join(format!("only/{number}")), "").expect("a file");
        spec.image.layers.push(layer);
    }
    assert_eq!(run(node, &spec).await.1, ["119", "120"]);
}

async fn names_may_be_long(node: &Node) {
    let id = fresh(&"n".repeat(63));
    start(node, &node.script(&id, "trap 'exit 4' TERM; echo ready; while :; do sleep 0.02; done"))
        .await
        .expect("it starts");
    assert_eq!(command(node, &id, "echo $GREETING $MORE").await, "hello there yes\n");
    assert_eq!(log_of(&node.oci(), &id, 1).await, ["ready"]);
    let exit = node.oci().stop(&id, Span::seconds(120)).await.expect("it stops");
    assert_eq!(exit.code, Some(4));
}

async fn logs_turn_over(node: &Node) {
    let id = fresh("app");
    let mut spec = node.script(&id, "seq 1 20000");
    spec.log = LogLimits { max_bytes: 64 << 10, kept_files: 2 };
    let (_, said) = run(node, &spec).await;
    assert_eq!(said.last().map(String::as_str), Some("20000"));
    let first: usize = said[0].parse().expect("a number");
    assert_eq!(said.len(), 20_000 - first + 1);
    let dir = node.path("data").join(id.instance.as_str()).join("app/log");
    let sizes: Vec<u64> = std::fs::read_dir(dir)
        .expect("the log")
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .collect();
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size <= 65 << 10), "{sizes:?}");
}

/// The process that waits for the container.
fn shim_of(node: &Node, id: &ContainerId) -> Pid {
    let dir = node.path("run").join(id.instance.as_str()).join("c").join(id.container.as_str());
    let dir = dir.to_string_lossy().into_owned();
    let pids = std::fs::read_dir("/proc").expect("the processes").filter_map(Result::ok);
    let found = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).find(|pid| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.starts_with("univrs shim") && command.contains(&dir)
    });
    Pid::from_raw(found.expect("a shim"))
}

async fn a_killed_shim_ends_its_container(node: &Node) {
    let id = fresh("app");
    start(node, &node.script(&id, "while :; do sleep 1; done")).await.expect("it starts");
    let mut endings = node.oci().endings();
    kill(shim_of(node, &id), Signal::SIGKILL).expect("it is killed");
    let hint = tokio::time::timeout(PATIENCE, endings.next()).await.expect("a hint in time");
    assert_eq!(hint.as_ref(), Some(&id));
    assert_eq!(ended(&node.oci(), &id).await.code, None);
    let again = ContainerSpec { attempt: 1, ..node.script(&id, "echo again") };
    assert_eq!(run(node, &again).await.1, ["again"]);
}

async fn a_shim_killed_behind_the_daemons_back_is_noticed(node: &Node) {
    use univrs_ports::runtime::conformance::Subject as _;
    let (lost, kept) = (fresh("lost"), fresh("kept"));
    for id in [&lost, &kept] {
        start(node, &node.script(id, "while :; do sleep 1; done")).await.expect("it starts");
    }
    let shim = shim_of(node, &lost);
    let runtime = node.restart().await;
    kill(shim, Signal::SIGKILL).expect("it is killed");
    let listed = runtime.list().await.expect("a list").containers;
    let of = |id: &ContainerId| listed.iter().find(|state| state.id == *id).expect("the container").phase;
    // It may have been taken over before its shim was gone; then its end is noticed a moment later.
    assert_eq!(of(&kept), ContainerPhase::Running);
    assert_eq!(ended(&node.oci(), &lost).await.code, None);
}

/// What the daemon that is going to be killed does.
pub(crate) async fn doomed_daemon(mut arguments: impl Iterator<Item = String>) {
    let mut next = || arguments.next().expect("an argument");
    let (node, run_dir, data_dir, spec) = (next(), next(), next(), next());
    let options = univrs_runtime::OciOptions::new(node.parse().expect("a node"), run_dir, data_dir);
    let runtime = OciRuntime::new(options).expect("the runtime can be used");
    let layers: Vec<PathBuf> = serde_json::from_str(&spec).expect("layers");
    let id = ContainerId {
        instance: "in_doomed".parse().expect("an id"),
        container: "app".parse().expect("a name"),
    };
    runtime.open_sandbox(&id.instance, HOSTNAME).await.expect("a sandbox");
    let spec =
        crate::bundle::script(&id, layers, "trap 'exit 6' TERM; while :; do echo on; sleep 0.05; done");
    runtime.start(&spec).await.expect("it starts");
    crate::harness::say("started");
    std::future::pending::<()>().await;
}

async fn containers_outlive_a_killed_daemon(node: &Node) {
    use tokio::io::AsyncBufReadExt as _;
    let mut daemon = tokio::process::Command::new("/proc/self/exe")
        .args(["test-daemon", node.id.as_str()])
        .args([node.path("run"), node.path("data")])
        .arg(serde_json::to_string(&node.layers()).expect("text"))
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a daemon");
    let stdout = daemon.stdout.take().expect("its output");
    let mut lines = tokio::io::BufReader::new(stdout).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it starts in time");
    assert_eq!(line.expect("its output").as_deref(), Some("started"));
    daemon.kill().await.expect("it is killed");
    let id = ContainerId {
        instance: "in_doomed".parse().expect("an id"),
        container: "app".parse().expect("a name"),
    };
    let runtime = node.oci();
    let state = runtime.inspect(&id).await.expect("an answer").expect("the container");
    assert_eq!(state.phase, ContainerPhase::Running);
    // It goes on writing.
    let before = log(&runtime, &id).await.len();
    log_of(&runtime, &id, before + 2).await;
    assert_eq!(runtime.stop(&id, Span::seconds(120)).await.expect("it stops").code, Some(6));
}

async fn an_abandoned_start_harms_nothing(node: &Node) {
    for wait in [0, 2, 5, 10, 20, 40, 60] {
        let id = fresh("app");
        let spec = node.script(&id, "trap 'exit 0' TERM; while :; do sleep 0.02; done");
        node.oci().open_sandbox(&id.instance, HOSTNAME).await.expect("a sandbox");
        // Gives up in the midst.
        let _ = tokio::time::timeout(Duration::from_millis(wait), node.oci().start(&spec)).await;
        let again = tokio::time::timeout(PATIENCE, node.oci().start(&spec)).await.expect("an answer in time");
        assert_eq!(again.expect("it runs").phase, ContainerPhase::Running);
        node.oci().close_sandbox(&id.instance).await.expect("it closes");
    }
    let id = fresh("app");
    node.oci().open_sandbox(&id.instance, HOSTNAME).await.expect("a sandbox");
    let _ = tokio::time::timeout(Duration::from_millis(8), node.oci().start(&node.script(&id, "sleep 100")))
        .await;
}

async fn a_failed_start_leaves_nothing(node: &Node) {
    let mut spec = node.script(&fresh("app"), "true");
    spec.image.layers.push(node.path("missing"));
    let outcome = start(node, &spec).await;
    assert!(
        matches!(&outcome, Err(RuntimeError::Failed { reason, .. }) if reason.contains("missing")),
        "{outcome:?}"
    );
    spec.image.layers.pop();
    spec.command = vec!["/bin/script".to_owned()];
    assert!(start(node, &spec).await.is_err());
    assert_eq!(node.oci().inspect(&spec.id).await.expect("an answer"), None);
    node.oci().close_sandbox(&spec.id.instance).await.expect("it closes");
    nothing_remains(node, |what| !what.starts_with("directory") && !what.starts_with("cgroup")).await;
    assert_eq!(node.oci().list().await.expect("a list").sandboxes, []);
}

async fn commands_are_like_the_container(node: &Node) {
    let id = fresh("app");
    let mut spec = node.script(&id, "sleep 100");
    spec.user = "web".to_owned();
    spec.working_dir = "/srv".to_owned();
    start(node, &spec).await.expect("it starts");
    let said = command(
        node,
        &id,
        "id -un; pwd; echo $GREETING $MORE; hostname; readlink /proc/1/exe /proc/self/ns/pid | wc -l; \
         cat /proc/self/oom_score_adj; ulimit -n; grep -E '^Sig(Ign|Blk):' /proc/self/status | grep -c '0000000$'",
    )
    .await;
    let said: Vec<_> = said.lines().collect();
    assert_eq!(said[..4], ["web", "/srv", "hello there yes", "box"], "{said:?}");
    assert_eq!(said[5], "0");
    assert_eq!(said[7..], ["2"]);
}
