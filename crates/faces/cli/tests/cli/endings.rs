//! Exit codes, and what waiting makes of what the server says.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{Answer, Fake, instance, list, univrs, workload};

fn views(changes: &[Value]) -> Vec<Answer> {
    changes.iter().map(|change| Answer::json(200, &workload(change.clone()))).collect()
}

#[tokio::test]
async fn each_refusal_has_its_exit_code() {
    let fake = Fake::start().await;
    for (status, code) in [(400, 1), (401, 5), (403, 5), (404, 3), (409, 4), (412, 4), (422, 1), (500, 1)] {
        let problem = json!({"type": "x", "title": "t", "status": status, "detail": "it is so", "code": "c"});
        fake.on("GET /api/workloads/web", [Answer::json(status, &problem)]);
        let ran = fake.univrs("workload get web").await;
        assert_eq!((ran.code(), ran.out.as_str()), (code, ""), "{status}");
        assert!(ran.err.starts_with("error: it is so\n"), "{}", ran.err);
    }
    fake.on("GET /api/workloads/web", [Answer { status: 502, ..Answer::text("<html>") }]);
    assert_eq!(fake.univrs("workload get web").await.code(), 1);
}

#[tokio::test]
async fn no_server_says_how_to_get_one() {
    let ran = univrs("http://127.0.0.1:1", "ls", "", false).await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.starts_with("error: cannot reach http://127.0.0.1:1"), "{}", ran.err);
    assert!(ran.err.contains("hint: start a node with `univrs up`"), "{}", ran.err);
    assert!(ran.err.contains("UNIVRS_SERVER"), "{}", ran.err);
}

#[tokio::test]
async fn a_server_that_is_none_is_said() {
    let ran = univrs("ftp://x", "ls", "", false).await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("--server"), "{}", ran.err);
}

#[tokio::test]
async fn waiting_tells_each_change_once_and_ends_with_running() {
    let fake = Fake::start().await;
    fake.on_json("POST /api/workloads/web/scale", workload(json!({"generation": 3})));
    let old = json!({"generation": 3, "observed_generation": 2, "ready": 1});
    let fresh = |ready: u32, status: &str| json!({"generation": 3, "observed_generation": 3, "ready": ready, "status": status});
    fake.on(
        "GET /api/workloads/web",
        views(&[
            old.clone(),
            old,
            fresh(1, "progressing"),
            fresh(1, "progressing"),
            fresh(3, "progressing"),
            fresh(3, "running"),
        ]),
    );
    let ran = fake.univrs("scale web=3").await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, ""));
    expect![[r#"
        web: 1/3 ready, change accepted
        web: 1/3 ready, updating to version 2
        web: 3/3 ready, updating to version 2
        web: 3/3 ready, running
    "#]]
    .assert_eq(&ran.err);
    assert_eq!(fake.writes()[0].json(), json!({"replicas": 3}));
}

#[tokio::test]
async fn a_reverted_update_ends_with_7_its_cause_and_its_last_words() {
    let fake = Fake::start().await;
    fake.on_json("POST /api/workloads/web/rollback", workload(json!({"generation": 3})));
    let reverted = json!({"generation": 3, "observed_generation": 3, "status": "reverted", "version": 1,
        "reverted_from": 2, "message": "1 of 3 instances did not pass within 2m"});
    let reverting =
        json!({"generation": 3, "observed_generation": 3, "status": "reverting", "version": 1, "ready": 2});
    fake.on("GET /api/workloads/web", views(&[reverting, reverted]));
    let instances = [
        instance(json!({"id": "in_a", "workload_revision": 1})),
        instance(json!({"id": "in_b", "phase": "failed", "health": "failing", "exit_code": 1})),
    ];
    fake.on_json("GET /api/workloads/web/instances", list(&instances));
    let log = "{\"at\":\"2026-01-01T00:00:00Z\",\"stream\":\"stderr\",\"instance\":\"in_b\",\"container\":\"app\",\
        \"text\":\"no database\"}\n{\"text\":\"giving up\"}\n";
    fake.on("GET /api/workloads/web/logs", [Answer::text(log)]);
    let ran = fake.univrs("workload rollback web").await;
    assert_eq!(ran.code(), 7);
    expect![[r#"
        web: 2/3 ready, going back to version 1
        web: 3/3 ready, back at version 1
        error: version 2 of web failed and version 1 runs again: 1 of 3 instances did not pass within 2m
        last lines of in_b on alpha:
          no database
          giving up
        hint: `univrs workload explain web` and `univrs ps web` tell more
    "#]]
    .assert_eq(&ran.err);
    let log = fake.asked().into_iter().find(|asked| asked.line.contains("/logs")).unwrap();
    assert_eq!(log.line, "GET /api/workloads/web/logs?tail=20&instance=in_b");
    assert_eq!(log.header("accept"), Some("application/x-ndjson"));
}

#[tokio::test]
async fn a_failed_workload_ends_with_1() {
    let fake = Fake::start().await;
    fake.on("POST /api/workloads", [Answer::json(201, &workload(json!({"generation": 1})))]);
    let failed =
        json!({"generation": 1, "observed_generation": 1, "status": "failed", "message": "no image web:1"});
    fake.on("GET /api/workloads/web", views(&[failed]));
    fake.on_json("GET /api/workloads/web/instances", list(&[]));
    let ran = fake.univrs("run web:1").await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("error: web failed: no image web:1"), "{}", ran.err);
}

#[tokio::test]
async fn what_does_not_settle_in_time_ends_with_6_and_says_where_to_look() {
    let fake = Fake::start().await;
    fake.on_json("POST /api/workloads/web/scale", workload(json!({"generation": 3})));
    let pending = json!({"generation": 3, "observed_generation": 3, "status": "pending", "ready": 0,
        "message": "no node has 4 cores free"});
    fake.on("GET /api/workloads/web", views(&[pending]));
    let ran = fake.univrs("--timeout 8s scale web 3").await;
    assert_eq!(ran.code(), 6);
    expect![[r#"
        web: 0/3 ready, waiting: no node has 4 cores free
        error: web has not settled within 8s
        hint: `univrs workload explain web` says what it waits for
    "#]]
    .assert_eq(&ran.err);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_does_not_end_the_waiting() {
    let fake = Fake::start().await;
    let away = json!({"title": "no leader", "status": 503, "detail": "no leader is known"});
    fake.on_json("POST /api/workloads/web/scale", workload(json!({})));
    let answers = [Answer::json(503, &away), Answer::json(200, &workload(json!({})))];
    fake.on("GET /api/workloads/web", answers);
    let ran = fake.univrs("scale web=3").await;
    assert_eq!(ran.code(), 0);
    assert!(ran.err.contains("web: no leader is known, trying again"), "{}", ran.err);
}

#[tokio::test]
async fn detached_writes_do_not_wait() {
    let fake = Fake::start().await;
    fake.on_json("POST /api/workloads/web/scale", workload(json!({"generation": 5})));
    let ran = fake.univrs("scale web=3 --detach -q").await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "wl_web\n"));
    assert_eq!(ran.err, "web: accepted as generation 5, not waiting\n");
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn waiting_can_be_taken_up_again() {
    let fake = Fake::start().await;
    fake.on("GET /api/workloads/web", views(&[json!({"status": "progressing"}), json!({})]));
    let ran = fake.univrs("workload wait web").await;
    assert_eq!((ran.code(), ran.err.as_str()), (0, "web: 3/3 ready, running\n"));
}
