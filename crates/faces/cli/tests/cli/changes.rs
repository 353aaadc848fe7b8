//! Writes: what is sent, what is asked first, and what is removed.

use serde_json::json;

use crate::harness::{Answer, Fake, workload};

fn missing() -> Answer {
    Answer::json(404, &json!({"title": "not found", "status": 404, "detail": "no workload `web`"}))
}

#[tokio::test]
async fn run_sends_what_its_flags_say() {
    let fake = Fake::start().await;
    fake.on("POST /api/workloads", [Answer::json(201, &workload(json!({})))]);
    fake.on_json("GET /api/workloads/web", workload(json!({})));
    let line = "run web:1 --replicas 2 -p 8080:80 -p 5353:53/udp --env A=b=c --cpu 250m --memory 128Mi -q -- serve -v";
    let ran = fake.univrs(line).await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "wl_web\n"), "{}", ran.err);
    let write = &fake.writes()[0];
    let body = write.json();
    let container = &body["containers"][0];
    assert_eq!(
        (&body["name"], &body["kind"], &body["replicas"]),
        (&json!("web"), &json!("service"), &json!(2))
    );
    assert_eq!((&container["image"], &container["args"]), (&json!("web:1"), &json!(["serve", "-v"])));
    assert_eq!(container["env"], json!({"A": "b=c"}));
    assert_eq!(
        (&container["resources"]["cpu"], &container["resources"]["memory"]),
        (&json!("250m"), &json!("128Mi"))
    );
    assert_eq!(
        container["ports"][1],
        json!({"name": "p53-udp", "container_port": 53, "host_port": 5353, "protocol": "udp"})
    );
    let key = write.header("idempotency-key").unwrap();
    assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)), "{key}");
}

#[tokio::test]
async fn a_name_that_is_taken_ends_with_4_and_the_way_out() {
    let fake = Fake::start().await;
    let problem =
        json!({"title": "conflict", "status": 409, "detail": "workload `web` exists", "code": "exists"});
    fake.on("POST /api/workloads", [Answer::json(409, &problem)]);
    let ran = fake.univrs("run web:1").await;
    assert_eq!(ran.code(), 4);
    assert!(ran.err.contains("hint: choose another name with --name"), "{}", ran.err);
}

#[tokio::test]
async fn bad_flags_of_run_are_found_before_anything_is_sent() {
    let fake = Fake::start().await;
    let ran = fake.univrs("run web:1 -p 80:80 -p 80:81").await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("host port 80 is used twice"), "{}", ran.err);
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn updates_keep_the_short_form_and_what_others_wrote() {
    let fake = Fake::start().await;
    let tagged = |etag: &str| Answer::json(200, &workload(json!({}))).with("etag", etag);
    fake.on("GET /api/workloads/web", [tagged("\"7\""), tagged("\"8\"")]);
    let stale = Answer::json(412, &json!({"title": "stale", "status": 412, "detail": "it was changed"}));
    fake.on("PUT /api/workloads/web", [stale.clone(), Answer::json(200, &workload(json!({})))]);
    assert_eq!(fake.univrs("workload update web --image web:2").await.code(), 0);
    let writes = fake.writes();
    assert_eq!(
        writes.iter().map(|write| write.header("if-match")).collect::<Vec<_>>(),
        [Some("\"7\""), Some("\"8\"")]
    );
    assert_eq!(writes[1].json()["image"], "web:2");
    assert_eq!(writes[1].json().get("containers"), None);

    fake.on("PUT /api/workloads/web", [Answer::json(200, &workload(json!({})))]);
    assert_eq!(fake.univrs("workload update web --env A=b --cpu 2").await.code(), 0);
    let body = fake.writes().pop().unwrap().json();
    assert_eq!((body.get("image"), &body["containers"][0]["env"]), (None, &json!({"A": "b"})));

    fake.on("PUT /api/workloads/web", [stale]);
    assert_eq!(fake.univrs("workload update web --image web:2").await.code(), 4);
}

