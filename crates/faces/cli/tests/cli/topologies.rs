//! `univrs topology`: exit codes, what is data and what is talk, and files that are written.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Ran, univrs};

/// Nobody answers there: topologies need no server.
const NOWHERE: &str = "http://127.0.0.1:1";

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples").join(name);
    path.canonicalize().unwrap().display().to_string()
}

async fn topology(line: &str) -> Ran {
    univrs(NOWHERE, &format!("topology {line}"), "", false).await
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const SMALL: &str = "name = \"small\"\n[[region]]\ncloud = \"aws\"\nname = \"us-east-1\"\n[role.web]\ncount = 2\nmachine = \"t3.large\"\n[budget]\nmonthly = \"1 USD\"\n";

#[tokio::test]
async fn check_tells_places_codes_and_hints_and_ends_with_11() {
    let folder = tempfile::tempdir().unwrap();
    let broken = file(&folder, "broken.toml", &SMALL.replace("count", "cuont"));
    let ran = topology(&format!("check {}", broken.display())).await;
    assert_eq!(ran.code(), 11, "{ran:?}");
    assert!(ran.out.contains("broken.toml:6:1: error[unknown-key]: role.web.cuont"), "{}", ran.out);
    assert!(ran.out.contains("hint: did you mean `count`?"), "{}", ran.out);
    let ran = topology(&format!("check {} -o json", broken.display())).await;
    let report = json(&ran);
    let errors = report["errors"].as_array().unwrap();
    let unknown = errors.iter().find(|error| error["code"] == "unknown-key").unwrap();
    assert_eq!((ran.code(), &unknown["line"], &unknown["path"]), (11, &6.into(), &"role.web.cuont".into()));
    // Verbs that make something make nothing.
    for verb in ["plan", "cost", "optimize", "graph", "emit -o json"] {
        let ran = topology(&format!("{verb} {}", broken.display())).await;
        assert_eq!((ran.code(), ran.out.as_str()), (11, ""), "{verb}: {ran:?}");
        assert!(ran.err.contains("error[unknown-key]"), "{verb}: {ran:?}");
    }
}

#[tokio::test]
async fn warnings_fail_a_strict_check_only() {
    let aurigraph = example("aurigraph.toml");
    let ran = topology(&format!("check {aurigraph} -o yaml")).await;
    assert!(ran.code() == 0 && ran.out.starts_with("errors: []\n"), "{ran:?}");
    assert_eq!(topology(&format!("check {aurigraph} --strict")).await.code(), 11);
}

#[tokio::test]
async fn cost_counts_nodes_and_fails_over_its_budget() {
    let ran = topology(&format!("cost {}", example("aurigraph.toml"))).await;
    assert!(ran.code() == 0 && ran.out.starts_with("aurigraph-prod: 66 nodes in 6 regions\n"), "{ran:?}");
    let folder = tempfile::tempdir().unwrap();
    let small = file(&folder, "small.toml", SMALL);
    let ran = topology(&format!("cost {} -o json", small.display())).await;
    assert_eq!(ran.code(), 12, "{}", ran.err);
    assert!(json(&ran)["totalMonthlyCost"].is_string());
    let more = format!("cost {0} --set role.web.count=3 --against {0} -o json", small.display());
    let ran = topology(&more).await;
    let number = |key: &str| json(&ran)[key].as_str().unwrap().parse::<f64>().unwrap();
    let more = number("totalMonthlyCost") - number("pastTotalMonthlyCost");
    // One t3.large more, at 0.0832 USD an hour, with its disk.
    assert!((more - number("diffTotalMonthlyCost")).abs() < 1e-9 && more >= 0.0832 * 730.0, "{}", ran.out);
}

#[tokio::test]
async fn a_required_objective_that_is_missed_ends_with_13() {
    let aurigraph = example("aurigraph.toml");
    assert_eq!(topology(&format!("optimize {aurigraph}")).await.code(), 0);
    let ran = topology(&format!("optimize {aurigraph} --require")).await;
    assert!(ran.code() == 13 && ran.err.contains("warning[round-trip]"), "{ran:?}");
    assert_eq!(topology(&format!("optimize {aurigraph} --require=quorum-lost")).await.code(), 0);
    assert_eq!(topology(&format!("optimize {aurigraph} --require=nonsense")).await.code(), 2);
}

#[tokio::test]
async fn emit_writes_a_folder_twice_alike() {
    let folder = tempfile::tempdir().unwrap();
    let pluresdb = example("pluresdb.toml");
    assert_eq!(topology(&format!("emit {pluresdb}")).await.code(), 2);
    let out = folder.path().join("infra");
    let first = topology(&format!("emit {pluresdb} --out {}", out.display())).await;
    assert!(first.code() == 0 && first.out.contains("README.md"), "{first:?}");
    let second = topology(&format!("emit {pluresdb} --out {}", out.display())).await;
    assert_eq!((second.code(), &second.out), (0, &first.out));
    assert!(first.out.lines().all(|path| out.join(path).is_file()));
    let other = format!("emit {} --out {}", example("freetier.toml"), folder.path().display());
    std::fs::write(folder.path().join("README.md"), "mine").unwrap();
    assert_eq!(topology(&other).await.code(), 1);
    assert!(!folder.path().join("shared").exists());
}

#[tokio::test]
async fn environments_are_chosen() {
    let pluresdb = example("pluresdb.toml");
    for (environment, nodes) in [("test", 3), ("dev", 5), ("prod", 7)] {
        let ran = topology(&format!("plan {pluresdb} --environment {environment} -o json")).await;
        assert_eq!(json(&ran)["regions"][0]["machines"].as_array().map(Vec::len), Some(nodes), "{ran:?}");
    }
    assert_eq!(topology(&format!("plan {pluresdb} --environment stage")).await.code(), 11);
}

#[tokio::test]
async fn fmt_graph_and_schema_print() {
    let folder = tempfile::tempdir().unwrap();
    let odd = file(&folder, "odd.toml", "name='a' # why\n[[region]]\nname=\"eastus\"\ncloud=\"azure\"\n");
    assert_eq!(topology(&format!("fmt {} --check", odd.display())).await.code(), 11);
    assert_eq!(topology(&format!("fmt {} --write", odd.display())).await.code(), 0);
    let fresh = "name = 'a' # why\n[[region]]\ncloud = \"azure\"\nname = \"eastus\"\n";
    assert_eq!(std::fs::read_to_string(&odd).unwrap(), fresh);
    assert_eq!(topology(&format!("fmt {} --check", odd.display())).await.code(), 0);
    let ran = topology(&format!("graph {} --format svg", example("aurigraph.toml"))).await;
    assert!(ran.code() == 0 && ran.out.starts_with("<svg "), "{}", ran.err);
    assert_eq!(json(&topology("schema").await)["title"], "Univrs topology");
    assert_eq!(topology("check /nowhere/at/all.toml").await.code(), 1);
}
