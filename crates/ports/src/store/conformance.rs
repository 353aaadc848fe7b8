//! What every store must do, as executable text. Adapters call [`all`] from their tests.
//!
//! Every check works under a prefix of its own, so one store can serve them all, in any order, and a check
//! may be repeated on a store that already has data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::StreamExt;

use super::{
    Consistency, Error, Guard, Key, LeaseId, Limits, Op, Page, Prefix, RangeOut, RequestId, Result, Revision,
    StateStore, StoredValue, Txn, TxnOutcome, WatchBatch, WatchEvent, WatchStream,
};

/// How long anything may take that has to happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

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

/// Asks as long as the answer is to ask again: on a busy machine there may be no leader for a while.
async fn persist<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_retryable() && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answer => return answer,
        }
    }
}

/// A request that was not made before, not even by another process.
fn request() -> RequestId {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    RequestId { client: now << 64 | u128::from(NUMBER.fetch_add(1, Ordering::Relaxed)), sequence: 0 }
}

/// The answer to a transaction, which has a request id so that it can be repeated until there is one.
async fn answer(store: &dyn StateStore, txn: Txn) -> Result<TxnOutcome> {
    let txn = if txn.request.is_some() { txn } else { txn.with_request(request()) };
    persist(|| store.txn(txn.clone())).await
}

async fn commit(store: &dyn StateStore, txn: Txn) -> Revision {
    let outcome = answer(store, txn).await.expect("the transaction is answered");
    outcome.committed().unwrap_or_else(|| panic!("the transaction must commit, was {outcome:?}"))
}

async fn read(store: &dyn StateStore, key: &Key, consistency: Consistency) -> Option<StoredValue> {
    persist(|| store.get(key, consistency)).await.expect("a read")
}

async fn value(store: &dyn StateStore, key: &Key) -> Option<Bytes> {
    read(store, key, Consistency::Linearizable).await.map(|stored| stored.value)
}

async fn range(store: &dyn StateStore, prefix: &Prefix, page: Page, consistency: Consistency) -> RangeOut {
    persist(|| store.range(prefix, page.clone(), consistency)).await.expect("a range")
}

async fn watch(store: &dyn StateStore, prefix: &Prefix, from: Revision) -> WatchStream {
    persist(|| store.watch(prefix, from)).await.expect("a watch")
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
    let stored =
        read(store, &key, Consistency::Local { min_revision: Some(second) }).await.expect("the value");
    assert_eq!((stored.value.as_ref(), stored.version), (&b"2"[..], 2));
    assert_eq!((stored.create_revision, stored.mod_revision, stored.lease), (first, second, None));

    let deleted = commit(store, Txn::delete(key.clone())).await;
    assert!(deleted > second);
    assert_eq!(value(store, &key).await, None);
    let unchanged = commit(store, Txn::delete(key.clone())).await;
    assert!(unchanged >= deleted, "a change of nothing reports the revision of that moment");

    let again = commit(store, Txn::create(key.clone(), "3")).await;
    let stored = read(store, &key, Consistency::Linearizable).await.expect("the value");
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
        let outcome = answer(store, txn).await.expect("an answer");
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
        let stored = read(store, key, Consistency::Linearizable).await.expect("the value");
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
    let first = answer(store, create.clone()).await.expect("an answer");
    assert!(first.committed().is_some());
    assert_eq!(answer(store, create.clone()).await.expect("an answer"), first, "not a failed guard");
    commit(store, Txn::delete(key.clone()).with_request(request(2))).await;
    assert_eq!(answer(store, create).await.expect("an answer"), first);
    assert_eq!(value(store, &key).await, None, "the repetition did not create the key again");
    let failing = Txn::put(key.clone(), "2").when(Guard::Exists(key.clone())).with_request(request(3));
    let failed = answer(store, failing.clone()).await.expect("an answer");
    commit(store, Txn::put(key.clone(), "3")).await;
    assert_eq!(
        answer(store, failing).await.expect("an answer"),
        failed,
        "a failed guard is remembered as well"
    );
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
    let whole = range(store, &prefix, Page::all(), Consistency::Linearizable).await;
    assert_eq!((whole.items.len(), whole.next), (25, None));
    assert!(whole.revision >= revision);
    assert!(whole.items.is_sorted_by(|a, b| a.key < b.key));
    let (mut page, mut paged) = (Page::first(10), Vec::new());
    loop {
        let out = range(store, &prefix, page, Consistency::Local { min_revision: Some(revision) }).await;
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
    let mut early = watch(&**store, &scope, before).await;
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
    let mut late = watch(&**store, &scope, before).await;
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
    let range = range(&**store, &scope, Page::all(), Consistency::Linearizable).await;
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
                let stored = read(&*store, &key, here).await.expect("the counter");
                let count: u64 = std::str::from_utf8(&stored.value).expect("text").parse().expect("a number");
                let txn = Txn::compare_and_set(key.clone(), stored.mod_revision, (count + 1).to_string());
                let outcome = answer(&*store, txn).await.expect("an answer");
                won += u64::from(outcome.committed().is_some());
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("the task ends");
    }
    assert_eq!(value(&**store, &key).await.as_deref(), Some(&b"40"[..]));
}

