//! Resources through the real daemon: their life on this cluster, what a killed daemon leaves, and a real PostgreSQL.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Daemon;
use crate::secrets::holding;

async fn ask(daemon: &Daemon, method: Method, path: &str, body: &Value) -> crate::harness::Answer {
    daemon.send(daemon.request(method, path).body(body.to_string())).await
}

/// A template without checks, which simulated containers could not pass.
const TEMPLATE: &str = r#"
id = "plain"
name = "Plain"
kind = "DATABASE"
version = 1
description = "A service with logins."
parameters.database = { type = "identifier", default = "maindb", description = "Name of the database." }
parameters.storage = { type = "bytes", default = "1Gi", description = "Size of the volume." }
images.web = { official = "web:1" }
secrets.logins = { kind = "logins", user = "app" }
ports.pooler = { workload = "{{name}}", port = "pooler" }

[credentials]
host = "{{host}}"
port = "{{port.pooler}}"
database = "{{database}}"
username = "{{secret.logins.user}}"
password = "{{secret.logins.password}}"
connectionString = "db://{{secret.logins.user}}:{{secret.logins.password}}@{{host}}:{{port.pooler}}/{{database}}"

[[workloads]]
name = "{{name}}"
volumes = [{ name = "data", size = "{{storage}}" }]
secrets = [{ name = "{{secret.logins.name}}", file = "/run/secrets/logins", on_change = "signal" }]
[[workloads.containers]]
name = "web"
image = "{{image.web}}"
ports = [{ name = "pooler", container_port = 6432 }]
limits = { cpu = "1", memory = "256Mi" }
mounts = [{ volume = "data", path = "/data" }]
"#;

/// A daemon whose containers are simulated, with that template.
pub(crate) async fn rehearsal() -> (Daemon, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plain.toml"), TEMPLATE).unwrap();
    let templates = dir.path().to_str().unwrap();
    (Daemon::start_with(&["--runtime", "simulated", "--template-dir", templates]).await, dir)
}