#[tokio::test]
async fn several_containers_need_a_name() {
    let fake = Fake::start().await;
    let spec =
        json!({"name": "web", "containers": [{"name": "app", "image": "a"}, {"name": "side", "image": "b"}]});
    fake.on_json("GET /api/workloads/web", workload(json!({"spec": spec})));
    fake.on_json("PUT /api/workloads/web", workload(json!({})));
    let ran = fake.univrs("workload update web --image x").await;
    assert_eq!(ran.code(), 2);
    assert!(ran.err.contains("hint: name one of app, side with --container"), "{}", ran.err);
    let ran = fake.univrs("workload update web --image x --container sid").await;
    assert!(ran.err.contains("did you mean `side`?"), "{}", ran.err);
    assert_eq!(fake.univrs("workload update web --image x --container side").await.code(), 0);
    assert_eq!(fake.writes()[0].json()["containers"][1]["image"], "x");
}

#[tokio::test]
async fn removal_needs_yes_or_the_name() {
    let fake = Fake::start().await;
    let one = || Answer::json(200, &workload(json!({})));
    fake.on("GET /api/workloads/web", [one()]);
    fake.on("DELETE /api/workloads/web", [Answer { status: 204, ..Answer::text("") }]);
    let ran = fake.univrs("workload rm web").await;
    assert_eq!(ran.code(), 2);
    assert!(ran.err.contains("hint: add -y"), "{}", ran.err);
    assert_eq!(fake.asking("workload rm web", "wbe\n").await.code(), 1);
    assert!(fake.writes().is_empty());

    let last = Answer::json(200, &workload(json!({"instances": 1})));
    fake.on("GET /api/workloads/web", [one(), last.clone(), missing()]);
    let ran = fake.asking("workload rm web", "web\n").await;
    assert_eq!(ran.code(), 0, "{}", ran.err);
    assert!(ran.err.ends_with("web: removing, 1 instances left\nweb: removed\n"), "{}", ran.err);

    fake.on("GET /api/workloads/web", [last]);
    assert_eq!(fake.univrs("workload rm -y web --timeout 8s").await.code(), 6);
    fake.on("GET /api/workloads/web", [missing()]);
    assert_eq!(fake.univrs("workload rm -y web").await.code(), 3);
    assert_eq!(fake.write_lines(), ["DELETE /api/workloads/web"; 2]);
}

