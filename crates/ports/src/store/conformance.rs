//! What every store must do, as executable text. Adapters call [`all`] from their tests.
//!
//! Every check works under a prefix of its own, so one store can serve them all, in any order, and a check
//! may be repeated on a store that already has data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use super::{
    Consistency, Error, Guard, Key, LeaseId, Limits, Op, Page, Prefix, RequestId, Revision, StateStore, Txn,
    TxnOutcome, WatchBatch, WatchEvent, WatchStream,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every check. Panics at the first deviation.
pub async fn all(store: Arc<dyn StateStore>) {
    let tag = format!("conformance-{}", store.revision());
    put_get_delete(&*store, &format!("{tag}/put/")).await;
    guards(&*store, &format!("{tag}/guards/")).await;
    transactions_are_atomic(&*store, &format!("{tag}/atomic/")).await;
    requests_run_once(&*store, &format!("{tag}/once/")).await;
    limits(&*store, &format!("{tag}/limits/")).await;
    ranges_are_paged(&*store, &format!("{tag}/range/")).await;
    watch_sees_every_change(&store, &format!("{tag}/watch/")).await;
    compare_and_set_is_exclusive(&store, &format!("{tag}/cas/")).await;
    leases_end(&*store, &format!("{tag}/lease/")).await;
    snapshots_are_written(&*store, &format!("{tag}/snapshot/")).await;
}

fn key(prefix: &str, name: &str) -> Key {
    Key::new(format!("{prefix}{name}")).expect("a valid key")
}

async fn commit(store: &dyn StateStore, txn: Txn) -> Revision {
    let outcome = store.txn(txn).await.expect("the transaction is answered");
    outcome.committed().unwrap_or_else(|| panic!("the transaction must commit, was {outcome:?}"))
}

async fn value(store: &dyn StateStore, key: &Key) -> Option<Bytes> {
    store.get(key, Consistency::Linearizable).await.expect("a read").map(|stored| stored.value)
}

async fn next(stream: &mut WatchStream) -> WatchBatch {
    let item = tokio::time::timeout(PATIENCE, stream.next()).await.expect("the watch yields in time");
    item.expect("the watch goes on").expect("the watch does not fail")
}

/// Values carry their revisions; deleting removes them and a new life starts at version one.
pub async fn put_get_delete(store: &dyn StateStore, prefix: &str) {
    let key = key(prefix, "a");
    assert_eq!(value(store, &key).await, None);
    let first = commit(store, Txn::put(key.clone(), "1")).await;
    let second = commit(store, Txn::put(key.clone(), "2")).await;
    assert!(second > first, "revisions grow");
    let stored = store
        .get(&key, Consistency::Local { min_revision: Some(second) })
        .await
        .expect("a read")
        .expect("the value");
    assert_eq!((stored.value.as_ref(), stored.version), (&b"2"[..], 2));
    assert_eq!((stored.create_revision, stored.mod_revision, stored.lease), (first, second, None));

    let deleted = commit(store, Txn::delete(key.clone())).await;
    assert!(deleted > second);
    assert_eq!(value(store, &key).await, None);
    let unchanged = commit(store, Txn::delete(key.clone())).await;
    assert!(unchanged >= deleted, "a change of nothing reports the revision of that moment");

    let again = commit(store, Txn::create(key.clone(), "3")).await;
    let stored = store.get(&key, Consistency::Linearizable).await.expect("a read").expect("the value");
    assert_eq!((stored.create_revision, stored.version), (again, 1));
}

/// Each guard holds exactly when it says so, and a failed one names the key and its revision.
pub async fn guards(store: &dyn StateStore, prefix: &str) {
    let (here, gone) = (key(prefix, "here"), key(prefix, "gone"));
    let revision = commit(store, Txn::create(here.clone(), "x")).await;
    let holds = [
        Guard::ModRevision(here.clone(), revision),
        Guard::Exists(here.clone()),
        Guard::Absent(gone.clone()),
    ];
    for guard in holds {
        commit(store, Txn::default().when(guard)).await;
    }
    let fails = [
        (Guard::ModRevision(here.clone(), Revision(revision.0 + 1)), Some(here.clone()), Some(revision)),
        (Guard::ModRevision(gone.clone(), revision), Some(gone.clone()), None),
        (Guard::Exists(gone.clone()), Some(gone.clone()), None),
        (Guard::Absent(here.clone()), Some(here.clone()), Some(revision)),
        (Guard::LeaseAlive(LeaseId(u64::MAX)), None, None),
    ];
    for (guard, key, actual_mod_revision) in fails {
        let txn = Txn::put(gone.clone(), "no").when(Guard::Exists(here.clone())).when(guard);
        let outcome = store.txn(txn).await.expect("an answer");
        assert_eq!(outcome, TxnOutcome::GuardFailed { index: 1, key, actual_mod_revision });
    }
    assert_eq!(value(store, &gone).await, None, "a failed guard applies nothing");
}