async fn create(daemon: &Daemon, name: &str, template: &str) -> String {
    let body =
        json!({"name": name, "template": template, "provider": "mesh", "parameters": {"storage": "1Gi"}});
    let answer = ask(daemon, Method::POST, "/api/resources", &body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    answer.body["operation"]["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn status(daemon: &Daemon, name: &str) -> String {
    daemon.get(&format!("/api/resources/{name}")).await.body["status"].as_str().unwrap_or("gone").to_owned()
}

/// Waits for the operation that an answer began.
async fn settled(daemon: &Daemon, operation: &str) -> Value {
    let path = format!("/api/operations/{operation}");
    // Longer than an operation waits for a resource that does not come, and a few times that on a busy machine.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(900) {
        let known = daemon.get(&path).await.body;
        if known["status"] != "running" {
            return known;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{operation} did not end: {}", daemon.get(&path).await.body);
}

pub(crate) async fn change(daemon: &Daemon, method: Method, path: &str, body: Value) -> Value {
    // The cluster may be mending or keeping up what is to be changed: one thing after the other.
    let asked = async || {
        let answer = ask(daemon, method.clone(), path, &body).await;
        (answer.status, answer.body)
    };
    let what = format!("{method} {path} is taken up");
    let (status, answer) =
        daemon.until_seen(&what, asked, |(status, _)| *status != StatusCode::CONFLICT).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    settled(daemon, answer["operation"]["id"].as_str().unwrap()).await
}

pub(crate) async fn nothing_is_left(daemon: &Daemon) {
    for kind in ["resources", "workloads", "volumes", "secrets"] {
        let list = daemon.get(&format!("/api/{kind}")).await.body;
        assert_eq!(list["items"], json!([]), "{kind}");
    }
}

#[tokio::test]
async fn a_resource_is_made_of_ordinary_objects_and_goes_with_them() {
    let (mut daemon, _templates) = rehearsal().await;
    let templates = daemon.get("/api/templates").await.body;
    assert!(
        templates["items"].as_array().unwrap().iter().any(|template| template["id"] == "postgres-medium")
    );
    let operation = create(&daemon, "db", "plain").await;
    let made = settled(&daemon, &operation).await;
    assert_eq!(made["status"], "succeeded", "{made}");
    let stages: Vec<_> = made["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["stage"].clone(), step["progress"].clone()))
        .collect();
    let expected = [
        ("init", 0),
        ("allocate", 20),
        ("configure", 40),
        ("provision", 60),
        ("verify", 80),
        ("complete", 100),
    ];
    assert_eq!(stages, expected.map(|(stage, progress)| (json!(stage), json!(progress))));
    let view = daemon.get("/api/resources/db").await.body;
    assert_eq!(view["status"], "ACTIVE", "{view}");
    // Which one is the cluster's own matter.
    let port: u16 =
        view["endpoints"]["pooler"].as_str().unwrap().strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    assert!((19_001..=29_000).contains(&port), "{port}");
    let workload = daemon.get("/api/workloads/db").await.body;
    assert_eq!(workload["spec"]["labels"]["dev.univrs.resource"], view["id"]);
    assert_eq!(workload["spec"]["labels"]["dev.univrs.operation"], json!(operation));

    let credentials = daemon.get("/api/resources/db/credentials").await.body;
    let fields: Vec<&String> = credentials.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["connectionString", "database", "host", "password", "port", "username"]);
    assert_eq!((&credentials["port"], &credentials["database"]), (&json!(port), &json!("maindb")));
    let password = credentials["password"].as_str().unwrap().to_owned();
    for path in [
        "/api/resources/db",
        "/api/workloads/db",
        "/api/events",
        "/api/audit",
        "/api/secrets",
        "/api/operations",
    ] {
        assert!(!daemon.get(path).await.body.to_string().contains(&password), "{path} shows the password");
    }
    assert_eq!(holding(daemon.dir.path(), &password), Vec::<String>::new());
    assert!(!daemon.log().contains(&password));

    // Names that it needs, taken by others; and its own name.
    let again = json!({"name": "db", "template": "redis-small"});
    assert_eq!(ask(&daemon, Method::POST, "/api/resources", &again).await.status, StatusCode::CONFLICT);
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    let taken = json!({"name": "web", "template": "redis-small"});
    let answer = ask(&daemon, Method::POST, "/api/resources", &taken).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body["detail"].as_str().unwrap().contains("there is a workload `web`"), "{}", answer.body);

    let rotated = change(&daemon, Method::POST, "/api/resources/db/rotate", json!({})).await;
    assert_eq!(rotated["status"], "succeeded", "{rotated}");
    let renewed = daemon.get("/api/resources/db/credentials").await.body;
    assert_eq!((&credentials["username"], &renewed["username"]), (&json!("app1"), &json!("app2")));

    let plan = daemon.send(daemon.request(Method::DELETE, "/api/resources/db?dry_run=true")).await.body;
    assert_eq!(plan["status"], "waiting_for_approval", "{plan}");
    daemon.crash_and_restart().await;
    daemon.until("it serves again", async || status(&daemon, "db").await == "ACTIVE").await;
    let removed = change(&daemon, Method::DELETE, "/api/resources/db", Value::Null).await;
    assert_eq!(removed["status"], "succeeded", "{removed}");
    daemon.send(daemon.request(Method::DELETE, "/api/workloads/web")).await;
    daemon
        .until("the other workload is gone", async || {
            daemon.get("/api/workloads").await.body["items"] == json!([])
        })
        .await;
    nothing_is_left(&daemon).await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_goes_on_where_it_was() {
    for pause in [5, 40, 120, 400] {
        let (mut daemon, _templates) = rehearsal().await;
        let operation = create(&daemon, "db", "plain").await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        daemon.crash_and_restart().await;
        assert_eq!(settled(&daemon, &operation).await["status"], "succeeded", "killed after {pause} ms");
        let answer = ask(&daemon, Method::DELETE, "/api/resources/db", &Value::Null).await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        daemon.crash_and_restart().await;
        let removal = settled(&daemon, answer.body["operation"]["id"].as_str().unwrap()).await;
        assert_eq!(removal["status"], "succeeded", "killed after {pause} ms: {removal}");
        nothing_is_left(&daemon).await;
    }
}

/// Where `make images` puts them.
pub(crate) fn images() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target =
        target.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")));
    target.join("images")
}

/// Real databases use much of the machine: one test at a time.
static PORTS_OF_THE_MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("real containers need root".to_owned());
    }
    if !images().join("postgres.tar").exists() {
        return Some("the images are not built (make images)".to_owned());
    }
    let psql = Command::new("psql").arg("--version").output();
    psql.is_err().then(|| "psql is not installed (apt-get install postgresql-client)".to_owned())
}

