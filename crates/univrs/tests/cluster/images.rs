//! Images sent into the cluster from a machine that is no part of it.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::Cluster;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A layer with one file, as it is before it is packed.
fn layer(text: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "text", text.as_bytes());
    archive.into_inner().unwrap()
}

fn append(archive: &mut tar::Builder<impl std::io::Write>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes).unwrap();
}

/// Writes an image of these layers, as `docker save` does.
fn write(path: &Path, name: &str, layers: &[Vec<u8>]) {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = serde_json::json!({"architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux", "config": {"Cmd": ["/app"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}.tar")).collect();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]);
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    append(&mut archive, "manifest.json", manifest.to_string().as_bytes());
    append(&mut archive, "config.json", config.to_string().as_bytes());
    for (name, layer) in names.iter().zip(layers) {
        append(&mut archive, name, layer);
    }
    archive.finish().unwrap();
}

#[tokio::test]
async fn a_pushed_image_moves_only_what_no_node_has() {
    let mut cluster = Cluster::found(&[]).await;
    let two = cluster.join("two", &["--role", "business"]).await;
    let three = cluster.join("three", &["--role", "slim"]).await;
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first.tar"), dir.path().join("second.tar"));
    // Large enough to travel in many pieces.
    let base = layer(&"a system that all of them share ".repeat(40_000));
    write(&first, "app:1", &[base.clone(), layer("one")]);
    write(&second, "app:2", &[base.clone(), layer("two")]);
    let push = |node: usize, words: &[&str]| {
        let pushed = cluster.cli(node, &[&["image", "push"], words].concat());
        let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
        assert!(pushed.status.success(), "{words:?}: {said}");
        said
    };
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let said = push(0, &[first]);
    assert!(said.contains("app:1: sent 3 of 3 parts"), "{said}");
    let said = push(0, &[first]);
    assert!(said.contains("app:1: sent 0 of 3 parts"), "{said}");
    // To another node: what they share comes from the first.
    let said = push(two, &[second]);
    assert!(said.contains("app:2: sent 2 of 3 parts"), "{said}");
    let shared = cluster.get(two, &format!("/api/images/blobs/{}", digest(&base))).await;
    assert_eq!((&shared["place"], &shared["received"]), (&"here".into(), &(base.len() as u64).into()));
    let said = push(two, &[first, "--to", "shop/web:3"]);
    assert!(said.contains("shop/web:3: sent 0 of 3 parts"), "{said}");
    let listed = async |node: usize| {
        let images = cluster.get(node, "/api/images").await;
        let items = images["items"].as_array().cloned().unwrap_or_default();
        let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
        let pairs = items.iter().map(|item| (text(item, "reference"), text(item, "digest")));
        pairs.filter(|(reference, _)| !reference.starts_with("univrs/")).collect::<Vec<_>>()
    };
    let (on_one, on_two) = (listed(0).await, listed(two).await);
    assert_eq!(on_one.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["app:1"]);
    assert_eq!(on_two.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["app:2", "shop/web:3"]);
    assert_eq!(on_one[0].1, on_two[1].1, "the same content under another name");
    // A node that only runs workloads hands it on: nobody would take an image from it.
    let made =
        cluster.cli_done(&["token", "create", "builds", "--grant", "admin", "--cluster-wide", "-o", "json"]);
    let token = serde_json::from_slice::<Value>(&made).unwrap()["token"].as_str().unwrap().to_owned();
    let pushed = cluster.cli(three, &["--token", &token, "image", "push", first, "--to", "by/token:1"]);
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    assert!(listed(0).await.iter().any(|(name, _)| name == "by/token:1"));

    // What is no image says so, and what is not there does not pass for a reference.
    std::fs::write(dir.path().join("no.tar"), "no image").unwrap();
    for (file, reason) in [("no.tar", "archive"), ("absent.tar", "No such file")] {
        let path = dir.path().join(file);
        let refused = cluster.cli(0, &["image", "push", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains(reason) && said.contains(file), "{said}");
    }
}