/// All operations of a transaction share one revision, apply in order, and the last one on a key decides.
pub async fn transactions_are_atomic(store: &dyn StateStore, prefix: &str) {
    let (a, b, c) = (key(prefix, "a"), key(prefix, "b"), key(prefix, "sub/c"));
    let txn = Txn::put(a.clone(), "1").then(put(&b, "1")).then(put(&c, "1")).then(put(&a, "2"));
    let revision = commit(store, txn).await;
    for key in [&a, &b, &c] {
        let stored = store.get(key, Consistency::Linearizable).await.expect("a read").expect("the value");
        assert_eq!((stored.mod_revision, stored.version), (revision, 1));
    }
    assert_eq!(value(store, &a).await.as_deref(), Some(&b"2"[..]));
    let txn = Txn::default()
        .then(Op::DeletePrefix(Prefix::new(format!("{prefix}sub/"))))
        .then(Op::Delete(b.clone()))
        .then(put(&c, "3"));
    commit(store, txn).await;
    assert_eq!((value(store, &b).await, value(store, &c).await), (None, Some(Bytes::from_static(b"3"))));
}

fn put(key: &Key, value: &'static str) -> Op {
    Op::Put { key: key.clone(), value: Bytes::from_static(value.as_bytes()), lease: None }
}

/// A repeated request returns its first outcome and changes nothing (STORE-5).
pub async fn requests_run_once(store: &dyn StateStore, prefix: &str) {
    let key = key(prefix, "a");
    let client = u128::from(store.revision().0) << 64 | 0xc0ff_ee00;
    let request = |sequence| RequestId { client, sequence };
    let create = Txn::create(key.clone(), "1").with_request(request(1));
    let first = store.txn(create.clone()).await.expect("an answer");
    assert!(first.committed().is_some());
    assert_eq!(store.txn(create.clone()).await.expect("an answer"), first, "not a failed guard");
    commit(store, Txn::delete(key.clone()).with_request(request(2))).await;
    assert_eq!(store.txn(create).await.expect("an answer"), first);
    assert_eq!(value(store, &key).await, None, "the repetition did not create the key again");
    let failing = Txn::put(key.clone(), "2").when(Guard::Exists(key.clone())).with_request(request(3));
    let failed = store.txn(failing.clone()).await.expect("an answer");
    commit(store, Txn::put(key.clone(), "3")).await;
    assert_eq!(store.txn(failing).await.expect("an answer"), failed, "a failed guard is remembered as well");
}

/// What is too large is refused before it is written.
pub async fn limits(store: &dyn StateStore, prefix: &str) {
    let key = key(prefix, "a");
    let limits = Limits::DEFAULT;
    commit(store, Txn::put(key.clone(), vec![7; limits.value_bytes])).await;
    let too_large = store.txn(Txn::put(key.clone(), vec![7; limits.value_bytes + 1])).await;
    assert!(matches!(too_large, Err(Error::TooLarge { what: "value", .. })), "{too_large:?}");
    let mut txn = Txn::default();
    for _ in 0..5 {
        txn = txn.then(Op::Put { key: key.clone(), value: vec![7; limits.value_bytes].into(), lease: None });
    }
    assert!(matches!(store.txn(txn).await, Err(Error::TooLarge { what: "transaction", .. })));
    assert!(matches!(Key::new("x".repeat(limits.key_bytes + 1)), Err(Error::TooLarge { what: "key", .. })));
    assert!(matches!(Key::new(""), Err(Error::InvalidKey { .. })));
    assert_eq!(value(store, &key).await.map(|value| value.len()), Some(limits.value_bytes));
}

