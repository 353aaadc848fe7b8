//! `deploy`: files, plans, questions.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{Answer, Fake, workload};

fn plan(changes: Value) -> Value {
    json!({"plan_id": "pl_1", "digest": "sha256:0", "parent_revision": 7, "expires_at": "2026-01-01T02:00:00Z",
        "changes": changes, "blast_radius": {"instances": 3}})
}

fn made() -> Value {
    plan(json!([{"action": "create", "kind": "workload", "name": "web", "before": null,
        "after": {"name": "web", "image": "web:1", "replicas": 3}}]))
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

const WEB: &str = "name: web\nimage: web:1\nreplicas: 3\n";

/// A server without `web` at first, and with it after it was made.
async fn empty() -> Fake {
    let fake = Fake::start().await;
    let missing =
        Answer::json(404, &json!({"title": "not found", "status": 404, "detail": "no workload `web`"}));
    fake.on("GET /api/workloads/web", [missing, Answer::json(200, &workload(json!({})))]);
    fake.on_json("POST /api/workloads?dry_run", made());
    fake.on("POST /api/workloads", [Answer::json(201, &workload(json!({"generation": 1})))]);
    fake
}

#[tokio::test]
async fn the_plan_is_shown_and_without_yes_nothing_is_done() {
    let (fake, files) = (empty().await, Files::new());
    let file = files.write("web.yaml", WEB);
    let ran = fake.univrs(&format!("deploy {file}")).await;
    assert_eq!((ran.code(), ran.out.as_str()), (2, ""));
    expect![[r#"
        + workload web
            image: web:1
            replicas: 3
        1 change; touches instances 3
        error: nobody can be asked here
        hint: add -y to go on without being asked
    "#]]
    .assert_eq(&ran.err);
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn yes_makes_it_and_waits() {
    let (fake, files) = (empty().await, Files::new());
    let file = files.write("web.toml", "name = \"web\"\nimage = \"web:1\"\nreplicas = 3\n");
    let ran = fake.univrs(&format!("deploy -y {file} -o name")).await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "web\n"), "{}", ran.err);
    assert!(ran.err.ends_with("web: 3/3 ready, running\n"), "{}", ran.err);
    let writes = fake.writes();
    assert_eq!((writes.len(), writes[0].line.as_str()), (1, "POST /api/workloads"));
    assert_eq!(writes[0].json(), json!({"name": "web", "image": "web:1", "replicas": 3}));
}

#[tokio::test]
async fn a_person_may_refuse() {
    let (fake, files) = (empty().await, Files::new());
    let file = files.write("web.json", &json!({"name": "web", "image": "web:1"}).to_string());
    let ran = fake.asking(&format!("deploy {file}"), "n\n").await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.ends_with("go on? [y/N] nothing was changed\n"), "{}", ran.err);
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn what_exists_is_replaced_unless_it_was_changed_meanwhile() {
    let (fake, files) = (Fake::start().await, Files::new());
    let file = files.write("web.yaml", WEB);
    fake.on("GET /api/workloads/web", [Answer::json(200, &workload(json!({}))).with("etag", "\"7\"")]);
    let change = json!([{"action": "update", "kind": "workload", "name": "web", "before": {"replicas": 1},
        "after": {"replicas": 3}}]);
    fake.on_json("PUT /api/workloads/web?dry_run", plan(change));
    fake.on_json("PUT /api/workloads/web", workload(json!({})));
    let ran = fake.asking(&format!("deploy {file}"), "y\n").await;
    assert_eq!(ran.code(), 0, "{}", ran.err);
    assert!(ran.err.starts_with("~ workload web\n    replicas: 1 → 3\n"), "{}", ran.err);
    assert_eq!(fake.writes()[0].header("if-match"), Some("\"7\""));

    let stale = json!({"title": "stale", "status": 412, "detail": "web was changed"});
    fake.on("PUT /api/workloads/web", [Answer::json(412, &stale)]);
    let ran = fake.univrs(&format!("deploy -y {file}")).await;
    assert_eq!(ran.code(), 4);
    assert!(ran.err.contains("hint: it was changed meanwhile"), "{}", ran.err);
}

#[tokio::test]
async fn nothing_to_change_is_not_asked_about() {
    let (fake, files) = (Fake::start().await, Files::new());
    let file = files.write("web.yaml", WEB);
    fake.on_json("GET /api/workloads/web", workload(json!({})));
    fake.on_json("PUT /api/workloads/web?dry_run", plan(json!([])));
    let ran = fake.univrs(&format!("deploy {file}")).await;
    assert_eq!((ran.code(), ran.err.as_str()), (0, "no changes\n"));
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn a_dry_run_prints_the_plan_as_data() {
    let (fake, files) = (empty().await, Files::new());
    let file = files.write("web.yaml", WEB);
    let ran = fake.univrs(&format!("deploy --dry-run -o json {file}")).await;
    assert_eq!((ran.code(), ran.out), (0, format!("{}\n", made())));
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn faults_name_the_file_and_what_was_meant() {
    let (fake, files) = (Fake::start().await, Files::new());
    let slip = files.write("slip.yaml", "name: web\nimage: web:1\nreplica: 3\n");
    let many = files.write("many.yaml", "name: a\nimage: x\n---\nname: b\nimage: 'x y'\npriority: 200\n");
    for (file, expected) in [
        (&slip, vec!["slip.yaml: ", "unknown field `replica`", "hint: did you mean `replicas`?"]),
        (&many, vec!["many.yaml (document 2): image: ", "many.yaml (document 2): priority: "]),
        (&files.write("bad.toml", "name ="), vec!["bad.toml: "]),
        (&files.write("none.yaml", "\n"), vec!["none.yaml: it holds no workload"]),
        (&"/nowhere/web.yaml".to_owned(), vec!["cannot read /nowhere/web.yaml: No such file"]),
    ] {
        let ran = fake.univrs(&format!("deploy -y {file}")).await;
        assert_eq!(ran.code(), 1, "{file}");
        for part in expected {
            assert!(ran.err.contains(part), "{part} in {}", ran.err);
        }
    }
    let ran = fake.univrs(&format!("deploy -y {slip} {slip}")).await;
    assert_eq!(ran.code(), 1);
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_document_comes_from_standard_input_and_the_server_may_refuse_it() {
    let fake = empty().await;
    let refusal = json!({"title": "not acceptable", "status": 422, "detail": "the workload is not acceptable",
        "code": "invalid", "errors": [{"field": "placement.constraints[0]", "detail": "no attribute `clod`",
        "hint": "did you mean `cloud`?"}]});
    fake.on("POST /api/workloads?dry_run", [Answer::json(422, &refusal)]);
    let ran = fake.fed("deploy -y -", WEB).await;
    assert_eq!(ran.code(), 1);
    expect![[r#"
        error: placement.constraints[0]: no attribute `clod`
        hint: did you mean `cloud`?
    "#]]
    .assert_eq(&ran.err);
}

#[tokio::test]
async fn a_compose_file_is_deployed_service_by_service() {
    let (fake, files) = (empty().await, Files::new());
    files.write(".env", "TAG=1\n");
    let text = "services:\n  web:\n    image: web:${TAG}\n    container_name: x\n    deploy: {replicas: 3}\n    restart: always\n";
    let file = files.write("compose.yaml", text);
    let ran = fake.univrs(&format!("deploy -y {file}")).await;
    assert_eq!(ran.code(), 0, "{}", ran.err);
    assert!(ran.err.starts_with("note: services.web.container_name: instances have names"), "{}", ran.err);
    let writes = fake.writes();
    let sent = writes.last().unwrap().json();
    assert_eq!((&sent["containers"][0]["image"], &sent["replicas"]), (&json!("web:1"), &json!(3)));

    let file = files.write("compose.yml", "services:\n  web: {image: 'web:1', privileged: true}\n");
    let ran = fake.univrs(&format!("deploy -y {file}")).await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("services.web.privileged"), "{}", ran.err);
}