async fn sql(daemon: &Daemon, resource: &str, statement: &str) -> Result<String, String> {
    let known = daemon.get(&format!("/api/resources/{resource}/credentials")).await.body;
    query(known["connectionString"].as_str().unwrap(), statement)
}

/// Waits until a query of `db` is answered so.
async fn until_it_says(daemon: &Daemon, statement: &str, expected: &str) {
    let says = async || sql(daemon, "db", statement).await;
    daemon.until_seen(statement, says, |said| said.as_deref() == Ok(expected)).await.unwrap();
}

fn query(connection: &str, statement: &str) -> Result<String, String> {
    query_with(Command::new("psql"), connection, statement)
}

pub(crate) fn query_with(mut command: Command, connection: &str, statement: &str) -> Result<String, String> {
    command
        .args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", connection, "-c", statement])
        .env("PGCONNECT_TIMEOUT", "30");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test]
async fn a_real_database_is_backed_up_damaged_and_restored() {
    if let Some(obstacle) = obstacle() {
        eprintln!("NOT RUN: {obstacle}");
        return;
    }
    let _alone = PORTS_OF_THE_MACHINE.lock().await;
    let (images, folder) = (images(), tempfile::tempdir().unwrap());
    // As the template was when there was an older PostgreSQL, where two are to be had.
    let (template, now) = (
        folder.path().join("postgres-small.toml"),
        include_str!("../../../../templates/postgres-small.toml"),
    );
    let two_versions = images.join("postgres-older.tar").exists();
    if two_versions {
        std::fs::write(&template, now.replace("univrs/postgres:15", "univrs/postgres:15-older")).unwrap();
    } else {
        eprintln!("NOT RUN: an upgrade between two versions; apt knows one PostgreSQL 15 only");
    }
    let (images, folder) = (images.to_str().unwrap(), folder.path().to_str().unwrap());
    let arguments = ["--runtime", "oci", "--image-dir", images, "--template-dir", folder];
    let mut daemon = Daemon::start_with(&arguments).await;
    let made = settled(&daemon, &create(&daemon, "db", "postgres-small").await).await;
    assert_eq!(made["status"], "succeeded", "{made}");
    until_it_says(&daemon, "select 1", "1").await;
    assert_eq!(
        sql(&daemon, "db", "create table t (n int); insert into t values (7); select n from t").await,
        Ok("7".into())
    );
    // Encrypted, and not as the superuser.
    assert_eq!(
        sql(&daemon, "db", "select rolsuper from pg_roles where rolname = session_user").await,
        Ok("f".into())
    );
    assert_eq!(sql(&daemon, "db", "show ssl").await, Ok("on".into()));
    assert_eq!(sql(&daemon, "db", "show shared_buffers").await, Ok("1GB".into()));

    let old = daemon.get("/api/resources/db/credentials").await.body["connectionString"]
        .as_str()
        .unwrap()
        .to_owned();
    let rotation = ask(&daemon, Method::POST, "/api/resources/db/rotate", &json!({})).await;
    daemon
        .until("the new credentials are good", async || {
            sql(&daemon, "db", "select n from t").await == Ok("7".into()) && {
                daemon.get("/api/resources/db/credentials").await.body["username"] == "app2"
            }
        })
        .await;
    let operation = rotation.body["operation"]["id"].as_str().unwrap();
    let said = query(&old, "select n from t");
    // On a busy machine the time to change over may have passed by now.
    let stage = daemon.get(&format!("/api/operations/{operation}")).await.body["stage"].clone();
    assert!(
        said == Ok("7".into()) || stage == "complete",
        "the old credentials ended before the change was over: {said:?}, {stage}"
    );
    assert_eq!(settled(&daemon, operation).await["status"], "succeeded");
    daemon.until("the old credentials end", async || query(&old, "select 1").is_err()).await;

    let saved = change(&daemon, Method::POST, "/api/resources/db/backups", json!({})).await;
    assert_eq!(saved["status"], "succeeded", "{saved}");
    let backup = daemon.get("/api/resources/db/backups").await.body["items"][0].clone();
    assert!(backup["bytes"].as_u64().unwrap() > 0, "{backup}");
    let one = json!({"backup": backup["id"]});
    until_it_says(&daemon, "update t set n = 8 returning n", "8").await;
    let restored =
        change(&daemon, Method::POST, "/api/resources/db/restore", json!({"backup": backup["id"]})).await;
    assert_eq!(restored["status"], "succeeded", "{restored}");
    until_it_says(&daemon, "select n from t", "7").await;

    // Upgraded: backed up before, another server over the same data.
    if two_versions {
        std::fs::write(&template, now).unwrap();
        daemon.crash_and_restart().await;
        daemon.until("it is active again", async || status(&daemon, "db").await == "ACTIVE").await;
    }
    let begun_at = "select pg_postmaster_start_time() || ' ' || current_setting('server_version_num')";
    let asked = async || sql(&daemon, "db", begun_at).await;
    let before = daemon.until_seen(begun_at, asked, Result::is_ok).await;
    let upgraded = change(&daemon, Method::POST, "/api/resources/db/upgrade", json!({})).await;
    assert_eq!(upgraded["status"], "succeeded", "{upgraded}");
    until_it_says(&daemon, "select n from t", "7").await;
    let after = daemon.until_seen(begun_at, asked, |said| said.is_ok() && *said != before).await;
    let number =
        |said: &Result<String, String>| said.as_ref().unwrap().rsplit(' ').next().unwrap().to_owned();
    let (older, newer) = (number(&before), number(&after));
    eprintln!("upgraded from {older} to {newer}");
    assert_eq!(newer > older, two_versions, "{older} to {newer}");
    let backups = daemon.get("/api/resources/db/backups").await.body["items"].as_array().unwrap().len();
    assert_eq!(backups, 2);

    // A damaged backup is refused, and what is there stays.
    let dump = format!("volumes/default/db-backup/backups/0/{}.dump", backup["id"].as_str().unwrap());
    let dump = daemon.dir.path().join(dump);
    let mut bytes = std::fs::read(&dump).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&dump, bytes).unwrap();
    let refused = change(&daemon, Method::POST, "/api/resources/db/restore", one).await;
    assert_eq!(refused["status"], "undone", "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("is damaged"), "{refused}");
    until_it_says(&daemon, "select n from t", "7").await;

    // Queries through the pooler are counted, as processor time and the rest are.
    let look = async || daemon.get("/api/resources/db").await.body["usage"].clone();
    daemon.until_seen("what it uses is measured", look, |usage| usage["requests"].as_u64() > Some(0)).await;

    let removed = change(&daemon, Method::DELETE, "/api/resources/db", Value::Null).await;
    assert_eq!(removed["status"], "succeeded", "{removed}");
    nothing_is_left(&daemon).await;
    assert!(query(&old, "select 1").is_err());
}

