//! The forms of output: tables for people, the server's own JSON for programs.

use expect_test::{Expect, expect};
use serde_json::json;

use crate::harness::{Answer, Fake, instance, list, workload};

async fn check(fake: &Fake, line: &str, expected: Expect) {
    let ran = fake.univrs(line).await;
    assert_eq!(ran.code(), 0, "{line}: {}", ran.err);
    expected.assert_eq(&ran.out.replace(&fake.address().to_string(), "SERVER"));
}

#[tokio::test]
async fn workloads_in_every_form() {
    let fake = Fake::start().await;
    let other = workload(json!({"id": "wl_api", "name": "api", "status": "degraded", "ready": 1,
        "message": "in_b fails its check", "spec": {"name": "api", "kind": "service", "containers":
            [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}]}}));
    // The order of members and an unknown one show that the body is passed on untouched.
    let body = format!("{{\"revision\":9,\"items\":[{},{other}],\"extra\":1}}", workload(json!({})));
    fake.on("GET /api/workloads", [Answer::text(&body)]);
    check(
        &fake,
        "ls",
        expect![[r#"
            NAME   KIND      STATUS     READY   VERSION   IMAGE      AGE
            web    service   running    3/3     2         web:1      60m
            api    service   degraded   1/3     2         a:1, b:2   60m
        "#]],
    )
    .await;
    check(
        &fake,
        "workload ls -o wide",
        expect![[r#"
            NAME   KIND      STATUS     READY   VERSION   IMAGE      AGE                    UPDATED                ID       MESSAGE
            web    service   running    3/3     2         web:1      2026-01-01T00:00:00Z   2026-01-01T00:30:00Z   wl_web   -
            api    service   degraded   1/3     2         a:1, b:2   2026-01-01T00:00:00Z   2026-01-01T00:30:00Z   wl_api   in_b fails its check
        "#]],
    )
    .await;
    assert_eq!(fake.univrs("ls -o json").await.out, format!("{body}\n"));
    check(&fake, "ls -o name", expect!["web\napi\n"]).await;
    check(&fake, "ls -q", expect!["wl_web\nwl_api\n"]).await;
    let yaml = fake.univrs("ls -o yaml").await.out;
    assert!(yaml.starts_with("revision: 9\nitems:\n"), "{yaml}");
    assert!(yaml.contains("  name: api\n") && yaml.ends_with("extra: 1\n"), "{yaml}");
}

#[tokio::test]
async fn instances_say_when_their_node_cannot_be_heard() {
    let fake = Fake::start().await;
    let items = [
        instance(json!({})),
        instance(json!({"id": "in_b", "reachable": false, "health": "none", "restarts": 2})),
        instance(json!({"id": "in_c", "node": null, "node_name": null, "phase": "pending", "health": "none",
            "reachable": false, "started_at": null})),
    ];
    fake.on_json("GET /api/workloads", list(&[workload(json!({}))]));
    fake.on_json("GET /api/workloads/web/instances", list(&items));
    let expected = expect![[r#"
        ID     WORKLOAD   VERSION   NODE    PHASE                  HEALTH    RESTARTS   STARTED
        in_a   web        2         alpha   running                passing   0          59m
        in_b   web        2         alpha   running, unreachable   none      2          59m
        in_c   web        2         -       pending                none      0          -
    "#]];
    expected.assert_eq(&fake.univrs("ps").await.out);
    expected.assert_eq(&fake.univrs("workload ps web").await.out);
    check(&fake, "ps web -q", expect!["in_a\nin_b\nin_c\n"]).await;
}

#[tokio::test]
async fn one_workload_is_shown_as_facts() {
    let fake = Fake::start().await;
    fake.on_json("GET /api/workloads/web", workload(json!({"reverted_from": 3})));
    check(
        &fake,
        "workload get web",
        expect![[r#"
            name:     web
            id:       wl_web
            org:      default
            kind:     service
            status:   running
            version:  2
            reverted: version 3 failed
            ready:    3 of 3
            updated:  3 of 3
            images:   web:1
            made:     60m ago
            changed:  30m ago
        "#]],
    )
    .await;
}

#[tokio::test]
async fn long_lists_are_fetched_to_their_end() {
    let fake = Fake::start().await;
    let first = json!({"items": [workload(json!({}))], "next_cursor": "c1", "revision": 9});
    let second = list(&[workload(json!({"id": "wl_api", "name": "api"}))]);
    fake.on("GET /api/workloads", [Answer::json(200, &first), Answer::json(200, &second)]);
    check(&fake, "ls -o name --label tier=front", expect!["web\napi\n"]).await;
    let lines: Vec<String> = fake.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        [
            "GET /api/workloads?limit=500&label=tier%3Dfront",
            "GET /api/workloads?limit=500&cursor=c1&label=tier%3Dfront"
        ]
    );
}

#[tokio::test]
async fn nodes_show_what_is_free_and_what_is_wrong() {
    let fake = Fake::start().await;
    let node = |id: &str, name: &str, state: &str, cordoned: bool, draining: bool| {
        json!({"id": id, "name": name, "roles": ["validator", "business"], "runtime": "oci",
            "location": {"cloud": "aws", "region": "us-east-1", "zone": "a", "operator": "me"},
            "capacity": {"cpu": "4", "memory": "8Gi", "disk": "100Gi"}, "api_address": "10.0.0.1:8080",
            "version": "0.1.0", "labels": {"disk": "ssd"}, "created_at": "2026-01-01T00:00:00Z", "revision": 3,
            "updated_at": "2026-01-01T00:00:00Z", "state": state, "cordoned": cordoned, "draining": draining,
            "requested": {"cpu": "250m", "memory": "1536Mi", "disk": "0"}, "instances": 2})
    };
    let nodes = [
        node("nd_a", "alpha", "ready", false, false),
        node("nd_b", "beta", "ready", true, false),
        node("nd_c", "gamma", "lost", true, true),
    ];
    fake.on_json("GET /api/nodes", list(&nodes));
    fake.on_json(
        "GET /api/cluster",
        json!({"id": "cl_1", "leader": "nd_a", "health": "ok", "revision": 9,
        "voters": ["nd_a", {"id": "nd_b", "name": "beta"}], "versions": {"0.1.0": 3}}),
    );
    check(
        &fake,
        "status",
        expect![[r#"
            server:   http://SERVER
            cluster:  cl_1
            health:   ok
            leader:   nd_a
            voters:   nd_a, beta
            versions: 0.1.0 3
            revision: 9

            NAME    STATE             ROLES                VOTE   CLOUD   REGION      CPU      MEMORY      INSTANCES   VERSION   AGE
            alpha   ready             validator,business   -      aws     us-east-1   250m/4   1.5Gi/8Gi   2           0.1.0     60m
            beta    ready, cordoned   validator,business   -      aws     us-east-1   250m/4   1.5Gi/8Gi   2           0.1.0     60m
            gamma   lost, draining    validator,business   -      aws     us-east-1   250m/4   1.5Gi/8Gi   2           0.1.0     60m
        "#]],
    )
    .await;
}

#[tokio::test]
async fn events_and_explanations_are_readable() {
    let fake = Fake::start().await;
    let other = json!({"revision": 4, "at": "2026-01-01T00:59:40Z", "kind": "node_joined", "severity": "info",
        "node": "nd_a", "message": "alpha joined"});
    let event = json!({"revision": 5, "at": "2026-01-01T00:59:50Z", "kind": "instance_started", "severity": "info",
        "workload": "web", "message": "in_a started on alpha"});
    fake.on_json("GET /api/events", list(&[other, event]));
    check(
        &fake,
        "events --workload web",
        expect![[r#"
            WHEN   SEVERITY   KIND               ABOUT   MESSAGE
            10s    info       instance_started   web     in_a started on alpha
        "#]],
    )
    .await;
    assert_eq!(fake.asked()[0].line, "GET /api/events?limit=500");
    fake.on(
        "GET /api/workloads/web/explain",
        [Answer::text(r#"{"placed":2,"filters":[{"name":"cpu","refused":1}]}"#)],
    );
    check(&fake, "workload explain web", expect!["placed: 2\nfilters:\n- name: cpu\n  refused: 1\n"]).await;
}

#[tokio::test]
async fn credentials_and_the_organisation_are_sent() {
    let fake = Fake::start().await;
    fake.on_json("GET /api/workloads", list(&[]));
    check(&fake, "ls --token t0k --org acme -q", expect![""]).await;
    let asked = &fake.asked()[0];
    assert_eq!(asked.header("authorization"), Some("Bearer t0k"));
    assert_eq!(asked.header("x-univrs-org"), Some("acme"));
}
