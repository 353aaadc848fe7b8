//! What Prometheus sees: of every series that is declared it is known what moves it.

use std::collections::BTreeSet;

use crate::harness::Daemon;

/// Moved by what the test below does.
const MOVED: [&str; 9] = [
    "univrs_http_request_duration_seconds",
    "univrs_http_requests_total",
    "univrs_instances",
    "univrs_state_revision",
    "univrs_store_applied_index",
    "univrs_store_log_index",
    "univrs_store_syncing_seconds_total",
    "univrs_store_syncs_total",
    "univrs_workloads",
];
/// The same as the API says at the same time.
const SHOWN: [&str; 2] = ["univrs_capacity", "univrs_nodes"];
/// Moved by what one machine alone never does: changes of members and leaders and a full disk (tests of the store's
/// figures), and removed images (a test of the metrics themselves).
const ELSEWHERE: [&str; 7] = [
    "univrs_image_store_freed_bytes_total",
    "univrs_images_removed_total",
    "univrs_store_disk_full",
    "univrs_store_leads",
    "univrs_store_members",
    "univrs_store_term",
    "univrs_store_voters",
];

async fn text(daemon: &Daemon) -> String {
    daemon.get("/metrics").await.body.as_str().unwrap().to_owned()
}

/// All samples of a series together, buckets of a histogram aside.
fn value(text: &str, series: &str, labels: &str) -> f64 {
    let samples = text.lines().filter(|line| !line.starts_with('#') && line.contains(labels));
    let own = samples.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let name = name.split('{').next()?;
        (name == series || name.strip_prefix(series) == Some("_count")).then_some(value)
    });
    own.map(|value| value.parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn every_series_that_is_declared_moves() {
    let daemon = Daemon::start().await;
    let before = text(&daemon).await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":2}"#).await;
    daemon.until_status("web", "running").await;
    let still = async || -> Vec<&str> {
        let now = text(&daemon).await;
        MOVED.into_iter().filter(|series| value(&now, series, "") <= value(&before, series, "")).collect()
    };
    daemon.until_seen("all have moved", still, |still| still.is_empty()).await;

    // A series is declared as soon as it has a sample.
    let now = text(&daemon).await;
    let declared: BTreeSet<&str> =
        now.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    let known: BTreeSet<&str> = MOVED.into_iter().chain(SHOWN).chain(ELSEWHERE).collect();
    assert_eq!(declared, known, "say above what moves a new series");

    let cluster = daemon.get("/api/cluster").await.body;
    let cores = cluster["capacity"]["cpu"].as_str().unwrap();
    let cores: f64 = match cores.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().unwrap() / 1000.0,
        None => cores.parse().unwrap(),
    };
    assert!((value(&now, "univrs_capacity", "\"cpu_cores\"") - cores).abs() < 1e-6, "{now}");
    assert!((value(&now, "univrs_nodes", "\"ready\"") - 1.0).abs() < 1e-6, "{now}");
}
