//! What the tests share.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use univrs_ports::store::{Key, MemberId, Revision, StateStore, Txn};
use univrs_store::{Options, RaftStore};

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) fn single(dir: &Path) -> Options {
    Options { bootstrap: true, ..Options::new(dir, MemberId(1)) }
}

pub(crate) async fn open_single(dir: &Path) -> RaftStore {
    RaftStore::open(single(dir)).await.unwrap()
}

pub(crate) async fn put(store: &RaftStore, name: &str, value: impl Into<bytes::Bytes>) -> Revision {
    store.txn(Txn::put(key(name), value)).await.unwrap().committed().unwrap()
}

/// Waits until `done` holds, and says what it waited for when it does not.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !done().await {
        assert!(start.elapsed() < Duration::from_secs(20), "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn shared(store: &RaftStore) -> Arc<dyn StateStore> {
    Arc::new(store.clone())
}
