//! The provider `docker` over an engine of its own: the suite of its port, organisations apart, and an engine that acts
//! without an answer at every single call.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use univrs_model::ids::OperationId;
use univrs_ports::provider::conformance::{check, order};
use univrs_ports::provider::{Order, Provider, ResourceRef, Standing};
use univrs_provider::docker::DockerProvider;

use crate::proxy::{Loss, Proxy};
use crate::world::{World, obstacle, shell, subject};

/// How often something is tried that an engine lost once.
pub(crate) const TRIES: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_docker_provider_conforms_keeps_organisations_apart_and_makes_nothing_twice() {
    if let Some(obstacle) = obstacle() {
        eprintln!("NOT RUN: {obstacle}");
        return;
    }
    let mut world = World::new().await;
    let provider = DockerProvider::new(world.options());
    let said = provider.describe().await;
    assert!(said.available && said.room.is_some(), "{said:?}");
    check(&provider, &subject()).await;
    assert_eq!(world.left(), Vec::<String>::new());
    keeps_apart(&provider).await;
    assert_eq!(world.left(), Vec::<String>::new());
    publishes_ports(&world, &provider).await;
    crate::compose::lives(&world, &provider).await;
    comes_back(&mut world, &provider).await;
    for loss in [Loss::Request, Loss::Answer] {
        survives_losses(&world, loss).await;
    }
    assert_eq!(world.left(), Vec::<String>::new());
    world.engine.stop();
    let standing = provider.status(&order(&subject(), 9, "away").resource).await.unwrap();
    assert!(
        matches!(&standing, Standing::Waiting { reason } if reason.contains("does not answer")),
        "{standing:?}"
    );
    let away = provider.describe().await;
    assert!(!away.available && away.message.contains("does not answer"), "{away:?}");
}

fn in_org(mut order: Order, org: &str) -> Order {
    order.resource.org = org.parse().unwrap();
    order
}

/// Runs a job of the order's organisation. Answers whether it ended well, and what it said.
pub(crate) async fn try_in(
    provider: &dyn Provider,
    org: &str,
    number: u128,
    script: &str,
) -> (bool, Vec<String>) {
    let mut wanted = in_org(order(&subject(), number, "visitor"), org);
    wanted.operation = OperationId::from_bits(number);
    let spec = &mut wanted.workloads[0];
    spec.kind = univrs_model::workload::WorkloadKind::Job;
    spec.containers[0].command = shell(script).command;
    let outcome = provider.run_job(&wanted).await.unwrap();
    provider.destroy(&wanted.resource).await.unwrap();
    (outcome.succeeded, outcome.last_lines)
}

