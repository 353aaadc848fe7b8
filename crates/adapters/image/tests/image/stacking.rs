//! Prepared layers under the file system they are made for.

use std::io::Cursor;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};
use univrs_ports::images::{Images, PullPolicy};

use crate::support::{root, store};

fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn saved(layers: &[Vec<u8>], architecture: &str) -> Vec<u8> {
    let digests: Vec<String> = layers
        .iter()
        .map(|layer| Sha256::digest(layer).iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let diff_ids: Vec<String> = digests.iter().map(|digest| format!("sha256:{digest}")).collect();
    let config = json!({ "architecture": architecture, "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}.tar")).collect();
    let list = json!([{ "Config": "config.json", "RepoTags": ["stack:1"], "Layers": names }]);
    let mut builder = Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    for (name, layer) in names.iter().zip(layers) {
        add(name, layer);
    }
    add("config.json", config.to_string().as_bytes());
    add("manifest.json", list.to_string().as_bytes());
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn stacked_layers_show_what_the_image_holds() {
    let what = "mounting layers with overlayfs";
    if !root(what) {
        return;
    }
    let base = layer(&[
        ("bin/app", "old"),
        ("etc/kept", "kept"),
        ("etc/gone", "x"),
        ("var/cache/a", "x"),
        ("srv/renewed/old", "x"),
    ]);
    let upper = layer(&[
        ("bin/app", "new"),
        ("etc/.wh.gone", ""),
        ("var/cache/.wh..wh..opq", ""),
        ("var/cache/b", "x"),
        ("srv/.wh.renewed", ""),
        ("srv/renewed/new", "x"),
    ]);
    let last = layer(&[("etc/gone", "back")]);
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // The last one comes twice: once below what hides its file, once on top.
    let archive = saved(&[base, last.clone(), upper, last], architecture);
    let (store, dir) = store();
    store.import(Cursor::new(archive), None).await.unwrap();
    let prepared = store.prepare("stack:1", PullPolicy::Never).await.unwrap();
    assert_eq!(prepared.layers.len(), 3);
    let lower: Vec<String> = prepared.layers.iter().rev().map(|layer| layer.display().to_string()).collect();
    let merged = dir.path().join("merged");
    std::fs::create_dir(&merged).unwrap();
    let options = format!("lowerdir={}", lower.join(":"));
    let flags = MsFlags::MS_RDONLY;
    if let Err(error) = mount(Some("overlay"), &merged, Some("overlay"), flags, Some(options.as_str())) {
        println!("SKIPPED without overlayfs: {what}: {error}");
        return;
    }
    let text = |path: &str| std::fs::read_to_string(merged.join(path)).ok();
    let names = |path: &str| {
        let mut names: Vec<String> = std::fs::read_dir(merged.join(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let seen = (
        (text("bin/app"), text("etc/kept"), text("etc/gone")),
        (names("var/cache"), names("srv/renewed"), names("etc")),
    );
    umount2(Path::new(&merged), MntFlags::MNT_DETACH).unwrap();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(seen.0, (some("new"), some("kept"), some("back")));
    assert_eq!(
        seen.1,
        (vec!["b".to_owned()], vec!["new".to_owned()], vec!["gone".to_owned(), "kept".to_owned()])
    );
}
