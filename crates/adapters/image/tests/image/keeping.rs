//! What stays, what goes, and what a killed process leaves.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use univrs_image::{FileEntry, ImageStore, Options};
use univrs_ports::images::{ImageConfig, ImageError, Images, PullPolicy};

use crate::support::{config, files_below, leftovers, options, root, small_image, store, store_with, until};

fn count(dir: &Path, folder: &str) -> usize {
    std::fs::read_dir(dir.join("images").join(folder)).unwrap().count()
}

#[tokio::test]
async fn only_what_nothing_names_is_collected() {
    let (store, dir) = store();
    let first = small_image(&store, "a:1", "one").await;
    let second = small_image(&store, "b:1", "two").await;
    for name in ["a:1", "b:1"] {
        store.prepare(name, PullPolicy::Never).await.unwrap();
    }
    assert_eq!(store.collect_garbage(&[]).await.unwrap(), 0);
    store.remove("a:1").await.unwrap();
    assert_eq!(store.collect_garbage(std::slice::from_ref(&first.digest)).await.unwrap(), 0);
    assert_eq!((count(dir.path(), "layers"), count(dir.path(), "blobs/sha256")), (2, 6));
    assert!(store.collect_garbage(&[]).await.unwrap() > 0);
    assert_eq!((count(dir.path(), "layers"), count(dir.path(), "blobs/sha256")), (1, 3));
    assert_eq!(store.list().await.unwrap(), [second]);
    store.prepare("b:1", PullPolicy::Never).await.unwrap();
    let gone = store.prepare(&first.digest, PullPolicy::Never).await.unwrap_err();
    assert!(matches!(gone, ImageError::NotFound { .. }), "{gone}");
    assert_eq!(leftovers(&dir), 0);
}

#[tokio::test]
async fn an_image_just_prepared_is_kept_for_a_while() {
    let (store, dir) = store_with(Options { keep_prepared: Duration::from_secs(60), ..options() });
    small_image(&store, "a:1", "one").await;
    store.prepare("a:1", PullPolicy::Never).await.unwrap();
    // The name moves on while a container of the image is being started.
    small_image(&store, "a:1", "two").await;
    assert_eq!(store.collect_garbage(&[]).await.unwrap(), 0);
    assert_eq!(count(dir.path(), "layers"), 1);
}

