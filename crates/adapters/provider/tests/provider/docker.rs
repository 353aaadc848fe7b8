//! The provider `docker` over an engine of its own: the suite of its port, organisations apart, and an engine that acts
//! without an answer at every single call.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use univrs_model::ids::OperationId;
use univrs_model::resource::REQUESTS_LABEL;
use univrs_ports::provider::conformance::{check, order};
use univrs_ports::provider::{Order, Provider, ResourceRef, Standing};
use univrs_ports::volumes::VolumeUse;
use univrs_provider::docker::{DockerProvider, EngineOptions};

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
    // Beside each other, for most of it is waiting.
    let suite = subject();
    tokio::join!(
        check(&provider, &suite),
        keeps_apart(&provider),
        measures_and_bounds(&provider, true),
        publishes_ports(&world, &provider),
        crate::compose::lives(&world, &provider),
    );
    assert_eq!(world.left(), Vec::<String>::new());
    comes_back(&mut world, &provider).await;
    for (loss, least) in [(Loss::Request, 3), (Loss::Answer, 8)] {
        let lost = async |number: usize| {
            // A request that is lost is as one that never was: every third will do.
            let number = if loss == Loss::Request { number * 3 } else { number };
            survives_loss(&world, &provider, number, loss, DockerProvider::new).await
        };
        at_every_change(least, lost).await;
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

/// A volume is full at its size and not before; how full, and what else is used, is measured.
pub(crate) async fn measures_and_bounds(provider: &dyn Provider, requests: bool) {
    let script = "busybox dd if=/dev/zero of=/data/fits bs=1M count=8 && ! busybox dd if=/dev/zero of=/data/more bs=1M count=40; \
        echo \"full $?\"; trap 'exit 0' TERM; while :; do echo 'univrs-counters {\"requests\": 12}'; busybox sleep 0.2; done";
    let mut wanted = order(&subject(), 85, "full");
    let spec = &mut wanted.workloads[0];
    spec.containers[0].command = shell(script).command;
    if requests {
        spec.labels.insert(REQUESTS_LABEL.to_owned(), "app".to_owned());
    }
    provider.deploy(&wanted).await.unwrap();
    serves(provider, &wanted.resource).await;
    let said = async || provider.logs(&wanted.resource, 200).await.unwrap();
    for _ in 0..1200 {
        if said().await.iter().any(|line| line.starts_with("full ")) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let lines = said().await;
    assert!(lines.iter().any(|line| line == "full 0"), "{lines:?}");
    let used = provider.metrics(&wanted.resource).await.unwrap().unwrap();
    assert!(used.memory > 0 && used.readings.values().any(|reading| reading.cpu_micros > 0), "{used:?}");
    let counted: Vec<u64> = used.readings.values().filter_map(|reading| reading.requests).collect();
    assert_eq!(counted, if requests { vec![12] } else { Vec::new() });
    let full = |seen: &VolumeUse| seen.capacity.is_some_and(|fits| seen.used * 100 > fits * 90);
    assert!(used.volumes.len() == 1 && used.volumes.values().all(full), "{used:?}");
    provider.destroy(&wanted.resource).await.unwrap();
}

/// A port of the host leads to the server; one that somebody else has is seen before it is given, and named when it is
/// used.
async fn publishes_ports(world: &World, provider: &dyn Provider) {
    let mut web = server(81, "shop");
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
    // Killed by the engine's own command it stays so, and what joins its network cannot be started.
    docker(&["kill", "univrs.default.lasting.0"]);
    docker(&["restart", "-t", "1", "univrs.default.lasting.0.app"]);
    let held = provider.status(&wanted.resource).await.unwrap();
    assert!(matches!(&held, Standing::Waiting { reason } if reason.contains("does not run")), "{held:?}");
    mended(provider, &wanted).await;
    world.engine.stop();
    world.engine.resume();
    mended(provider, &wanted).await;
    assert_eq!(provider.owned(&wanted.resource).await.unwrap(), owned);
    provider.destroy(&wanted.resource).await.unwrap();
}

/// Waits until it serves, and makes it again now and then as the control loop does: an engine that starts begins all of
/// its containers at once, and gives up for good one that comes before what holds its network.
async fn mended(provider: &DockerProvider, wanted: &Order) {
    let served =
        async || matches!(provider.status(&wanted.resource).await.unwrap(), Standing::Serving { .. });
    for round in 0..3600 {
        if served().await {
            return;
        }
        if round % 40 == 39 {
            provider.deploy(wanted).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it does not serve: {:?}", provider.status(&wanted.resource).await);
}

/// How many losses are tried beside each other.
const AT_ONCE: usize = 4;
/// More changes than a life of a resource asks for.
const MANY: usize = 30;

/// Loses something at change 0, 1, 2 and so on, until there is no such change; there are to be so many at least.
pub(crate) async fn at_every_change(least: usize, lost: impl AsyncFn(usize) -> bool) {
    for first in (0..MANY).step_by(AT_ONCE) {
        let some = futures::future::join_all((first..first + AT_ONCE).map(|number| lost(number))).await;
        if let Some(beyond) = some.iter().position(|hit| !hit) {
            assert!(first + beyond >= least, "only {} changes were asked for", first + beyond);
            return;
        }
    }
    panic!("there are more changes than {MANY}");
}

/// At one change that is asked of the engine, the request or its answer is lost, and the process with it: another one goes
/// on, makes nothing twice, and nothing stays. Answers whether there was such a change.
pub(crate) async fn survives_loss<P: Provider>(
    world: &World,
    whole: &P,
    number: usize,
    loss: Loss,
    broken: impl FnOnce(EngineOptions) -> P,
) -> bool {
    let wanted = in_org(order(&subject(), 101 + number as u128, "once"), &format!("loss{number}"));
    let proxy = Proxy::start(world.path(&format!("{number}.sock")), &world.engine.socket(), number, loss);
    let broken = broken(world.options_through(proxy.socket.clone()));
    let mut made = broken.deploy(&wanted).await;
    for _ in 0..TRIES {
        if made.is_err() {
            made = whole.deploy(&wanted).await;
        }
    }
    made.unwrap();
    serves(whole, &wanted.resource).await;
    // What an order comes to when nothing is lost, as the suite of the port finds it.
    let owned = whole.owned(&wanted.resource).await.unwrap();
    whole.deploy(&wanted).await.unwrap();
    assert_eq!(whole.owned(&wanted.resource).await.unwrap(), owned, "{loss:?} {number}");
    let kinds: Vec<&str> = owned.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    let once = if whole.id() == "docker" {
        vec!["container", "container", "volume"]
    } else {
        vec!["service", "volume"]
    };
    assert_eq!(kinds, once, "{loss:?} {number}: {owned:?}");
    let mut gone = broken.destroy(&wanted.resource).await;
    for _ in 0..TRIES {
        if gone.is_err() {
            gone = whole.destroy(&wanted.resource).await;
        }
    }
    gone.unwrap();
    assert_eq!(whole.owned(&wanted.resource).await.unwrap(), Vec::<String>::new(), "{loss:?} {number}");
    proxy.changes.load(Ordering::SeqCst) > number
}