pub(crate) async fn serves(provider: &dyn Provider, resource: &ResourceRef) {
    for _ in 0..3600 {
        match provider.status(resource).await.unwrap() {
            Standing::Serving { .. } => return,
            Standing::Failed { reason } => panic!("{reason}"),
            _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    panic!("it does not serve: {:?}", provider.status(resource).await);
}

/// A server whose address can be asked for.
pub(crate) fn server(number: u128, org: &str) -> Order {
    let mut wanted = in_org(order(&subject(), number, "web"), org);
    let container = &mut wanted.workloads[0].containers[0];
    container.command =
        shell("busybox hostname -i >/data/address; exec busybox httpd -f -p 8080 -h /data").command;
    container.user = Some("0".to_owned());
    container.health = Some(
        serde_json::from_value(serde_json::json!({"tcp": {"port": 8080}, "interval": "100ms"})).unwrap(),
    );
    wanted
}

/// What reads the server's own address. The shell stays, for the first program of a container cannot be ended by its
/// limit of time.
pub(crate) fn fetch(host: &str) -> String {
    format!("busybox timeout 5 busybox wget -q -O - http://{host}:8080/address; exit $?")
}

/// Tries until it reaches the server, for a busy machine takes its time, and answers what was read there.
pub(crate) async fn reaches(provider: &dyn Provider, org: &str, number: u128, host: &str) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..10 {
        let (reached, said) = try_in(provider, org, number, &fetch(host)).await;
        if reached {
            return said;
        }
        heard = said;
    }
    panic!("{host} is not reached: {heard:?}");
}

/// Who is in the organisation finds a server by its names; who is in another reaches it neither by name nor by address.
async fn keeps_apart(provider: &dyn Provider) {
    let web = server(71, "acme");
    provider.deploy(&web).await.unwrap();
    serves(provider, &web.resource).await;
    let mut address = String::new();
    for name in ["web", "web.internal", "web.acme.internal"] {
        let said = reaches(provider, "acme", 72, name).await;
        address = said.last().unwrap().trim().to_owned();
    }
    reaches(provider, "acme", 73, &address).await;
    for to in ["web", "web.acme.internal", &address] {
        let (reached, said) = try_in(provider, "other", 74, &fetch(to)).await;
        assert!(!reached, "another organisation reached {to}: {said:?}");
    }
    provider.destroy(&web.resource).await.unwrap();
}

/// A port of the host leads to the server; one that somebody else has is seen before it is given, and named when it is
/// used.
async fn publishes_ports(world: &World, provider: &dyn Provider) {
    let mut web = server(81, "acme");
    web.workloads[0].containers[0].ports = serde_json::from_value(
        serde_json::json!([{"name": "web", "container_port": 8080, "host_port": 19001}]),
    )
    .unwrap();
    provider.deploy(&web).await.unwrap();
    serves(provider, &web.resource).await;
    let reached = || {
        let mut client = world.engine.beside("busybox");
        client
            .args(["timeout", "5", "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:19001/address"])
            .stderr(Stdio::null());
        client.output().unwrap().status.success()
    };
    let until = async |wanted: bool| {
        for _ in 0..600 {
            if reached() == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the port leads {} the server", if wanted { "not to" } else { "still to" });
    };
    until(true).await;
    assert!(provider.taken_ports().await.unwrap().contains(&19001));
    let mut second = server(82, "other");
    second.workloads[0].containers[0].ports = web.workloads[0].containers[0].ports.clone();
    let refused = provider.deploy(&second).await.unwrap_err();
    assert!(
        refused.to_string().contains("port 19001")
            && matches!(refused, univrs_ports::provider::ProviderError::Lasting { .. }),
        "{refused}"
    );
    provider.destroy(&second.resource).await.unwrap();
    until(true).await;
    provider.destroy(&web.resource).await.unwrap();
    until(false).await;
}

/// What was killed, removed by hand or stopped with the engine comes back, with what its volume holds.
async fn comes_back(world: &mut World, provider: &DockerProvider) {
    let mut wanted = order(&subject(), 91, "lasting");
    wanted.workloads[0].containers[0].command =
        shell("trap 'exit 0' TERM; echo life >>/data/lives; while :; do busybox sleep 0.2; done").command;
    provider.deploy(&wanted).await.unwrap();
    serves(provider, &wanted.resource).await;
    let owned = provider.owned(&wanted.resource).await.unwrap();
    let docker = |arguments: &[&str]| {
        let host = format!("unix://{}", world.engine.socket().display());
        let done = std::process::Command::new("docker").args(["-H", &host]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    let lives = || docker(&["exec", "univrs.default.lasting.0.app", "busybox", "wc", "-l", "/data/lives"]);
    for _ in 0..3600 {
        if lives() == "1 /data/lives" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(lives(), "1 /data/lives");
    // Not by the engine's own command, after which it would not start it again.
    let pid = docker(&["inspect", "-f", "{{.State.Pid}}", "univrs.default.lasting.0.app"]).parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    for _ in 0..3600 {
        if lives() == "2 /data/lives" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    serves(provider, &wanted.resource).await;
    docker(&["rm", "-f", "univrs.default.lasting.0"]);
    let missed = provider.status(&wanted.resource).await.unwrap();
    assert!(matches!(&missed, Standing::Waiting { reason } if reason.contains("lasting")), "{missed:?}");
    provider.deploy(&wanted).await.unwrap();
    serves(provider, &wanted.resource).await;
    assert_eq!(lives(), "3 /data/lives");
    world.engine.stop();
    world.engine.resume();
    serves(provider, &wanted.resource).await;
    assert_eq!(provider.owned(&wanted.resource).await.unwrap(), owned);
    provider.destroy(&wanted.resource).await.unwrap();
}

/// At every change that is asked of the engine, the request or its answer is lost once, and the process with it: another
/// one goes on and makes nothing twice, and nothing stays.
async fn survives_losses(world: &World, loss: Loss) {
    let whole = DockerProvider::new(world.options());
    let once = order(&subject(), 100, "once");
    whole.deploy(&once).await.unwrap();
    let expected = whole.owned(&once.resource).await.unwrap();
    whole.destroy(&once.resource).await.unwrap();
    let mut number = 0;
    loop {
        let wanted = order(&subject(), 101 + number as u128, "once");
        let proxy = Proxy::start(world.path("proxy.sock"), &world.engine.socket(), number, loss);
        let broken = DockerProvider::new(world.options_through(proxy.socket.clone()));
        let first = broken.deploy(&wanted).await;
        let within_deploy = proxy.changes.load(Ordering::SeqCst) > number;
        if within_deploy {
            let mut made = first;
            for _ in 0..TRIES {
                if made.is_err() {
                    made = whole.deploy(&wanted).await;
                }
            }
            made.unwrap();
        }
        serves(&whole, &wanted.resource).await;
        assert_eq!(whole.owned(&wanted.resource).await.unwrap(), expected, "{loss:?} {number}");
        let removed = broken.destroy(&wanted.resource).await;
        let hit = proxy.changes.load(Ordering::SeqCst) > number;
        let mut gone = removed;
        for _ in 0..TRIES {
            if gone.is_err() {
                gone = whole.destroy(&wanted.resource).await;
            }
        }
        gone.unwrap();
        assert_eq!(world.left(), Vec::<String>::new(), "{loss:?} {number}");
        if !hit {
            assert!(number >= 8, "only {number} changes were asked for");
            return;
        }
        // A request that is lost is as one that never was: every third will do.
        number += if loss == Loss::Answer { 1 } else { 3 };
    }
}
