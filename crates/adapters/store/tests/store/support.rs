//! What the tests share.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use univrs_ports::store::{Key, MemberId, RequestId, Revision, StateStore, Txn};
use univrs_store::{Options, RaftStore};

/// How long anything may take that has to happen, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// An address of the loopback network that nobody else has, so that nobody takes a port of it while it is let go of.
pub(crate) fn host() -> String {
    let (first, second) = (rand::random_range(1..255), rand::random::<u8>());
    format!("127.{first}.{second}.{}", rand::random_range(1..255))
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) fn single(dir: &Path) -> Options {
    Options { bootstrap: true, request_timeout: PATIENCE, ..Options::new(dir, MemberId(1)) }
}

pub(crate) async fn open_single(dir: &Path) -> RaftStore {
    RaftStore::open(single(dir)).await.unwrap()
}

/// Writes, as often as it takes: a machine that stood still may have to find a leader first.
pub(crate) async fn put(store: &RaftStore, name: &str, value: impl Into<bytes::Bytes>) -> Revision {
    let request = RequestId { client: rand::random(), sequence: 0 };
    let txn = Txn::put(key(name), value).with_request(request);
    let begun = Instant::now();
    loop {
        match store.txn(txn.clone()).await {
            Err(error) if error.is_retryable() && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome.unwrap().committed().unwrap(),
        }
    }
}

/// Waits until `done` holds, and says what it waited for when it does not.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !done().await {
        assert!(start.elapsed() < PATIENCE, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn shared(store: &RaftStore) -> Arc<dyn StateStore> {
    Arc::new(store.clone())
}
