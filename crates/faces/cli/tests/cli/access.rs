//! Tokens, organisations and the audit log.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{Answer, Fake, list};

fn token(changes: &[(&str, Value)]) -> Value {
    let mut view = json!({"id": "tk_a", "name": "ci", "grant": "operate", "direct": false, "org": "default",
        "state": "active", "revision": 3, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z"});
    for (key, value) in changes {
        view[key] = value.clone();
    }
    view
}

#[tokio::test]
async fn a_new_token_is_printed_in_every_form() {
    let fake = Fake::start().await;
    let made = token(&[("token", json!("univrs_tk_a_5ec2e7"))]);
    fake.on("POST /api/tokens", [Answer::json(201, &made)]);
    for form in ["", "-q", "-o name", "-o wide"] {
        let ran = fake.univrs(&format!("token create ci --grant operate --direct --ttl 24h {form}")).await;
        assert_eq!((ran.code(), ran.out.as_str()), (0, "univrs_tk_a_5ec2e7\n"), "{}", ran.err);
        assert!(ran.err.contains("not shown again"), "{}", ran.err);
    }
    let ran = fake.univrs("token create ci -o json").await;
    assert_eq!(ran.out, format!("{made}\n"));
    assert_eq!(
        fake.writes()[0].json(),
        json!({"name": "ci", "grant": "operate", "direct": true, "cluster_wide": false, "ttl": "24h"})
    );
}

#[tokio::test]
async fn tokens_are_listed_with_their_state() {
    let fake = Fake::start().await;
    let wide =
        [("id", json!("tk_b")), ("grant", json!("admin")), ("direct", json!(true)), ("org", Value::Null)];
    let old =
        [("id", json!("tk_c")), ("state", json!("expired")), ("expires_at", json!("2026-01-01T00:30:00Z"))];
    fake.on_json("GET /api/tokens", list(&[token(&[]), token(&wide), token(&old)]));
    let ran = fake.univrs("token ls").await;
    expect![[r#"
        ID     NAME   GRANT           ORG       STATE     AGE   EXPIRES
        tk_a   ci     operate         default   active    60m   -
        tk_b   ci     admin, direct   every     active    60m   -
        tk_c   ci     operate         default   expired   60m   30m
    "#]]
    .assert_eq(&ran.out);
}

#[tokio::test]
async fn a_token_is_revoked_after_a_question() {
    let fake = Fake::start().await;
    fake.on_json("DELETE /api/tokens/tk_a", token(&[("state", json!("revoked"))]));
    assert_eq!(fake.univrs("token revoke tk_a").await.code(), 2);
    assert!(fake.writes().is_empty());
    let ran = fake.univrs("token revoke tk_a -y").await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, ""));
    assert_eq!(fake.write_lines(), ["DELETE /api/tokens/tk_a"]);
    assert_eq!(fake.writes()[0].header("authorization"), None, "the name is not taken for `--token`");
}

#[tokio::test]
async fn organisations_are_made_and_listed() {
    let fake = Fake::start().await;
    let acme = json!({"id": "og_a", "name": "acme", "tier": "basic", "revision": 3, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z"});
    fake.on("POST /api/orgs", [Answer::json(201, &acme)]).on_json("GET /api/orgs", list(&[acme]));
    assert_eq!(fake.univrs("org create acme -q").await.out, "og_a\n");
    assert_eq!(fake.writes()[0].json(), json!({"name": "acme"}));
    assert_eq!(fake.univrs("org ls").await.out, "NAME   TIER    AGE\nacme   basic   60m\n");
    fake.on(
        "PUT /api/orgs/acme",
        [Answer::json(
            200,
            &json!({"id": "og_a", "name": "acme", "tier": "pro", "revision": 4,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}),
        )],
    );
    assert_eq!(fake.univrs("org tier acme pro -q").await.out, "og_a\n");
    assert_eq!(fake.writes()[1].json(), json!({"tier": "pro"}));
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_and_how_it_went() {
    let fake = Fake::start().await;
    let entry = |caller: Value, object: &str, result: &str, reason: Value| {
        json!({"at": "2026-01-01T00:00:00Z", "caller": {"principal": caller, "org": "default"},
            "action": "image_write", "object": object, "allowed_by": "operate", "summary": "pulled an image",
            "result": result, "reason": reason, "request": "rq_a", "revision": 7})
    };
    let holder = json!({"kind": "token", "id": "tk_a", "grant": "admin", "direct": false});
    fake.on_json(
        "GET /api/audit",
        list(&[
            entry(json!({"kind": "local_admin"}), "image/a:1", "done", Value::Null),
            entry(holder, "image/b:1", "failed", json!("no such image")),
        ]),
    );
    let ran = fake.univrs("audit ls").await;
    expect![[r#"
        WHEN   WHO           ACTION        WHAT        RESULT   SUMMARY
        60m    local_admin   image_write   image/a:1   done     pulled an image
        60m    token tk_a    image_write   image/b:1   failed   pulled an image: no such image
    "#]]
    .assert_eq(&ran.out);
    let ran = fake.univrs("audit ls -o wide").await;
    assert!(ran.out.contains("rq_a") && ran.out.contains("ALLOWED BY"), "{}", ran.out);
}
