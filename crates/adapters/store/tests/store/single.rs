//! One voter: open, write, read, watch, reopen.

use std::time::Duration;

use univrs_ports::store::{Consistency, Error, MemberId, StateStore, conformance};
use univrs_store::{Options, RaftStore, restore};

use crate::support::{key, open_single, put, shared, single};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_single(dir.path()).await;
    conformance::all(shared(&store)).await;
    store.close().await;
    assert!(matches!(store.get(&key("a"), Consistency::Linearizable).await, Err(Error::Closed)));
}

#[tokio::test]
async fn reopening_gives_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_single(dir.path()).await;
    for number in 0..20 {
        put(&store, &format!("k{}", number % 7), number.to_string()).await;
    }
    let (digest, revision) = (store.digest(), store.revision());
    assert!(matches!(RaftStore::open(single(dir.path())).await, Err(Error::Locked { .. })));
    store.close().await;
    drop(store);
    let store = open_single(dir.path()).await;
    assert_eq!((store.digest(), store.revision()), (digest, revision));
    put(&store, "more", "x").await;
}

/// Whoever is the only member has nobody to send heartbeats to. A busy machine wakes a thread later, never more often.
#[test]
fn with_nothing_to_do_it_seldom_wakes() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open_single(dir.path()).await;
        // What follows the start is over.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let metrics = tokio::runtime::Handle::current().metrics();
        let before = metrics.worker_park_count(0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let woke = metrics.worker_park_count(0) - before;
        assert!(
            woke < 40,
            "the thread woke {woke} times in two seconds; the clock of raft alone does so 100 times"
        );
        put(&store, "still", "here").await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_restores_as_a_new_cluster() {
    let (dir, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_single(dir.path()).await;
    for number in 0..300 {
        put(&store, &format!("k{number:03}"), vec![7; 5000]).await;
    }
    let file = new.path().join("backup");
    let mut writer = tokio::fs::File::create(&file).await.unwrap();
    let meta = store.snapshot(&mut writer).await.unwrap();
    assert_eq!(meta.keys, 300);
    let root = new.path().join("store");
    let cluster = restore(&file, &root, MemberId(5), "here".to_owned(), None).unwrap();
    assert_ne!(cluster, store.cluster_id());
    assert!(restore(&file, &root, MemberId(5), String::new(), None).is_err(), "never over something");
    for _ in 0..2 {
        let restored = RaftStore::open(Options::new(&root, MemberId(5))).await.unwrap();
        assert_eq!(
            (restored.cluster_id(), restored.get(&key("k299"), Consistency::LOCAL).await.unwrap()),
            (cluster, store.get(&key("k299"), Consistency::LOCAL).await.unwrap())
        );
        put(&restored, "more", "x").await;
        restored.close().await;
    }

    let whole = std::fs::read(&file).unwrap();
    for at in [3, 9, 40, whole.len() / 2, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let refused = restore(&file, &new.path().join("other"), MemberId(1), String::new(), None);
        assert!(
            matches!(refused, Err(Error::Corrupt { .. } | Error::NewerFormat { .. })),
            "{at}: {refused:?}"
        );
    }
    std::fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let refused = restore(&file, &new.path().join("other"), MemberId(1), String::new(), None);
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}
