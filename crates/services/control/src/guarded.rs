//! The store as a node sees it that only runs workloads: it reads what it needs, and writes what it observed.
//!
//! Such a machine may be anybody's. It sees no sealed value, no token and no log of who did what, and it can change
//! nothing but what is said of itself and of the instances it was given. What it says of itself has to agree with what it
//! was let in as.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::io::AsyncWrite;
use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_model::member::Member;
use univrs_model::node::{Capacity, Node, Role};
use univrs_model::secret::Secret;
use univrs_model::volume::Volume;
use univrs_ports::store::{
    Consistency, Error, Guard, Key, LeaseGrant, LeaseId, Op, Page, Prefix, RangeOut, Result, Revision,
    SnapshotMeta, StateStore, StoredValue, Txn, TxnOutcome, WatchBatch, WatchEvent, WatchStream,
};

/// More processors than any machine has, with what is promised beyond them.
const MOST_CORES: u64 = 1_000_000;
/// More bytes of memory than any machine has: 1 PiB.
const MOST_MEMORY: u64 = 1 << 50;
/// More bytes of disk than any machine has: the most that a quantity can say.
const MOST_DISK: u64 = 999_999_999_999_999_999;

/// A store held to what one node needs.
pub struct GuardedStore {
    store: Arc<dyn StateStore>,
    node: NodeId,
}

impl GuardedStore {
    /// `store` as `node` may use it.
    pub fn new(store: Arc<dyn StateStore>, node: NodeId) -> Self {
        Self { store, node }
    }

    fn denied(&self, what: &str) -> Error {
        Error::Denied {
            reason: format!("node {} only runs workloads and may not {what}; ask a validator", self.node),
        }
    }

    async fn check_op(&self, op: &Op) -> Result<()> {
        let at = match op {
            Op::Put { key, .. } | Op::Delete(key) => key.as_str(),
            Op::DeletePrefix(_) => return Err(self.denied("remove many keys at once")),
        };
        let observed = at.starts_with(&keys::observed_by(&self.node))
            || at.starts_with(&keys::measured_by(&self.node))
            || at == keys::measured_volumes(&self.node);
        if at == keys::node(&self.node)
            && let Op::Put { value, .. } = op
        {
            return self.check_node(value).await;
        }
        if at == keys::node(&self.node) || at == keys::node_alive(&self.node) || observed {
            return Ok(());
        }
        match (keys::split(at).map(|(_, kind, _)| kind), op) {
            (Some("event"), Op::Put { key, .. }) => {
                // What happened is not unsaid.
                match self.store.get(key, Consistency::LOCAL).await? {
                    None => Ok(()),
                    Some(_) => Err(self.denied("change an event")),
                }
            }
            (Some("volume"), Op::Delete(key)) => {
                let stored = self.store.get(key, Consistency::LOCAL).await?;
                let volume = stored.and_then(|stored| serde_json::from_slice::<Volume>(&stored.value).ok());
                match volume {
                    Some(volume) if volume.node != self.node => {
                        Err(self.denied("remove another node's volume"))
                    }
                    _ => Ok(()),
                }
            }
            _ => Err(self.denied(&format!("write {at}"))),
        }
    }

    /// What the node says of itself has to agree with what it was let in as, and be possible: work would be drawn to it,
    /// and packets for others.
    async fn check_node(&self, value: &[u8]) -> Result<()> {
        let Ok(node) = serde_json::from_slice::<Node>(value) else {
            return Err(self.denied("write what is no node"));
        };
        let member = self.store.get(&Key::new(keys::member(&self.node))?, Consistency::LOCAL).await?;
        let member = member.and_then(|stored| serde_json::from_slice::<Member>(&stored.value).ok());
        let Some(member) = member else { return Err(self.denied("call itself a member, which it is not")) };
        let roles = |roles: &[Role]| roles.iter().map(|role| role.as_str()).collect::<BTreeSet<_>>();
        if node.id != self.node || node.name != member.name {
            return Err(self.denied(&format!("call itself {} ({})", node.name, node.id)));
        }
        if roles(&node.roles) != roles(&member.roles) {
            return Err(self.denied("take other roles than it was let in with"));
        }
        if node.block.is_some() && node.block != member.block {
            return Err(self.denied("take addresses that it was not given"));
        }
        let Capacity { cpu, memory, disk } = node.capacity;
        if cpu.as_millicores() > MOST_CORES * 1000 || memory.get() > MOST_MEMORY || disk.get() > MOST_DISK {
            let claim =
                format!("claim {cpu} cores, {memory} of memory and {disk} of disk, which no machine has");
            return Err(self.denied(&claim));
        }
        Ok(())
    }