/// Ranges are in key order, bounded by the prefix, and pages join without gap or overlap.
pub async fn ranges_are_paged(store: &dyn StateStore, prefix: &str) {
    let mut revision = Revision(0);
    for number in 0..25 {
        revision = commit(store, Txn::put(key(prefix, &format!("k{number:02}")), number.to_string())).await;
    }
    let neighbour = format!("{}0", &prefix[..prefix.len() - 1]);
    commit(store, Txn::put(key(&neighbour, "x"), "not in the range")).await;
    let prefix = Prefix::new(prefix);
    let whole = store.range(&prefix, Page::all(), Consistency::Linearizable).await.expect("a range");
    assert_eq!((whole.items.len(), whole.next), (25, None));
    assert!(whole.revision >= revision);
    assert!(whole.items.is_sorted_by(|a, b| a.key < b.key));
    let (mut page, mut paged) = (Page::first(10), Vec::new());
    loop {
        let out = store.range(&prefix, page, Consistency::LOCAL).await.expect("a page");
        assert!(out.items.len() <= 10);
        paged.extend(out.items);
        match out.next {
            Some(next) => page = Page { after: Some(next), limit: 10 },
            None => break,
        }
    }
    assert_eq!(paged, whole.items);
}

/// Watching from a revision and applying what comes gives the same as reading (STORE-4).
pub async fn watch_sees_every_change(store: &Arc<dyn StateStore>, prefix: &str) {
    let before = commit(&**store, Txn::put(key(prefix, "before"), "1")).await;
    let scope = Prefix::new(prefix);
    let mut early = store.watch(&scope, before).await.expect("a watch");
    let writer = tokio::spawn({
        let (store, prefix) = (Arc::clone(store), prefix.to_owned());
        async move {
            let mut last = before;
            for number in 0..100_u32 {
                let name = key(&prefix, &format!("k{}", number % 7));
                let txn = match number % 5 {
                    4 => Txn::delete(name).then(put(&key(&prefix, "always"), "x")),
                    _ => Txn::put(name, number.to_string()).then(put(&key(&prefix, "twin"), "y")),
                };
                last = commit(&*store, txn).await;
            }
            last
        }
    });
    let first = next(&mut early).await;
    let mut late = store.watch(&scope, before).await.expect("a watch from the past");
    let last = writer.await.expect("the writer ends");
    let mut seen = BTreeMap::new();
    let mut previous = before;
    let mut batch = first;
    loop {
        assert!(batch.revision > previous, "revisions are neither repeated nor reordered");
        previous = batch.revision;
        assert_eq!(next(&mut late).await, batch, "two watches agree");
        for event in batch.events {
            match event {
                WatchEvent::Put { key, value } => {
                    assert_eq!(value.mod_revision, batch.revision, "a batch does not mix revisions");
                    seen.insert(key, value);
                }
                WatchEvent::Delete { key } => {
                    seen.remove(&key);
                }
            }
        }
        if previous >= last {
            break;
        }
        batch = next(&mut early).await;
    }
    let range = store.range(&scope, Page::all(), Consistency::Linearizable).await.expect("a range");
    let mut expected: BTreeMap<_, _> = range.items.into_iter().map(|item| (item.key, item.value)).collect();
    expected.remove(&key(prefix, "before"));
    assert_eq!(seen, expected);
}

