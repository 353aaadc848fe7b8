//! Properties that hold for any sequence of transactions.

use std::collections::BTreeMap;

use futures::StreamExt;
use proptest::prelude::*;
use univrs_ports::store::{
    Command, Guard, Key, Machine, MemoryStore, Op, Page, Prefix, Record, RequestId, Response, Revision,
    StateStore, StoredValue, Txn, WatchEvent,
};

use crate::support::key;

fn keys() -> impl Strategy<Value = Key> {
    (0..3_u8, 0..4_u8).prop_map(|(dir, name)| key(&format!("{dir}/{name}")))
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (keys(), any::<u8>()).prop_map(|(key, byte)| Op::Put { key, value: vec![byte].into(), lease: None }),
        2 => keys().prop_map(Op::Delete),
        1 => (0..3_u8).prop_map(|dir| Op::DeletePrefix(Prefix::new(format!("{dir}/")))),
    ]
}

fn guards() -> impl Strategy<Value = Guard> {
    prop_oneof![
        keys().prop_map(Guard::Exists),
        keys().prop_map(Guard::Absent),
        (keys(), 0..40_u64).prop_map(|(key, revision)| Guard::ModRevision(key, Revision(revision))),
    ]
}

fn txns() -> impl Strategy<Value = Txn> {
    (
        proptest::collection::vec(guards(), 0..2),
        proptest::collection::vec(ops(), 0..5),
        proptest::option::of((0..3_u128, 0..20_u64)),
    )
        .prop_map(|(guards, ops, request)| Txn {
            request: request.map(|(client, sequence)| RequestId { client, sequence }),
            guards,
            ops,
        })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// STORE-2, STORE-3, STORE-4: a watch from any revision rebuilds the range, revision by revision.
    #[test]
    fn a_watch_from_anywhere_rebuilds_the_range(
        txns in proptest::collection::vec(txns(), 1..40),
        from in 0..40_usize,
        dir in 0..4_u8,
    ) {
        let scope = if dir == 3 { Prefix::all() } else { Prefix::new(format!("{dir}/")) };
        runtime().block_on(async {
            let store = MemoryStore::new();
            // The range as it was after every revision.
            let mut ranges = vec![store.range(&scope, Page::all(), univrs_ports::store::Consistency::LOCAL).await.unwrap()];
            for txn in txns {
                let before = store.revision();
                store.txn(txn).await.unwrap();
                let range = store.range(&scope, Page::all(), univrs_ports::store::Consistency::LOCAL).await.unwrap();
                assert!(range.revision.0 <= before.0 + 1, "revisions are dense");
                if range.revision > before {
                    ranges.push(range);
                } else {
                    assert_eq!(ranges.last(), Some(&range), "no revision, no change");
                }
            }
            let from = from.min(ranges.len() - 1);
            let mut state: BTreeMap<Key, StoredValue> =
                ranges[from].items.iter().map(|item| (item.key.clone(), item.value.clone())).collect();
            let mut watch = store.watch(&scope, Revision(from as u64)).await.unwrap();
            let mut at = from;
            while at + 1 < ranges.len() {
                let batch = tokio::time::timeout(std::time::Duration::from_millis(50), watch.next()).await;
                let Ok(batch) = batch else { break };
                let batch = batch.unwrap().unwrap();
                let next = usize::try_from(batch.revision.0).unwrap();
                assert!(next > at);
                // Nothing happened in between.
                assert!(ranges[at..next].windows(2).all(|pair| pair[0].items == pair[1].items), "a gap before {next}");
                for event in batch.events {
                    match event {
                        WatchEvent::Put { key, value } => { state.insert(key, value); }
                        WatchEvent::Delete { key } => { assert!(state.remove(&key).is_some()); }
                    }
                }
                let expected: BTreeMap<_, _> =
                    ranges[next].items.iter().map(|item| (item.key.clone(), item.value.clone())).collect();
                assert_eq!(state, expected);
                at = next;
            }
            assert!(ranges[at..].windows(2).all(|pair| pair[0].items == pair[1].items), "the end is missing");
        });
    }

    /// STORE-5: however often requests are repeated, and in whatever order, each takes effect once.
    #[test]
    fn repeated_requests_take_effect_once(
        txns in proptest::collection::vec(txns(), 1..30),
        repeats in proptest::collection::vec((0..30_usize, 0..30_usize), 0..30),
    ) {
        let txns: Vec<Txn> = txns
            .into_iter()
            .enumerate()
            .map(|(sequence, txn)| txn.with_request(RequestId { client: 1, sequence: sequence as u64 }))
            .collect();
        let mut once = Machine::default();
        let first: Vec<Response> = txns.iter().map(|txn| once.apply(Command::Txn(txn.clone())).0).collect();
        let mut often = Machine::default();
        for (index, txn) in txns.iter().enumerate() {
            assert_eq!(often.apply(Command::Txn(txn.clone())).0, first[index]);
            for &(_, earlier) in repeats.iter().filter(|(after, _)| *after == index) {
                let earlier = earlier.min(index);
                let (response, batch) = often.apply(Command::Txn(txns[earlier].clone()));
                assert_eq!((response, batch), (first[earlier].clone(), None));
            }
        }
        assert_eq!(often.revision(), once.revision());
        assert_eq!(often.range(&Prefix::all(), &Page::all()), once.range(&Prefix::all(), &Page::all()));
    }

    /// STORE-6: the same commands give the same state, also through a snapshot in the middle.
    #[test]
    fn replay_and_snapshot_give_the_same_state(
        txns in proptest::collection::vec(txns(), 1..40),
        cut in 0..40_usize,
    ) {
        let (mut whole, mut parted) = (Machine::default(), Machine::default());
        for (index, txn) in txns.iter().enumerate() {
            whole.apply(Command::Txn(txn.clone()));
            parted.apply(Command::Txn(txn.clone()));
            if index == cut {
                let records: Vec<Record> = parted.records().collect();
                parted = Machine::default();
                for record in records {
                    parted.restore(record);
                }
            }
        }
        assert_eq!(whole.digest(), parted.digest());
        assert!(whole.records().eq(parted.records()));
    }
}