#[tokio::test]
async fn layers_that_images_share_stay_for_the_other() {
    let (store, dir) = store();
    let files = || vec![FileEntry::bytes("/x", 0o644, "same")];
    store.build("a:1", files(), config()).await.unwrap();
    store.build("b:1", files(), ImageConfig::default()).await.unwrap();
    store.prepare("a:1", PullPolicy::Never).await.unwrap();
    assert_eq!((count(dir.path(), "layers"), count(dir.path(), "blobs/sha256")), (1, 5));
    store.remove("a:1").await.unwrap();
    assert!(store.collect_garbage(&[]).await.unwrap() > 0);
    assert_eq!((count(dir.path(), "layers"), count(dir.path(), "blobs/sha256")), (1, 3));
    store.prepare("b:1", PullPolicy::Never).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn collecting_never_takes_from_those_who_prepare() {
    let (store, _dir) = store();
    let worker = |turn: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..12 {
                let tag = format!("w{turn}:1");
                small_image(&store, &tag, &format!("{}", (turn + round) % 5)).await;
                let prepared = store.prepare(&tag, PullPolicy::Never).await.unwrap();
                assert!(prepared.layers[0].join("etc/text").exists());
                if round % 3 == 0 {
                    store.remove(&tag).await.unwrap();
                }
            }
        })
    };
    let workers: Vec<_> = (0..4).map(worker).collect();
    let collector = store.clone();
    let collecting = tokio::spawn(async move {
        loop {
            collector.collect_garbage(&[]).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for worker in workers {
        worker.await.unwrap();
    }
    collecting.abort();
}

#[tokio::test]
async fn leftovers_of_a_dead_process_are_swept_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("images");
    let digest = {
        let store = ImageStore::open(&path, options()).unwrap();
        let made = small_image(&store, "a:1", "one").await;
        store.prepare("a:1", PullPolicy::Never).await.unwrap();
        made.digest
    };
    std::fs::create_dir_all(path.join("tmp/half/etc")).unwrap();
    std::fs::write(path.join("tmp/half/etc/x"), "half").unwrap();
    std::fs::write(path.join("tmp/blob"), "half").unwrap();
    std::os::unix::fs::symlink("/etc", path.join("tmp/link")).unwrap();
    // While another test starts a program, that has the files of the dead one for a moment.
    let mut living = ImageStore::open(&path, options()).unwrap();
    until("it is swept", async || {
        if count(dir.path(), "tmp") > 0 {
            living = ImageStore::open(&path, options()).unwrap();
        }
        count(dir.path(), "tmp") == 0
    })
    .await;
    assert!(Path::new("/etc/passwd").exists());
    assert_eq!(living.prepare("a:1", PullPolicy::Never).await.unwrap().digest, digest);
    // What a living process makes is left alone.
    std::fs::write(path.join("tmp/mine"), "half").unwrap();
    let second = ImageStore::open(&path, options()).unwrap();
    assert_eq!(count(dir.path(), "tmp"), 1);
    living.remove("a:1").await.unwrap();
    assert_eq!(second.collect_garbage(&[]).await.unwrap(), 0, "the other process may be using it");
    drop(living);
    until("it is collected", async || second.collect_garbage(&[]).await.unwrap() > 0).await;
}

#[tokio::test]
async fn damage_is_noticed_and_repaired_by_making_it_again() {
    let (store, dir) = store();
    let made = small_image(&store, "a:1", "one").await;
    let blob = dir.path().join("images/blobs/sha256").join(made.digest.trim_start_matches("sha256:"));
    std::fs::write(&blob, "damaged").unwrap();
    let gone = store.prepare("a:1", PullPolicy::Never).await.unwrap_err();
    assert!(matches!(gone, ImageError::NotFound { .. }), "{gone}");
    small_image(&store, "a:1", "one").await;
    store.prepare("a:1", PullPolicy::Never).await.unwrap();
    let record = std::fs::read_dir(dir.path().join("images/refs")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(record, "{").unwrap();
    assert!(store.list().await.unwrap().is_empty());
}

/// Runs this test binary again as a process that makes images until it is killed.
#[tokio::test]
async fn a_killed_process_leaves_only_whole_images() {
    const VARIABLE: &str = "UNIVRS_IMAGE_TEST_DIR";
    if let Some(path) = std::env::var_os(VARIABLE) {
        let store = ImageStore::open(Path::new(&path), options()).unwrap();
        // Bounded, in case nobody is left to kill it.
        for turn in 0_u32..100 {
            let bytes: Vec<u8> = (0..3_u32 << 20).map(|at| (at.wrapping_mul(turn + 1) >> 3) as u8).collect();
            let files =
                vec![FileEntry::bytes("/big", 0o644, bytes), FileEntry::bytes("/last", 0o644, "whole")];
            store.build(&format!("t{turn}:1"), files, config()).await.unwrap();
            store.prepare(&format!("t{turn}:1"), PullPolicy::Never).await.unwrap();
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("images");
    for turn in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keeping::a_killed_process_leaves_only_whole_images", "--test-threads=1"])
            .env(VARIABLE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(150 + 37 * turn)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let store = ImageStore::open(&path, options()).unwrap();
        assert_eq!(count(dir.path(), "tmp"), 0);
        for image in store.list().await.unwrap() {
            let prepared = store.prepare(&image.reference, PullPolicy::Never).await.unwrap();
            assert_eq!(std::fs::read_to_string(prepared.layers[0].join("last")).unwrap(), "whole");
            store.remove(&image.reference).await.unwrap();
        }
        store.collect_garbage(&[]).await.unwrap();
        assert_eq!((count(dir.path(), "layers"), count(dir.path(), "blobs/sha256")), (0, 0));
    }
}

#[tokio::test]
async fn a_full_disk_is_a_storage_error_and_leaves_nothing() {
    if !root("filling a disk") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, kind, size) = (Some("none"), Some("tmpfs"), Some("size=2m"));
    if let Err(error) = mount(source, dir.path(), kind, MsFlags::empty(), size) {
        println!("SKIPPED without the right to mount: filling a disk: {error}");
        return;
    }
    let store = ImageStore::open(&dir.path().join("images"), options()).unwrap();
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    });
    let noise: Vec<u8> = noise.take(4 << 20).collect();
    let full = store.build("big:1", vec![FileEntry::bytes("/x", 0o644, noise)], config()).await;
    // What was written so far goes when its writer has noticed.
    until("nothing is left of it", async || leftovers(&dir) == 0).await;
    // Packed it fits, unpacked it does not.
    store.build("zeros:1", vec![FileEntry::bytes("/x", 0o644, vec![0; 4 << 20])], config()).await.unwrap();
    let unpacked = store.prepare("zeros:1", PullPolicy::Never).await;
    until("nothing is left of it", async || leftovers(&dir) == 0).await;
    let left = (leftovers(&dir), files_below(&dir.path().join("images/layers")).len());
    small_image(&store, "small:1", "still works").await;
    let works = store.prepare("small:1", PullPolicy::Never).await;
    drop(store);
    umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
    for failed in [full.map(|_| ()), unpacked.map(|_| ())] {
        let error = failed.unwrap_err();
        assert!(
            matches!(&error, ImageError::Storage { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
            "{error:?}"
        );
    }
    assert_eq!(left, (0, 0));
    works.unwrap();
}