    /// Only the lease of the node's own sign of life.
    async fn check_lease(&self, lease: LeaseId) -> Result<()> {
        let at = Key::new(keys::node_alive(&self.node))?;
        let own = self.store.get(&at, Consistency::LOCAL).await?.and_then(|alive| alive.lease);
        if own == Some(lease) { Ok(()) } else { Err(Error::LeaseNotFound { lease }) }
    }
}

/// Whether such a node may know of a key.
fn is_visible(key: &str) -> bool {
    let hidden = [
        keys::AUTHORITY,
        keys::ISSUER_ACCOUNT,
        keys::CERTIFICATES,
        keys::JOIN_TOKENS,
        keys::TOKENS,
        keys::VALIDATOR_KEYS,
        keys::CLUSTER_AUDIT,
    ];
    if hidden.iter().any(|prefix| key.starts_with(prefix)) {
        return false;
    }
    let kind = keys::split(key).map(|(_, kind, _)| kind);
    !matches!(
        kind,
        Some(
            "data-key"
                | "audit"
                | "request"
                | "plan"
                | "operation"
                | "event"
                | "usage"
                | "alert"
                | "alert-settings"
                | "delivery"
        )
    )
}

/// The value without what is sealed in it: a node needs to know which value of a secret is the newest, not what it is.
fn redacted(key: &str, stored: StoredValue) -> Option<StoredValue> {
    if keys::split(key).map(|(_, kind, _)| kind) != Some("secret") {
        return Some(stored);
    }
    let mut secret: Secret = serde_json::from_slice(&stored.value).ok()?;
    secret.versions.iter_mut().for_each(|version| version.sealed.clear());
    Some(StoredValue { value: serde_json::to_vec(&secret).ok()?.into(), ..stored })
}

fn seen(batch: WatchBatch) -> WatchBatch {
    let events = batch.events.into_iter().filter(|event| is_visible(event.key().as_str()));
    let events = events.filter_map(|event| match event {
        WatchEvent::Put { key, value } => {
            let value = redacted(key.as_str(), value)?;
            Some(WatchEvent::Put { key, value })
        }
        deleted @ WatchEvent::Delete { .. } => Some(deleted),
    });
    WatchBatch { revision: batch.revision, events: events.collect() }
}

