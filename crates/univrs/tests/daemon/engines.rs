//! Real databases in a real engine, with the providers `docker` and `swarm`, through the whole daemon.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::dockerd::{self, Dockerd};
use crate::harness::Daemon;
use crate::resources::{change, images, nothing_is_left, obstacle, query_with, status};

/// A daemon beside an engine of its own, whose ports of the host are in the engine's network.
struct Docked {
    daemon: Daemon,
    engine: Dockerd,
}

impl Docked {
    /// A daemon beside an engine of its own.
    async fn start() -> Self {
        let images = images();
        let engine = tokio::task::spawn_blocking(Dockerd::start_networked).await.unwrap();
        let host = format!("unix://{}", engine.socket().display());
        let arguments = ["--runtime", "oci", "--image-dir", images.to_str().unwrap()];
        let daemon = Daemon::start_under(vec![("DOCKER_HOST", host)], &arguments).await;
        Self { daemon, engine }
    }

    async fn sql(&self, connection: &str, statement: &str) -> Result<String, String> {
        let (psql, connection) = (self.engine.beside("psql"), connection.to_owned());
        let statement = statement.to_owned();
        tokio::task::spawn_blocking(move || query_with(psql, &connection, &statement)).await.unwrap()
    }

    async fn connection_of(&self, resource: &str) -> String {
        let known = self.daemon.get(&format!("/api/resources/{resource}/credentials")).await.body;
        known["connectionString"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a query is answered so.
    async fn until_it_says(&self, resource: &str, what: &str, statement: &str, expected: &str) {
        let connection = self.connection_of(resource).await;
        let says = async || self.sql(&connection, statement).await;
        let what = format!("{resource}: {what}");
        self.daemon.until_seen(&what, says, |said| said.as_deref() == Ok(expected)).await.unwrap();
    }

    async fn docker(&self, arguments: &[&str]) -> String {
        let mut docker = Command::new("docker");
        docker.args(["-H", &format!("unix://{}", self.engine.socket().display())]).args(arguments);
        let done = tokio::task::spawn_blocking(move || docker.output().unwrap()).await.unwrap();
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Kills the first process of a container. Not by Docker, which would take it for a wish that it stays so.
    async fn kill(&self, container: &str) {
        let look = async || self.docker(&["inspect", "-f", "{{.State.Pid}}", container]).await;
        // Zero while it is being started, which would mean this very process.
        let pid = |text: &String| text.parse::<i32>().ok().filter(|pid| *pid > 1);
        let text = self.daemon.until_seen("it runs", look, |text| pid(text).is_some()).await;
        let pid = nix::unistd::Pid::from_raw(pid(&text).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    /// A `postgres-small`: made, used through the pooler's port of the host.
    async fn made(&self, provider: &str, name: &str) {
        let parameters = json!({"storage": "1Gi", "memory": "512Mi", "cpu": "1"});
        let wanted = json!({
            "name": name, "template": "postgres-small", "provider": provider, "parameters": parameters,
        });
        let began = std::time::Instant::now();
        let made = change(&self.daemon, Method::POST, "/api/resources", wanted).await;
        assert_eq!(made["status"], "succeeded", "{made}");
        let active = began.elapsed().as_secs_f64();
        self.until_it_says(name, "it answers", "select 1", "1").await;
        let answered = began.elapsed().as_secs_f64();
        eprintln!("{provider}: request to ACTIVE {active:.1} s, to SELECT 1 {answered:.1} s");
        let fill =
            "create table if not exists t (n int); delete from t; insert into t values (7); select n from t";
        self.until_it_says(name, "it takes rows", fill, "7").await;
    }

    /// Parts of it are killed, and it comes back with its rows.
    async fn survives(&self, name: &str, containers: &[&str]) {
        for container in containers {
            self.kill(container).await;
            self.until_it_says(name, "its rows are there again", "select n from t", "7").await;
            let what = format!("{name} is active again");
            self.daemon.until(&what, async || status(&self.daemon, name).await == "ACTIVE").await;
        }
    }

    /// Backed up, restored, given new credentials, measured, and removed.
    async fn ends(&self, name: &str) {
        let daemon = &self.daemon;
        let of = |what: &str| format!("/api/resources/{name}{what}");
        let saved = change(daemon, Method::POST, &of("/backups"), json!({})).await;
        assert_eq!(saved["status"], "succeeded", "{saved}");
        self.until_it_says(name, "it is changed", "update t set n = 8 returning n", "8").await;
        let restored = change(daemon, Method::POST, &of("/restore"), json!({})).await;
        assert_eq!(restored["status"], "succeeded", "{restored}");
        self.until_it_says(name, "it holds what was saved", "select n from t", "7").await;

        let old = self.connection_of(name).await;
        let rotated = change(daemon, Method::POST, &of("/rotate"), json!({})).await;
        assert_eq!(rotated["status"], "succeeded", "{rotated}");
        self.until_it_says(name, "the new credentials are good", "select n from t", "7").await;
        assert_ne!(self.connection_of(name).await, old);
        daemon.until("the old credentials end", async || self.sql(&old, "select 1").await.is_err()).await;

        let look = async || daemon.get(&of("")).await.body["usage"].clone();
        let counts = |usage: &Value| ["memory", "requests"].iter().all(|what| !usage[*what].is_null());
        let usage = daemon.until_seen("what it uses is measured", look, counts).await;
        assert!(usage["requests"].as_u64() > Some(0) && usage["network_out"].as_u64() > Some(0), "{usage}");
        let removed = change(daemon, Method::DELETE, &of(""), Value::Null).await;
        assert_eq!(removed["status"], "succeeded", "{removed}");
    }
}

/// The same life in an engine, with the provider `docker` and with `swarm`: made, used through the pooler's port of the
/// host, its database and what holds its network killed, backed up, restored, rotated, and removed with all it held.
#[tokio::test]
async fn real_databases_live_in_docker_and_in_a_swarm_and_go_without_a_trace() {
    if let Some(obstacle) = obstacle().or_else(dockerd::obstacle) {
        eprintln!("NOT RUN: {obstacle}");
        return;
    }
    let docked = Docked::start().await;
    let daemon = &docked.daemon;
    let look = async || daemon.get("/api/providers/docker").await.body;
    daemon.until_seen("the engine is known", look, |docker| docker["available"] == true).await;
    let swarm = daemon.get("/api/providers/swarm").await.body;
    assert!(swarm["message"].as_str().unwrap().contains("docker swarm init"), "{swarm}");
    docked.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]).await;

    let in_docker = async {
        docked.made("docker", "db").await;
        // What Docker shows of the containers holds no password.
        let known = daemon.get("/api/resources/db/credentials").await.body;
        let password = known["password"].as_str().unwrap();
        let names = docked.docker(&["ps", "-a", "--format", "{{.Names}}"]).await;
        let arguments: Vec<&str> = std::iter::once("inspect").chain(names.lines()).collect();
        let shown = docked.docker(&arguments).await;
        assert!(shown.contains("univrs.default.db.0.postgres") && !shown.contains(password));
        docked.survives("db", &["univrs.default.db.0.postgres", "univrs.default.db.0"]).await;
        docked.ends("db").await;
    };
    let in_a_swarm = async {
        docked.made("swarm", "hive").await;
        let task = ["ps", "-q", "--filter", "label=com.docker.swarm.task"];
        let holder = docked.docker(&task).await;
        docked.survives("hive", &["univrs-swarm.default.hive.1.postgres", &holder]).await;
        docked.ends("hive").await;
    };
    tokio::join!(in_docker, in_a_swarm);

    nothing_is_left(daemon).await;
    for path in ["/containers/json?all=1", "/volumes", "/networks", "/services", "/secrets"] {
        let answer = docked.engine.get(path).unwrap();
        assert!(!answer.contains("dev.univrs.") && !answer.contains("Mountpoint"), "{path}: {answer}");
    }
    let places = std::fs::read_dir(daemon.dir.path().join("engine-volumes"));
    assert_eq!(places.map_or(0, Iterator::count), 0, "volumes are left");
}
