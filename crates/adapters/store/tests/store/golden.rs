//! Logs live long: a log written by the first version replays to the same state for ever.
//!
//! `golden/v1` was written by `write_the_golden_log` below. When the format or the meaning of a command
//! changes, the old files stay and a new directory is added.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use univrs_ports::store::{
    ClusterId, Consistency, Guard, Key, MemberId, Op, Prefix, RequestId, StateStore, Txn,
};
use univrs_store::{Options, RaftStore};

use crate::support::{key, put};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn options(dir: &Path) -> Options {
    Options { cluster_id: Some(ClusterId(0x601d)), bootstrap: true, ..Options::new(dir, MemberId(1)) }
}

fn facts(store: &RaftStore) -> String {
    format!("revision {}, digest {:#018x}\n", store.revision(), store.digest())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn the_first_versions_log_replays_to_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(), dir.path());
    let store = RaftStore::open(options(dir.path())).await.unwrap();
    assert_eq!(facts(&store), fs::read_to_string(golden().join("FACTS")).unwrap());
    let long = store.get(&key("leased"), Consistency::LOCAL).await.unwrap().unwrap();
    assert!(long.lease.is_some());
}

/// Writes one of everything. Run with `UNIVRS_WRITE_GOLDEN=1` once per format version.
#[tokio::test]
async fn write_the_golden_log() {
    if std::env::var_os("UNIVRS_WRITE_GOLDEN").is_none() {
        return;
    }
    assert!(!golden().exists(), "golden files are never rewritten");
    let store = RaftStore::open(options(&golden())).await.unwrap();
    let request = RequestId { client: 0xabc, sequence: 1 };
    let first = put(&store, "a", "1").await;
    store.txn(Txn::compare_and_set(key("a"), first, "2").with_request(request)).await.unwrap();
    store.txn(Txn::create(key("a"), "no").with_request(RequestId { sequence: 2, ..request })).await.unwrap();
    store.txn(Txn::put(key("a"), "again").with_request(request)).await.unwrap();
    for number in 0..20 {
        put(&store, &format!("many/{number:02}"), vec![number; 50]).await;
    }
    store.txn(Txn::default().then(Op::DeletePrefix(Prefix::new("many/1")))).await.unwrap();
    store.txn(Txn::delete(key("many/05")).when(Guard::Exists(key("many/05")))).await.unwrap();
    let long = store.lease_grant(Duration::from_secs(86_400)).await.unwrap().id;
    let short = store.lease_grant(Duration::from_secs(3600)).await.unwrap().id;
    let attach =
        |name: &str, lease| Op::Put { key: Key::new(name).unwrap(), value: "x".into(), lease: Some(lease) };
    let txn = Txn::default()
        .when(Guard::LeaseAlive(short))
        .then(attach("leased", long))
        .then(attach("gone", short));
    store.txn(txn).await.unwrap();
    store.lease_revoke(short).await.unwrap();
    let expiring = store.lease_grant(Duration::from_millis(100)).await.unwrap().id;
    store.txn(Txn::default().then(attach("expired", expiring))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(store.get(&key("expired"), Consistency::LOCAL).await.unwrap().is_none());
    let facts = facts(&store);
    store.close().await;
    fs::remove_file(golden().join("LOCK")).unwrap();
    fs::write(golden().join("FACTS"), facts).unwrap();
}