#[async_trait]
impl StateStore for GuardedStore {
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Option<StoredValue>> {
        if !is_visible(key.as_str()) {
            return Err(self.denied(&format!("read {key}")));
        }
        let stored = self.store.get(key, consistency).await?;
        Ok(stored.and_then(|stored| redacted(key.as_str(), stored)))
    }

    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut> {
        let mut out = self.store.range(prefix, page, consistency).await?;
        out.items.retain(|item| is_visible(item.key.as_str()));
        let items = out.items.into_iter().filter_map(|mut item| {
            item.value = redacted(item.key.as_str(), item.value)?;
            Some(item)
        });
        Ok(RangeOut { items: items.collect(), ..out })
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        for guard in &txn.guards {
            let (Guard::ModRevision(key, _) | Guard::Absent(key) | Guard::Exists(key)) = guard else {
                continue;
            };
            if !is_visible(key.as_str()) {
                return Err(self.denied(&format!("ask for {key}")));
            }
        }
        for op in &txn.ops {
            self.check_op(op).await?;
        }
        self.store.txn(txn).await
    }

    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        let batches = self.store.watch(prefix, from).await?;
        Ok(Box::pin(batches.map(|batch| batch.map(seen))))
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant> {
        self.store.lease_grant(ttl).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        self.check_lease(lease).await?;
        self.store.lease_keep_alive(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.check_lease(lease).await?;
        self.store.lease_revoke(lease).await
    }

    async fn snapshot(&self, _: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta> {
        Err(self.denied("copy the whole state"))
    }

    fn revision(&self) -> Revision {
        self.store.revision()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use univrs_model::ids::NodeId;
    use univrs_model::keys;
    use univrs_ports::store::{Consistency, Error, Key, MemoryStore, Op, Page, Prefix, StateStore, Txn};

    use super::GuardedStore;

    fn key(text: &str) -> Key {
        Key::new(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_node_that_runs_workloads_sees_no_secret_and_writes_of_itself_only() {
        let inner: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let (me, other) = (NodeId::from_bits(1), NodeId::from_bits(2));
        let secret = json!({"id": "se_a", "org": "default", "name": "db", "created_at": "2026-01-01T00:00:00Z",
            "versions": [{"version": 1, "created_at": "2026-01-01T00:00:00Z", "key": "dk_a", "sealed": "CANARY"}]});
        for (at, value) in [
            ("authority", "CANARY"),
            ("token/tk_a", "CANARY"),
            ("acme-account", "CANARY"),
            ("certificate/a.test", "CANARY"),
            ("join-token/jt_a", "CANARY"),
            ("org/default/data-key/dk_a", "CANARY"),
            ("org/default/secret/db", &*secret.to_string()),
            ("org/default/event/1", "said"),
            (&*keys::node_alive(&other), ""),
        ] {
            inner.txn(Txn::put(key(at), value.as_bytes().to_vec())).await.unwrap();
        }
        let guarded = GuardedStore::new(inner, me.clone());
        let out = guarded.range(&Prefix::all(), Page::all(), Consistency::LOCAL).await.unwrap();
        let text: String =
            out.items.iter().map(|item| format!("{} {:?}", item.key, item.value.value)).collect();
        assert!(!text.contains("CANARY"), "{text}");
        assert!(text.contains("org/default/secret/db"), "{text}");
        assert!(guarded.get(&key("authority"), Consistency::LOCAL).await.is_err());
        for own in [
            keys::node_alive(&me),
            format!("{}in_a", keys::observed_by(&me)),
            "org/default/event/2".to_owned(),
        ] {
            guarded.txn(Txn::put(key(&own), "x")).await.unwrap();
        }
        for others in [
            keys::node(&other),
            keys::node_alive(&other),
            "org/default/workload/web".to_owned(),
            "org/default/event/1".to_owned(),
            keys::member(&me),
            "cluster".to_owned(),
        ] {
            let refused = guarded.txn(Txn::put(key(&others), "x")).await;
            assert!(matches!(refused, Err(Error::Denied { .. })), "{others}: {refused:?}");
        }
        let all = Txn::default().then(Op::DeletePrefix(Prefix::all()));
        assert!(matches!(guarded.txn(all).await, Err(Error::Denied { .. })));
    }

    #[tokio::test]
    async fn what_a_node_says_of_itself_agrees_with_what_it_was_let_in_as_and_is_possible() {
        let inner: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let (me, other) = (NodeId::from_bits(1), NodeId::from_bits(2));
        let location = json!({"cloud": "a", "region": "r", "zone": "z", "operator": "o"});
        let member = json!({"node": me, "name": "me", "roles": ["slim"], "location": location, "public_key": "00",
            "block": "100.64.7.0/24", "joined_at": "2026-01-01T00:00:00Z"});
        let put = |at: String, value: &serde_json::Value| Txn::put(key(&at), value.to_string().into_bytes());
        inner.txn(put(keys::member(&me), &member)).await.unwrap();
        let guarded = GuardedStore::new(inner, me.clone());
        let honest = json!({"id": me, "name": "me", "roles": ["slim"], "location": location,
            "capacity": {"cpu": "64", "memory": "512Gi", "disk": "4Ti"}, "runtime": "oci", "api_address": "127.0.0.1:8080",
            "block": "100.64.7.0/24", "version": "1", "created_at": "2026-01-01T00:00:00Z"});
        guarded.txn(put(keys::node(&me), &honest)).await.unwrap();
        for (field, lie) in [
            ("id", json!(other)),
            ("name", json!("other")),
            ("roles", json!(["slim", "validator"])),
            ("block", json!("100.64.8.0/24")),
            ("capacity", json!({"cpu": "5000000", "memory": "1Gi", "disk": "1Gi"})),
            ("capacity", json!({"cpu": "1", "memory": "9999Pi", "disk": "1Gi"})),
            ("capacity", json!({"cpu": "1", "memory": "1Gi", "disk": "9999Pi"})),
            ("created_at", json!("no node at all")),
        ] {
            let mut lying = honest.clone();
            lying[field] = lie;
            let refused = guarded.txn(put(keys::node(&me), &lying)).await;
            assert!(matches!(refused, Err(Error::Denied { .. })), "{lying}: {refused:?}");
        }
    }
}