#[tokio::test]
async fn a_dry_run_of_any_change_shows_its_plan_and_asks_nobody() {
    let fake = Fake::start().await;
    fake.on_json("GET /api/workloads/web", workload(json!({})));
    let removal = json!({"plan_id": "pl_1", "changes": [{"action": "delete", "kind": "workload", "name": "web",
        "before": {"name": "web"}, "after": null}], "blast_radius": {"starts": 0, "stops": 3}});
    fake.on_json("DELETE /api/workloads/web?dry_run", removal.clone());
    let ran = fake.univrs("workload rm web --dry-run").await;
    assert_eq!(ran.code(), 0, "{}", ran.err);
    assert!(ran.out.starts_with("- workload web\n"), "{}", ran.out);
    let ran = fake.univrs("workload rm web --dry-run -o json").await;
    assert_eq!((ran.code(), ran.out), (0, format!("{removal}\n")));
    // A plan that names nothing says itself what it is about.
    let summary = "takes in the images of an archive";
    fake.on_json("POST /api/images/pull?dry_run", json!({"changes": [], "summary": summary}));
    let ran = fake.univrs("image pull web:1 --dry-run").await;
    assert_eq!((ran.code(), ran.out), (0, format!("{summary}\n")));
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn every_removal_is_confirmed() {
    let fake = Fake::start().await;
    for line in ["node rm a", "image rm a"] {
        assert_eq!(fake.univrs(line).await.code(), 2, "{line}");
    }
    assert!(fake.asked().is_empty());
    fake.on_json("DELETE /api/images", json!({}));
    assert_eq!(fake.univrs("image rm -y web:1").await.code(), 0);
    assert_eq!(fake.write_lines(), ["DELETE /api/images?reference=web%3A1"]);
}

#[tokio::test]
async fn nodes_are_drained_until_they_are_empty() {
    let fake = Fake::start().await;
    let node = |instances: u32| {
        json!({"id": "nd_a", "name": "alpha", "roles": [], "runtime": null,
            "location": {"cloud": "c", "region": "r", "zone": "z", "operator": "o"},
            "capacity": {"cpu": "4", "memory": "8Gi", "disk": "1Gi"}, "api_address": "", "version": "0.1.0",
            "created_at": "2026-01-01T00:00:00Z", "revision": 3, "updated_at": "2026-01-01T00:00:00Z",
            "state": "ready", "cordoned": true, "draining": true,
            "requested": {"cpu": "0", "memory": "0", "disk": "0"}, "instances": instances})
    };
    let operation = |status: &str, progress: u8, error: Option<&str>| {
        json!({"id": "op_1", "org": "default", "kind": "node_drain", "subject": "alpha", "status": status,
            "stage": "move", "progress": progress, "revision": 4, "error": error,
            "steps": [{"name": "wait until it is empty", "stage": "move", "progress": 20, "status": "doing"}],
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"})
    };
    let accepted = json!({"operation": operation("running", 0, None)});
    fake.on_json("POST /api/nodes/alpha/drain", accepted);
    let looks = [("running", 20), ("succeeded", 100)];
    let looks = looks.map(|(status, progress)| Answer::json(200, &operation(status, progress, None)));
    fake.on("GET /api/operations/op_1", looks);
    fake.on_json("GET /api/nodes/alpha", node(0));
    let ran = fake.univrs("node drain alpha --deadline 10m").await;
    assert_eq!(ran.code(), 0, "{}", ran.err);
    assert!(ran.err.contains("node drain of alpha: move 20%\n"), "{}", ran.err);
    assert_eq!(fake.write_lines(), ["POST /api/nodes/alpha/drain?deadline=10m"]);

    let failed = operation("undone", 0, Some("wait until it is empty: the deadline passed"));
    fake.on("GET /api/operations/op_1", [Answer::json(200, &failed)]);
    let ran = fake.univrs("operation watch op_1").await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("ended undone: wait until it is empty: the deadline passed"), "{}", ran.err);

    fake.on_json("POST /api/nodes/alpha/uncordon", node(0));
    fake.on_json("PATCH /api/nodes/alpha", node(0));
    assert_eq!(fake.univrs("node uncordon alpha").await.code(), 0);
    assert_eq!(fake.univrs("node label alpha disk=ssd gpu-").await.code(), 0);
    let writes = fake.writes();
    assert_eq!(writes[1].line, "POST /api/nodes/alpha/uncordon");
    assert_eq!(writes[2].json(), json!({"labels": {"disk": "ssd", "gpu": null}}));
}

#[tokio::test]
async fn archives_go_in_and_out_whole() {
    let fake = Fake::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("in.tar"), b"archive").unwrap();
    fake.on_json("POST /api/images/import", json!([{"reference": "web:1"}]));
    let ran = fake.univrs(&format!("image import {} -o name", path("in.tar"))).await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "web:1\n"), "{}", ran.err);
    assert_eq!(fake.writes()[0].body, b"archive");

    fake.on("GET /api/images/export", [Answer::text("tar tar tar")]);
    assert_eq!(fake.univrs(&format!("image export web:1 {}", path("out.tar"))).await.code(), 0);
    assert_eq!(std::fs::read(path("out.tar")).unwrap(), b"tar tar tar");
    assert_eq!(
        fake.asked().pop().unwrap().line,
        "GET /api/images/export?reference=web%3A1&format=oci-layout"
    );
    fake.on("GET /api/images/export", [missing()]);
    assert_eq!(fake.univrs(&format!("image export web:2 {}", path("no.tar"))).await.code(), 3);
    assert!(!directory.path().join("no.tar").exists());
}
