//! Changes of a node's program that end before they begin.

use std::path::Path;
use std::process::Command;

use crate::harness::Cluster;

/// A program that can be executed and says that it is a newer one.
fn newer(to: &Path) {
    let source = to.with_extension("c");
    std::fs::write(
        &source,
        r#"__attribute__((used, section(".univrs.release"))) static const char release[64] = "univrs 9.9.9 level 1";
        int main(void) { return 0; }"#,
    )
    .unwrap();
    assert!(Command::new("cc").arg("-o").arg(to).arg(&source).status().unwrap().success());
}

#[tokio::test]
async fn a_node_that_cannot_note_the_change_of_its_program_starts_again_with_the_one_it_has() {
    let cluster = Cluster::found(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("univrs");
    newer(&program);
    let version = cluster.node_view(0, "one").await["version"].clone();
    // The file in which it would be noted cannot be written.
    std::fs::create_dir_all(cluster.nodes[0].dir().join("programs/change.json/in-the-way")).unwrap();
    let words = ["--timeout", "10m", "cluster", "upgrade", "--deadline", "10s", "--to"];
    let upgraded = cluster.cli(0, &[&words[..], &[program.to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&upgraded.stderr).into_owned();
    assert_eq!(upgraded.status.code(), Some(1), "{said}");
    let log = cluster.nodes[0].log();
    assert!(log.contains("the change of the program cannot be noted; going on with this one"), "{log}");
    cluster.until_ready(0).await;
    let view = async || cluster.node_view(0, "one").await;
    cluster
        .until_seen("it is itself again", view, |node| node["version"] == version && node["state"] == "ready")
        .await;
}
