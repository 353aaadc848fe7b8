//! Writes of a node that arrive after their sender has given them up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use univrs_control::{LocalControlPlane, Mirror};
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Observation, Phase};
use univrs_model::keys;
use univrs_ports::clock::SystemClock;
use univrs_ports::control_plane::{ControlPlane, ControlPlaneError, Report};
use univrs_ports::store::{Consistency, Error, Key, MemoryStore, Op, Result, StateStore, Txn};

use crate::fronted::{Front, Fronted};

/// Holds a write back when told to, and answers that its outcome is not known.
#[derive(Default)]
struct Late {
    holds: AtomicBool,
    held: Mutex<Vec<Txn>>,
}

#[async_trait]
impl Front for Late {
    async fn before_txn(&self, txn: &Txn) -> Result<()> {
        if self.holds.swap(false, Ordering::SeqCst) {
            self.held.lock().unwrap().push(txn.clone());
            return Err(Error::Unavailable { reason: "no answer came", may_have_committed: true });
        }
        Ok(())
    }
}

impl Fronted<Late> {
    fn new() -> Arc<Self> {
        Arc::new(Self { front: Late::default(), store: Arc::new(MemoryStore::new()) })
    }

    /// Lets what was held back arrive; answers how much of it had an effect.
    async fn arrive(&self) -> usize {
        let held = std::mem::take(&mut *self.front.held.lock().unwrap());
        let mut done = 0;
        for txn in held {
            done += usize::from(self.store.txn(txn).await.unwrap().committed().is_some());
        }
        done
    }
}

async fn plane(store: &Arc<Fronted<Late>>) -> (LocalControlPlane, Mirror) {
    let shared = Arc::clone(store) as Arc<dyn StateStore>;
    let mirror = Mirror::start(Arc::clone(&shared), Vec::new(), CancellationToken::new()).await.unwrap();
    (LocalControlPlane::new(shared, mirror.clone(), Arc::new(SystemClock)), mirror)
}

#[tokio::test]
async fn a_late_report_does_not_undo_a_newer_one() {
    let store = Fronted::<Late>::new();
    let (plane, _mirror) = plane(&store).await;
    let (node, instance) = (NodeId::from_bits(1), InstanceId::from_bits(2));
    let seen = |phase| {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let seen = Observation { phase, ..Observation::taken_up(instance.clone(), 1, now) };
        Report { observations: vec![seen], ..Report::default() }
    };
    plane.report(&node, seen(Phase::Starting)).await.unwrap();
    store.front.holds.store(true, Ordering::SeqCst);
    plane.report(&node, seen(Phase::Running)).await.unwrap_err();
    plane.report(&node, seen(Phase::Stopped)).await.unwrap();
    assert_eq!(store.arrive().await, 0, "it came too late");
    // One that arrived although nobody knew is replaced by what is newer.
    let outcome = Observation::taken_up(instance.clone(), 1, "2026-01-01T00:00:00Z".parse().unwrap());
    let at = Key::new(keys::observed(&node, &instance)).unwrap();
    let other = Txn::put(at.clone(), serde_json::to_vec(&outcome).unwrap());
    store.txn(other).await.unwrap();
    plane.report(&node, seen(Phase::Stopped)).await.unwrap();
    let stored = store.get(&at, Consistency::Linearizable).await.unwrap().unwrap();
    let stored: Observation = serde_json::from_slice(&stored.value).unwrap();
    assert_eq!(stored.phase, Phase::Stopped);
}

#[tokio::test]
async fn a_node_whose_sign_of_life_was_taken_registers_again() {
    let store = Fronted::<Late>::new();
    let (plane, mirror) = plane(&store).await;
    let node: univrs_model::node::Node = serde_json::from_value(serde_json::json!({
        "id": NodeId::from_bits(1), "name": "one", "roles": ["business"],
        "location": {"cloud": "local", "region": "local", "zone": "local", "operator": "local"},
        "capacity": {"cpu": "1", "memory": "1Gi", "disk": "1Gi"}, "runtime": "simulated", "api_address": "",
        "version": "0", "created_at": "2026-01-01T00:00:00Z"
    }))
    .unwrap();
    plane.register(&node).await.unwrap();
    plane.keep_alive(&node.id).await.unwrap();
    let gone = Txn::default().then(Op::Delete(Key::new(keys::node_alive(&node.id)).unwrap()));
    let revision = store.txn(gone).await.unwrap().committed().unwrap();
    mirror.at_least(revision).await;
    let refused = plane.keep_alive(&node.id).await;
    assert!(matches!(refused, Err(ControlPlaneError::Refused { .. })), "{refused:?}");
    plane.register(&node).await.unwrap();
    plane.keep_alive(&node.id).await.unwrap();
}
