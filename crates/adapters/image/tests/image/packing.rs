//! Images packed from files and programs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use univrs_image::{FileEntry, SELF_TAG};
use univrs_ports::images::{ImageConfig, ImageError, Images, PullPolicy};

use crate::support::{PATIENCE, config, files_below, leftovers, program, root, small_image, store};

#[tokio::test]
async fn a_built_image_is_listed_prepared_and_removed() {
    let (store, dir) = store();
    let built = small_image(&store, "web:1", "hello").await;
    assert_eq!(store.list().await.unwrap(), std::slice::from_ref(&built));
    assert_eq!(built.reference, "web:1");
    for name in ["web:1", "docker.io/library/web:1", "docker.io/web:1", &built.digest] {
        let prepared = store.prepare(name, PullPolicy::Never).await.unwrap();
        assert_eq!((prepared.reference.as_str(), &prepared.digest), (name, &built.digest));
        assert_eq!(prepared.config, config());
        assert!(!prepared.fetched);
        let text = prepared.layers[0].join("etc/text");
        assert_eq!(std::fs::read_to_string(&text).unwrap(), "hello");
        assert_eq!(text.metadata().unwrap().mtime(), 0);
        assert_eq!(prepared.layers[0].join("link").read_link().unwrap(), Path::new("etc/text"));
        assert_eq!(prepared.layers.len(), 1);
    }
    store.remove("web:1").await.unwrap();
    assert!(store.list().await.unwrap().is_empty());
    let again = store.remove("web:1").await.unwrap_err();
    assert!(matches!(again, ImageError::NotFound { .. }), "{again}");
    assert_eq!(leftovers(&dir), 0);
}

#[tokio::test]
async fn equal_content_has_one_digest_and_packing_again_changes_nothing() {
    let (one, dir) = store();
    let (two, _other) = store();
    let files = || {
        vec![
            FileEntry::bytes("/b", 0o755, vec![7; 3 << 20]),
            FileEntry::bytes("a/deep/file", 0o600, "x"),
            FileEntry::directory("/var/tmp", 0o1777),
        ]
    };
    let first = one.build("x", files(), config()).await.unwrap();
    let before = files_below(dir.path());
    let mut reversed = files();
    reversed.reverse();
    assert_eq!(one.build("x", reversed, config()).await.unwrap(), first);
    assert_eq!(files_below(dir.path()), before);
    assert_eq!(two.build("x", files(), config()).await.unwrap().digest, first.digest);
    let other = one.build("y", vec![FileEntry::bytes("/b", 0o755, "other")], config()).await.unwrap();
    assert_ne!(other.digest, first.digest);
    let layer = &one.prepare("x", PullPolicy::Never).await.unwrap().layers[0];
    let mode = |path: &str| layer.join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("var/tmp"), mode("a/deep/file"), mode("a"), mode("b")), (0o1777, 0o600, 0o755, 0o755));
}