fn attach(key: &Key, lease: LeaseId) -> Txn {
    Txn::default().then(Op::Put { key: key.clone(), value: "x".into(), lease: Some(lease) })
}

/// A lease of this life that was kept alive for longer than that, and the revision at which the key was attached to it.
/// Nothing when this machine stood still for so long that the lease may have ended.
async fn kept_alive(store: &dyn StateStore, key: &Key, life: Duration) -> Option<(LeaseId, Revision)> {
    let mut renewed = Instant::now();
    let lease = persist(|| store.lease_grant(life)).await.expect("a lease").id;
    let attached = match answer(store, attach(key, lease)).await {
        Err(Error::LeaseNotFound { .. }) if renewed.elapsed() >= life => return None,
        outcome => outcome.expect("an answer").committed().expect("it commits"),
    };
    for _ in 0..4 {
        tokio::time::sleep(life.mul_f64(0.3)).await;
        let asked = Instant::now();
        match persist(|| store.lease_keep_alive(lease)).await {
            Err(Error::LeaseNotFound { .. }) if renewed.elapsed() >= life => return None,
            kept => drop(kept.expect("the lease lives while kept alive")),
        }
        renewed = asked;
    }
    let there = value(store, key).await.is_some();
    assert!(there || renewed.elapsed() >= life, "the key went before the lease");
    there.then_some((lease, attached))
}

/// Leases delete their keys when they end, live on when kept alive, and guard writes.
pub async fn leases_end(store: &dyn StateStore, prefix: &str) {
    let (short, long) = (key(prefix, "short"), key(prefix, "long"));
    let scope = Prefix::new(prefix);
    let lasting = persist(|| store.lease_grant(Duration::from_secs(3600))).await.expect("a lease").id;
    commit(store, attach(&long, lasting).when(Guard::LeaseAlive(lasting))).await;
    let mut life = Duration::from_secs(2);
    let (brief, from) = loop {
        match kept_alive(store, &short, life).await {
            Some(kept) => break kept,
            None => life *= 2,
        }
        assert!(life < PATIENCE, "no lease lives while kept alive");
    };
    assert_ne!(brief, lasting);
    let mut watch = watch(store, &scope, from).await;
    let batch = next(&mut watch).await;
    assert_eq!(batch.events, [WatchEvent::Delete { key: short.clone() }]);
    let kept = persist(|| store.lease_keep_alive(brief)).await;
    assert!(matches!(kept, Err(Error::LeaseNotFound { .. })), "{kept:?}");
    let attached = answer(store, attach(&short, brief)).await;
    assert!(matches!(attached, Err(Error::LeaseNotFound { .. })), "{attached:?}");
    let guarded = answer(store, Txn::put(short, "y").when(Guard::LeaseAlive(brief))).await;
    let failed = TxnOutcome::GuardFailed { index: 0, key: None, actual_mod_revision: None };
    assert_eq!(guarded.expect("an answer"), failed);

    commit(store, Txn::put(key(prefix, "detached"), "x")).await;
    // When no answer came the first time it may be gone already.
    let revoked = persist(|| store.lease_revoke(lasting)).await;
    assert!(matches!(revoked, Ok(()) | Err(Error::LeaseNotFound { .. })), "{revoked:?}");
    assert_eq!(value(store, &long).await, None);
    let again = persist(|| store.lease_revoke(lasting)).await;
    assert!(matches!(again, Err(Error::LeaseNotFound { .. })), "{again:?}");
    assert!(matches!(store.lease_grant(Duration::ZERO).await, Err(Error::InvalidTtl { .. })));
}

/// A snapshot says what it contains.
pub async fn snapshots_are_written(store: &dyn StateStore, prefix: &str) {
    let revision = commit(store, Txn::put(key(prefix, "a"), "1")).await;
    let mut written = Vec::new();
    let here = Consistency::Local { min_revision: Some(revision) };
    read(store, &key(prefix, "a"), here).await;
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
