//! The picture of the state: made while others write, and changed object by object.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use univrs_control::Mirror;
use univrs_model::ids::ResourceId;
use univrs_model::keys;
use univrs_ports::store::{Key, MemoryStore, Op, StateStore, Txn};

use crate::fronted::{Front, Fronted};

/// Objects in the store, more than are read at a time anywhere.
const MANY: u32 = 10_000;

/// Somebody writes between any two reads.
#[derive(Default)]
struct Busy(AtomicU32);

#[async_trait]
impl Front for Busy {
    async fn before_range(&self, store: &dyn StateStore) {
        let reads = self.0.fetch_add(1, Ordering::SeqCst);
        assert!(reads < 50, "the picture is begun again and again");
        store.txn(Txn::put(Key::new("busy").unwrap(), reads.to_string())).await.unwrap();
    }
}

#[tokio::test]
async fn a_large_state_that_never_rests_becomes_a_picture() {
    let store = Fronted { front: Busy::default(), store: Arc::new(MemoryStore::new()) };
    for number in 0..MANY {
        let key = Key::new(format!("a/{number}")).unwrap();
        store.store.txn(Txn::put(key, "{}")).await.unwrap();
    }
    let before = store.revision();
    let mirror = Mirror::start(Arc::new(store), Vec::new(), CancellationToken::new()).await.unwrap();
    assert!(mirror.state().revision > before);
}

#[tokio::test]
async fn an_object_comes_changes_stays_where_it_cannot_be_read_and_goes() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let mirror = Mirror::start(Arc::clone(&store), Vec::new(), CancellationToken::new()).await.unwrap();
    let at = Key::new(format!("{}6000", keys::RESOURCE_PORTS)).unwrap();
    let [one, two] = [1, 2].map(ResourceId::from_bits);
    let put = |text: String| Txn::put(at.clone(), text);
    let steps = [
        (put(serde_json::to_string(&one).unwrap()), Some(&one)),
        (put(serde_json::to_string(&two).unwrap()), Some(&two)),
        (put("half of".to_owned()), Some(&two)),
        (Txn::default().then(Op::Delete(at.clone())), None),
    ];
    for (txn, wanted) in steps {
        let revision = store.txn(txn).await.unwrap().committed().unwrap();
        let state = mirror.at_least(revision).await;
        assert_eq!(state.resource_ports.get(&6000).map(|record| &**record), wanted);
    }
}