/// Three services of a compose file on this cluster: they wait for each other as it says and find each other by name.
const COMPOSE: &str = r#"
services:
  store:
    image: univrs/redis:7
    entrypoint: ["/bin/sh", "-c"]
    command: ["sleep 1; echo stored >/data/index.html; exec busybox httpd -f -p 8080 -h /data"]
    healthcheck: { test: ["CMD", "/usr/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"], interval: 500ms, retries: 50, start_period: 60s }
    volumes: ["data:/data"]
    stop_grace_period: 1s
  fill_once:
    image: univrs/redis:7
    entrypoint: ["/bin/sh", "-c", "busybox wget -q -O /dev/null http://store:8080/"]
    depends_on: { store: { condition: service_healthy } }
  front:
    image: univrs/redis:7
    entrypoint: ["/bin/sh", "-c"]
    command: ["mkdir -p /tmp/w; { busybox wget -q -O - http://store:8080/; wc -c </run/secrets/key; } >/tmp/w/index.html; exec busybox httpd -f -p 8081 -h /tmp/w"]
    depends_on: { fill_once: { condition: service_completed_successfully } }
    ports: ["8000:8081"]
    secrets: [key]
    stop_grace_period: 1s
volumes: { data: {} }
secrets: { key: { file: ./key } }
"#;

