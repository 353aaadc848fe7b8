//! Images that cannot be used, from a registry that lies: each is told for what it is, and nothing of it runs.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::canary::obstacle;
use crate::harness::Daemon;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is answered under a path: its type, its body, and how much of the body really comes.
type Answers = BTreeMap<String, (&'static str, Vec<u8>, usize)>;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A registry with one image of each kind of badness.
fn answers() -> Answers {
    let layer = b"this is no archive, but nobody gets as far as to see that".to_vec();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len()}],
    })
    .to_string()
    .into_bytes();
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{"mediaType": MANIFEST, "digest": digest(&manifest), "size": manifest.len(),
            "platform": {"os": "plan9", "architecture": "mips"}}],
    })
    .to_string()
    .into_bytes();
    let mut answers = Answers::new();
    let mut put = |path: String, kind, body: &[u8], sent| {
        answers.insert(path, (kind, body.to_vec(), sent));
    };
    for (name, sent) in [("cut", 10), ("swapped", layer.len())] {
        put(format!("/v2/{name}/manifests/1"), MANIFEST, &manifest, manifest.len());
        put(
            format!("/v2/{name}/blobs/{}", digest(&config)),
            "application/octet-stream",
            &config,
            config.len(),
        );
        let body = if name == "swapped" { vec![b'!'; layer.len()] } else { layer.clone() };
        put(format!("/v2/{name}/blobs/{}", digest(&layer)), "application/octet-stream", &body, sent);
    }
    put("/v2/foreign/manifests/1".to_owned(), INDEX, &index, index.len());
    put(format!("/v2/other/manifests/sha256:{}", "0".repeat(64)), MANIFEST, &manifest, manifest.len());
    answers
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split_whitespace().nth(1)?;
        let missing =
            ("application/json", br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec(), usize::MAX);
        let (status, (kind, body, sent)) = match (path, answers.get(path)) {
            ("/v2/", _) => (200, ("application/json", b"{}".to_vec(), 2)),
            (_, Some(answer)) => (200, answer.clone()),
            (_, None) => (404, missing),
        };
        let text =
            format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(text.as_bytes()).await.ok()?;
        if !head.starts_with("HEAD") {
            stream.write_all(&body[..sent.min(body.len())]).await.ok()?;
            if sent < body.len() {
                return None;
            }
        }
    }
}

#[tokio::test]
async fn each_bad_image_is_told_for_what_it_is() {
    if let Some(reason) = obstacle() {
        drop(writeln!(std::io::stderr(), "left out: {reason}"));
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let answers = std::sync::Arc::new(answers());
        while let Ok((stream, _)) = listener.accept().await {
            let answers = std::sync::Arc::clone(&answers);
            tokio::spawn(async move { serve(stream, &answers).await });
        }
    });
    let daemon = Daemon::start_with(&["--runtime", "oci"]).await;
    let zeros = format!("other@sha256:{}", "0".repeat(64));
    let cases = [
        ("missing", "missing:1", "was not found"),
        ("foreign", "foreign:1", "has no version for linux/amd64; it has plan9/mips"),
        ("cut", "cut:1", "layer 1"),
        ("swapped", "swapped:1", "is damaged"),
        ("other", &zeros, "is damaged"),
    ];
    for (name, image, _) in cases {
        let body = format!(r#"{{"name":"{name}","image":"{registry}/{image}"}}"#);
        assert_eq!(daemon.post("/api/workloads", &body).await.status.as_u16(), 201);
    }
    for (name, _, expected) in cases {
        let look = async || daemon.get(&format!("/api/workloads/{name}")).await.body;
        let told = |view: &serde_json::Value| {
            let message = view["message"].as_str().unwrap_or_default();
            message.contains(expected) && message.contains(&registry.to_string()) && view["ready"] == 0
        };
        daemon.until_seen(&format!("{name} says `{expected}`"), look, told).await;
    }
    let images = daemon.get("/api/images").await.body.to_string();
    assert!(!images.contains(&registry.to_string()), "nothing half-made is listed: {images}");
}