/// Of many concurrent compare-and-set transactions on one revision exactly one wins.
pub async fn compare_and_set_is_exclusive(store: &Arc<dyn StateStore>, prefix: &str) {
    let key = key(prefix, "counter");
    let start = commit(&**store, Txn::put(key.clone(), "0")).await;
    let here = Consistency::Local { min_revision: Some(start) };
    let tasks = (0..8).map(|_| {
        let (store, key) = (Arc::clone(store), key.clone());
        tokio::spawn(async move {
            let mut won = 0;
            while won < 5 {
                let stored = store.get(&key, here).await.expect("a read").expect("the counter");
                let count: u64 = std::str::from_utf8(&stored.value).expect("text").parse().expect("a number");
                let txn = Txn::compare_and_set(key.clone(), stored.mod_revision, (count + 1).to_string());
                won += u64::from(store.txn(txn).await.expect("an answer").committed().is_some());
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("the task ends");
    }
    assert_eq!(value(&**store, &key).await.as_deref(), Some(&b"40"[..]));
}

/// Leases delete their keys when they end, live on when kept alive, and guard writes.
pub async fn leases_end(store: &dyn StateStore, prefix: &str) {
    let (short, long) = (key(prefix, "short"), key(prefix, "long"));
    let scope = Prefix::new(prefix);
    let brief = store.lease_grant(Duration::from_secs(2)).await.expect("a lease").id;
    let lasting = store.lease_grant(Duration::from_secs(60)).await.expect("a lease").id;
    assert_ne!(brief, lasting);
    let attach = |key: &Key, lease| {
        Txn::default().then(Op::Put { key: key.clone(), value: "x".into(), lease: Some(lease) })
    };
    commit(store, attach(&short, brief)).await;
    let from = commit(store, attach(&long, lasting).when(Guard::LeaseAlive(lasting))).await;
    let mut watch = store.watch(&scope, from).await.expect("a watch");
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        store.lease_keep_alive(brief).await.expect("the lease lives while kept alive");
    }
    assert!(value(store, &short).await.is_some());
    let batch = next(&mut watch).await;
    assert_eq!(batch.events, [WatchEvent::Delete { key: short.clone() }]);
    assert!(matches!(store.lease_keep_alive(brief).await, Err(Error::LeaseNotFound { .. })));
    assert!(matches!(store.txn(attach(&short, brief)).await, Err(Error::LeaseNotFound { .. })));
    let guarded = store.txn(Txn::put(short, "y").when(Guard::LeaseAlive(brief))).await.expect("an answer");
    assert_eq!(guarded, TxnOutcome::GuardFailed { index: 0, key: None, actual_mod_revision: None });

    commit(store, Txn::put(key(prefix, "detached"), "x")).await;
    store.lease_revoke(lasting).await.expect("revoked");
    assert_eq!(value(store, &long).await, None);
    assert!(matches!(store.lease_revoke(lasting).await, Err(Error::LeaseNotFound { .. })));
    assert!(matches!(store.lease_grant(Duration::ZERO).await, Err(Error::InvalidTtl { .. })));
}

/// A snapshot says what it contains.
pub async fn snapshots_are_written(store: &dyn StateStore, prefix: &str) {
    let revision = commit(store, Txn::put(key(prefix, "a"), "1")).await;
    let mut written = Vec::new();
    let here = Consistency::Local { min_revision: Some(revision) };
    store.get(&key(prefix, "a"), here).await.expect("a read");
    let meta = store.snapshot(&mut written).await.expect("a snapshot");
    assert!(meta.revision >= revision && meta.keys >= 1);
    assert_eq!(meta.bytes, written.len() as u64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn the_fake_conforms() {
        all(Arc::new(MemoryStore::new())).await;
    }

    #[tokio::test]
    async fn a_watch_that_falls_behind_is_told_so() {
        let store = MemoryStore::with_history(1000);
        let mut watch = store.watch(&Prefix::all(), Revision(0)).await.expect("a watch");
        for number in 0..50 {
            commit(&store, Txn::put(key("", "a"), number.to_string())).await;
        }
        let item = watch.next().await.expect("an item");
        let Err(super::super::WatchError::Compacted { oldest }) = item else { panic!("was {item:?}") };
        assert!(watch.next().await.is_none());
        assert!(matches!(store.watch(&Prefix::all(), Revision(0)).await, Err(Error::Compacted { .. })));
        let mut again = store.watch(&Prefix::all(), oldest).await.expect("a watch from the floor");
        assert_eq!(next(&mut again).await.revision, Revision(oldest.0 + 1));
    }

    #[tokio::test]
    async fn a_quiet_watch_gets_a_bookmark() {
        let store = MemoryStore::new();
        let mut watch = store.watch(&Prefix::new("quiet/"), Revision(0)).await.expect("a watch");
        for number in 0..1030 {
            commit(&store, Txn::put(key("", "loud"), number.to_string())).await;
        }
        let batch = next(&mut watch).await;
        assert!(batch.events.is_empty() && batch.revision >= Revision(1024));
    }
}