#[tokio::test]
async fn a_compose_file_lives_on_the_cluster_twice_and_goes_without_a_trace() {
    let redis =
        (!images().join("redis.tar").exists()).then(|| "the images are not built (make images)".to_owned());
    if let Some(obstacle) = obstacle().or(redis) {
        eprintln!("NOT RUN: {obstacle}");
        return;
    }
    let images = images();
    let daemon = Daemon::start_with(&["--runtime", "oci", "--image-dir", images.to_str().unwrap()]).await;
    for name in ["one", "two"] {
        let parameters = json!({"file": COMPOSE, "cpu": "200m", "memory": "64Mi", "storage": "64Mi"});
        let wanted =
            json!({"name": name, "template": "compose", "provider": "mesh", "parameters": parameters});
        let made = change(&daemon, Method::POST, "/api/resources", wanted).await;
        assert_eq!(made["status"], "succeeded", "{made}");
    }
    for name in ["one", "two"] {
        let known = daemon.get(&format!("/api/resources/{name}")).await.body;
        assert!(known["differences"]["changed"].as_array().is_some_and(|all| !all.is_empty()), "{known}");
        let endpoint =
            known["endpoints"]["front-8081"].as_str().unwrap_or_else(|| panic!("{known}")).to_owned();
        let look = async || match reqwest::get(format!("http://{endpoint}/")).await {
            Ok(reply) => reply.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let served = |text: &String| text.starts_with("stored\n") && text.len() > "stored\n".len();
        let text = daemon.until_seen("it serves what its parts made", look, served).await;
        let credentials = daemon.get(&format!("/api/resources/{name}/credentials")).await.body;
        let key = credentials["secret.key"].as_str().unwrap_or_else(|| panic!("{credentials}"));
        assert_eq!(text.lines().nth(1).map(str::trim), Some(key.len().to_string().as_str()));
        assert!(!known.to_string().contains(key));
    }
    for name in ["one", "two"] {
        let removed = change(&daemon, Method::DELETE, &format!("/api/resources/{name}"), Value::Null).await;
        assert_eq!(removed["status"], "succeeded", "{removed}");
    }
    nothing_is_left(&daemon).await;
}

#[tokio::test]
async fn a_real_database_goes_back_to_a_time_and_its_replica_takes_over() {
    if let Some(obstacle) = obstacle() {
        eprintln!("NOT RUN: {obstacle}");
        return;
    }
    let _alone = PORTS_OF_THE_MACHINE.lock().await;
    let images = images();
    let daemon = Daemon::start_with(&["--runtime", "oci", "--image-dir", images.to_str().unwrap()]).await;
    let sizes =
        json!({"cpu": "1", "memory": "512Mi", "storage": "512Mi", "log_storage": "512Mi", "connections": 20});
    let body = json!({"name": "db", "template": "postgres-medium", "provider": "mesh", "parameters": sizes});
    let made = change(&daemon, Method::POST, "/api/resources", body).await;
    assert_eq!(made["status"], "succeeded", "{made}");
    let credentials = daemon.get("/api/resources/db/credentials").await.body;
    assert_eq!(credentials["readReplicaHost"], "127.0.0.1");
    until_it_says(&daemon, "select 1", "1").await;
    sql(&daemon, "db", "create table t (n int); insert into t values (1)").await.unwrap();

    let saved = change(&daemon, Method::POST, "/api/resources/db/backups", json!({})).await;
    assert_eq!(saved["status"], "succeeded", "{saved}");
    sql(&daemon, "db", "insert into t values (2)").await.unwrap();
    // Times of the server's own clock, between two of its transactions.
    let noted = "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let noted = sql(&daemon, "db", noted).await.unwrap();
    sql(&daemon, "db", "delete from t; create table later (n int)").await.unwrap();
    let to_time = json!({"to_time": noted});
    let restored = change(&daemon, Method::POST, "/api/resources/db/restore", to_time).await;
    assert_eq!(restored["status"], "succeeded", "{restored}");
    until_it_says(&daemon, "select sum(n) from t", "3").await;
    assert!(sql(&daemon, "db", "select 1 from later").await.is_err());
    let early = json!({"to_time": "2020-01-01T00:00:00Z"});
    let refused = ask(&daemon, Method::POST, "/api/resources/db/restore", &early).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(refused.body["field"], "to_time", "{}", refused.body);

    let promoted = change(&daemon, Method::POST, "/api/resources/db/promote", json!({})).await;
    assert_eq!(promoted["status"], "succeeded", "{promoted}");
    daemon
        .until("the former replica is written to", async || {
            sql(&daemon, "db", "insert into t values (4)").await.is_ok()
        })
        .await;
    assert_eq!(sql(&daemon, "db", "select min(n) from t").await, Ok("1".into()));
    let removed = change(&daemon, Method::DELETE, "/api/resources/db", Value::Null).await;
    assert_eq!(removed["status"], "succeeded", "{removed}");
    nothing_is_left(&daemon).await;
}
