//! Logs, commands in containers, and `run --rm`.

use serde_json::{Value, json};

use crate::harness::{Answer, Fake, instance, list, workload};

fn log(lines: &[(&str, &str, &str)]) -> String {
    let line = |(instance, stream, text): &(&str, &str, &str)| {
        let line = json!({"at": "2026-01-01T00:00:00Z", "stream": stream, "instance": instance, "container": "app",
            "text": text});
        format!("{line}\n")
    };
    lines.iter().map(line).collect()
}

#[tokio::test]
async fn logs_name_their_instance_only_when_there_are_several() {
    let fake = Fake::start().await;
    let text = log(&[("in_a", "stdout", "one"), ("in_b", "stderr", "two")]);
    fake.on("GET /api/workloads/web/logs", [Answer::text(&text)]);
    fake.on_json("GET /api/workloads/web", workload(json!({})));
    let ran = fake.univrs("logs web --tail 5 --since 10m").await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "in_a | one\nin_b | two\n"));
    assert_eq!(
        fake.asked().pop().unwrap().line,
        "GET /api/workloads/web/logs?tail=5&since=2026-01-01T00%3A50%3A00Z"
    );
    assert_eq!(fake.univrs("workload logs web -o json").await.out, text);
    let ran = fake.univrs("logs web -t --instance in_a").await;
    assert!(ran.out.starts_with("2026-01-01T00:00:00Z one\n"), "{}", ran.out);
    fake.on_json("GET /api/workloads/web", workload(json!({"replicas": 1, "instances": 1})));
    assert_eq!(fake.univrs("logs web -f").await.out, "one\ntwo\n");
}

#[tokio::test]
async fn exec_passes_input_output_and_code_through() {
    let fake = Fake::start().await;
    let ran = fake.fed("exec -i web --container app --token t0k -- cat -n", "hello").await;
    assert_eq!((ran.code(), ran.out.as_str(), ran.err.as_str()), (7, "hello", "oh"));
    let asked = &fake.asked()[0];
    assert_eq!(asked.line, "GET /api/workloads/web/exec?tty=false&container=app&command=cat&command=-n");
    assert_eq!(asked.header("sec-websocket-protocol"), Some("univrs.bearer.t0k"));
    // Without -i the command finds its input at its end.
    let ran = fake.fed("exec web -- cat", "hello").await;
    assert_eq!((ran.code(), ran.out.as_str()), (7, ""));
}

#[tokio::test]
async fn exec_without_a_workload_is_not_found() {
    let fake = Fake::start().await;
    let ran = fake.univrs("exec missing -- true").await;
    assert_eq!((ran.code(), ran.err.as_str()), (3, "error: no workload `missing`\n"));
}

/// A job that has gone through these states.
async fn job(states: &[Value], lines: &[(&str, &str, &str)]) -> Fake {
    let fake = Fake::start().await;
    let view = workload(json!({"name": "job", "id": "wl_job", "generation": 1, "observed_generation": 1}));
    fake.on("POST /api/workloads", [Answer::json(201, &view)]);
    let answers: Vec<Answer> =
        states.iter().map(|state| Answer::json(200, &list(&[instance(state.clone())]))).collect();
    fake.on("GET /api/workloads/job/instances", answers);
    fake.on("GET /api/workloads/job/logs", [Answer::text(&log(lines))]);
    fake.on("DELETE /api/workloads/job", [Answer { status: 204, ..Answer::text("") }]);
    fake
}

#[tokio::test]
async fn run_rm_passes_output_and_code_on_and_leaves_nothing() {
    let states = [
        json!({"phase": "pulling", "message": "web:1"}),
        json!({}),
        json!({"phase": "failed", "exit_code": 42}),
    ];
    let fake = job(&states, &[("in_a", "stdout", "out"), ("in_a", "stderr", "err")]).await;
    let ran = fake.univrs("run --rm --name job web:1 -- fail").await;
    assert_eq!((ran.code(), ran.out.as_str(), ran.err.as_str()), (42, "out\n", "job: pulling: web:1\nerr\n"));
    let writes = fake.writes();
    let body = writes[0].json();
    assert_eq!((&body["kind"], &body["restart"]["policy"]), (&json!("job"), &json!("never")));
    assert_eq!(writes[1].line, "DELETE /api/workloads/job");
    let log = fake.asked().into_iter().find(|asked| asked.line.contains("/logs")).unwrap();
    assert_eq!(log.line, "GET /api/workloads/job/logs?follow=true&instance=in_a");
}

#[tokio::test]
async fn a_short_job_ends_with_0() {
    let fake = job(&[json!({"phase": "stopped", "exit_code": 0})], &[("in_a", "stdout", "done")]).await;
    let ran = fake.univrs("run --rm web:1").await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "done\n"), "{}", ran.err);
    let name = fake.writes()[0].json()["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("web-") && name.len() == 10, "{name}");
}

#[tokio::test]
async fn a_job_that_cannot_start_says_why_and_is_removed() {
    let fake = job(&[json!({"phase": "failed", "message": "no image web:1"})], &[]).await;
    let ran = fake.univrs("run --rm --name job web:1").await;
    assert_eq!(ran.code(), 1);
    assert!(ran.err.contains("error: job did not run to its end: no image web:1"), "{}", ran.err);

    let fake = job(&[json!({"phase": "pending", "message": "no node fits"})], &[]).await;
    let ran = fake.univrs("run --rm --name job --timeout 8s web:1").await;
    assert_eq!(ran.code(), 6);
    assert!(ran.err.contains("error: job has not started within 8s"), "{}", ran.err);
    assert_eq!(fake.write_lines(), ["POST /api/workloads", "DELETE /api/workloads/job"]);
}
