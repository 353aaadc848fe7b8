//! Usage and alerts.

use serde_json::json;

use crate::harness::{Answer, Fake, list};

#[tokio::test]
async fn usage_of_a_month_is_a_table_with_its_sum() {
    let fake = Fake::start().await;
    let statement = json!({"org": "default", "from": "2025-12-01T00:00:00Z", "to": "2026-01-01T00:00:00Z",
        "currency": "USD", "total": "1.30", "exact": "1.296000000000", "entries": 1, "lines": [{"resource": "rs_a",
        "name": "db", "meter": "cpu_limit", "tier": "basic", "amount": 360_000_000, "unit": "millicore-seconds",
        "cost": "1.296000000000"}]});
    fake.on_json("GET /api/usage", statement);
    let ran = fake.univrs("usage --month 2025-12").await;
    assert_eq!(
        ran.out,
        "RESOURCE   METER       AMOUNT      UNIT                COST\n\
         db         cpu_limit   360000000   millicore-seconds   1.296000000000\n"
    );
    assert!(ran.err.contains("1.30 USD"), "{}", ran.err);
}

#[tokio::test]
async fn alerts_are_listed_and_silenced() {
    let fake = Fake::start().await;
    let alert = json!({"id": "resource_down-rs_a", "rule": "resource_down", "subject": "resource/db",
        "severity": "error", "state": "firing", "message": "db does not serve: gone", "number": 1,
        "since": "2026-01-01T00:00:00Z", "changed_at": "2026-01-01T00:00:00Z"});
    fake.on("POST /api/alerts/resource_down-rs_a/silence", [Answer::json(200, &alert)])
        .on_json("GET /api/alerts", list(&[alert]));
    assert_eq!(
        fake.univrs("alert ls").await.out,
        "STATE    SEVERITY   SUBJECT       MESSAGE                   SINCE   ID\n\
         firing   error      resource/db   db does not serve: gone   60m     resource_down-rs_a\n"
    );
    assert_eq!(fake.univrs("alert silence resource_down-rs_a --for 2h -q").await.out, "resource_down-rs_a\n");
    assert_eq!(fake.writes()[0].json(), json!({"for": "2h"}));
    let missing = fake.univrs("alert settings --file /nonexistent.json").await;
    assert_eq!(missing.code(), 2, "{}", missing.err);
}