#[tokio::test]
async fn paths_that_cannot_be_in_an_image_are_refused() {
    let (store, dir) = store();
    for path in ["../x", "a/../b", "", "/", "a//b", "etc/.wh.x", "a\0b"] {
        let refused = store.build("x", vec![FileEntry::bytes(path, 0o644, "")], config()).await.unwrap_err();
        assert!(matches!(refused, ImageError::Malformed { .. }), "{path:?}: {refused}");
    }
    let missing = vec![FileEntry::host("/x", 0o644, "/nonexistent")];
    let refused = store.build("x", missing, config()).await.unwrap_err();
    assert!(matches!(refused, ImageError::Storage { .. }), "{refused}");
    assert_eq!(leftovers(&dir), 0);
    assert!(store.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_node_packs_itself() {
    let (store, dir) = store();
    let this = Path::new("/proc/self/exe");
    let begun = Instant::now();
    let made = store.self_image(SELF_TAG, this).await.unwrap();
    let packed = begun.elapsed();
    let prepared = store.prepare("univrs/orchestrator:dev", PullPolicy::IfAbsent).await.unwrap();
    println!("packed {} bytes in {packed:?}, with unpacking {:?}", made.size, begun.elapsed());
    assert_eq!(made.reference, "univrs/orchestrator:dev");
    assert_eq!(prepared.config.entrypoint, ["/univrs", "up"]);
    assert_eq!(prepared.config.env["UNIVRS_API"], "0.0.0.0:8080");
    assert_eq!(prepared.config.env["UNIVRS_ROLE"], "validator");
    assert_eq!(prepared.config.exposed_ports, ["8080/tcp"]);
    assert_eq!(prepared.config.labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    let root = &prepared.layers[0];
    assert_eq!(std::fs::read(root.join("univrs")).unwrap(), std::fs::read(this).unwrap());
    for path in ["etc/passwd", "etc/group", "etc/nsswitch.conf", "proc", "sys", "dev"] {
        assert!(root.join(path).exists(), "{path}");
    }
    assert_eq!(root.join("tmp").metadata().unwrap().permissions().mode() & 0o7777, 0o1777);

    let before = files_below(dir.path());
    assert_eq!(store.self_image(SELF_TAG, this).await.unwrap(), made);
    assert_eq!(files_below(dir.path()), before);
    let copy = dir.path().join("copy");
    std::fs::copy(this, &copy).unwrap();
    let (elsewhere, _dir) = crate::support::store();
    assert_eq!(elsewhere.self_image("other:1", &copy).await.unwrap().digest, made.digest);
}

#[tokio::test]
async fn a_packed_program_runs_on_nothing_else() {
    let what = "running packed programs";
    if !root(what) {
        return;
    }
    let Some(chroot) = program("chroot", what) else { return };
    let (store, _dir) = store();
    for (name, arguments) in [("ls", ["/"].as_slice()), ("id", &["-un"]), ("openssl", &["version"])] {
        let Some(path) = program(name, what) else { continue };
        let tag = format!("tools/{name}:1");
        store.pack_program(&tag, &path, "/program", ImageConfig::default()).await.unwrap();
        let prepared = store.prepare(&tag, PullPolicy::Never).await.unwrap();
        let mut command = Command::new(&chroot);
        command.arg(&prepared.layers[0]).arg("/program").args(arguments).env_clear();
        let mut output = command.output().unwrap();
        // While another test starts a program, that has the files open for writing that were so a moment ago.
        let begun = Instant::now();
        while String::from_utf8_lossy(&output.stderr).contains("Text file busy") && begun.elapsed() < PATIENCE
        {
            output = command.output().unwrap();
        }
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        match name {
            "ls" => assert!(text.lines().any(|line| line == "program"), "{text}"),
            "id" => assert_eq!(text.trim(), "root"),
            _ => assert!(!text.is_empty()),
        }
    }
}

#[tokio::test]
async fn a_static_program_needs_only_itself() {
    let Some(path) = program("busybox", "packing a static program") else { return };
    let (store, _dir) = store();
    store.pack_program("box:1", &path, "/bin/busybox", ImageConfig::default()).await.unwrap();
    let layer = &store.prepare("box:1", PullPolicy::Never).await.unwrap().layers[0];
    assert!(layer.join("bin/busybox").exists());
    let dynamic = std::fs::read_dir(layer).unwrap().any(|entry| entry.unwrap().file_name() == "lib64");
    println!("busybox is {}", if dynamic { "dynamic" } else { "static" });
}

#[tokio::test]
async fn what_is_no_program_is_refused() {
    let (store, dir) = store();
    for path in ["/etc/passwd", "/nonexistent", "/tmp"] {
        let refused = store.self_image("x", Path::new(path)).await.unwrap_err();
        assert!(matches!(refused, ImageError::Storage { .. }), "{path}: {refused}");
    }
    assert_eq!(leftovers(&dir), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_image_prepared_by_many_is_unpacked_once() {
    let (store, dir) = store();
    store.build("x", vec![FileEntry::bytes("/big", 0o644, vec![1; 8 << 20])], config()).await.unwrap();
    small_image(&store, "y", "other").await;
    let tasks = (0..16).map(|turn| {
        let store = store.clone();
        tokio::spawn(async move {
            store.prepare(if turn % 2 == 0 { "x" } else { "y" }, PullPolicy::IfAbsent).await
        })
    });
    let mut layers: Vec<_> = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        layers.extend(task.await.unwrap().unwrap().layers);
    }
    layers.sort();
    layers.dedup();
    assert_eq!(layers.len(), 2);
    assert_eq!(std::fs::read_dir(dir.path().join("images/layers")).unwrap().count(), 2);
    assert_eq!(leftovers(&dir), 0);
}
