//! What clients do meanwhile, drawn from a seed, and what each of them saw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{
    Consistency, Error, Guard, Key, Op, Page, Prefix, RequestId, Revision, StateStore, StoredValue, Txn,
    TxnOutcome,
};
use univrs_store::wire::{RemoteOptions, RemoteStore};

use super::linear::{Call, Did, Value};
use crate::cluster::CLUSTER;
use crate::support::key;

/// How many use the store at once.
pub(crate) const CLIENTS: usize = 5;
/// The keys that they share; the last two are also written together.
pub(crate) const KEYS: [&str; 4] = ["h/0", "h/1", "h/2", "h/3"];
/// Those that are deleted now and then.
pub(crate) const DELETED: [&str; 2] = ["h/0", "h/1"];
/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How long it looks for one who answers at all, once all is whole.
const PATIENCE: Duration = Duration::from_secs(180);

/// A range as it was read.
pub(crate) struct View {
    pub(crate) client: usize,
    pub(crate) revision: Revision,
    /// By key: the write, and its revision.
    pub(crate) items: BTreeMap<String, (u64, Revision)>,
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
}

/// Everything that clients saw.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) calls: BTreeMap<String, Vec<Call>>,
    pub(crate) views: Vec<View>,
    /// Answers that no fault explains.
    pub(crate) oddities: Vec<String>,
}

/// What all clients of a run share.
pub(crate) struct Shared {
    begun: Instant,
    numbers: AtomicU64,
    addresses: Vec<String>,
    history: Mutex<History>,
}

impl Shared {
    pub(crate) fn new(addresses: Vec<String>) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            numbers: AtomicU64::new(1),
            addresses,
            history: Mutex::default(),
        })
    }

    pub(crate) fn take(&self) -> History {
        std::mem::take(&mut *self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn record(&self, at: &str, call: Call) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.calls.entry(at.to_owned()).or_default().push(call);
    }
}

/// What a client was told of a transaction.
enum Told {
    Committed(Revision),
    Refused,
    NotDone,
    Unknown,
}

/// One user of the store.
pub(crate) struct Client {
    number: usize,
    rng: StdRng,
    shared: Arc<Shared>,
    stores: Vec<Option<RemoteStore>>,
    sequence: u64,
    /// What it saw last under each key.
    seen: BTreeMap<usize, Option<(u64, Revision)>>,
}

impl Client {
    pub(crate) fn new(number: usize, seed: u64, shared: &Arc<Shared>) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number as u64));
        let stores = vec![None; shared.addresses.len()];
        Self { number, rng, shared: Arc::clone(shared), stores, sequence: 0, seen: BTreeMap::new() }
    }

    /// Uses the store until `done`, then reads everything once more through every voter.
    pub(crate) async fn run(mut self, done: CancellationToken) {
        while !done.is_cancelled() {
            self.act().await;
            let pause = Duration::from_millis(self.rng.random_range(0..12));
            tokio::time::sleep(pause).await;
        }
        for voter in 0..self.stores.len() {
            let deadline = Instant::now() + PATIENCE;
            while !self.view(voter).await {
                assert!(Instant::now() < deadline, "voter {} does not answer though all is whole", voter + 1);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            for at in 0..KEYS.len() {
                self.read(voter, at).await;
            }
        }
    }

    async fn act(&mut self) {
        let voter = self.rng.random_range(0..self.stores.len());
        let at = self.rng.random_range(0..KEYS.len());
        match self.rng.random_range(0..100) {
            0..30 => self.read(voter, at).await,
            30..42 => drop(self.view(voter).await),
            42..60 => self.put(at).await,
            60..66 => self.swap(at, None, true).await,
            66..86 => {
                let seen = self.seen.get(&at).copied().flatten();
                self.swap(at, seen, true).await;
            }
            86..90 if DELETED.contains(&KEYS[at]) => {
                let seen = self.seen.get(&at).copied().flatten();
                self.swap(at, seen, false).await;
            }
            86..90 => self.read(voter, at).await,
            _ => self.put_both().await,
        }
    }

    async fn store(&mut self, voter: usize) -> Option<RemoteStore> {
        if self.stores[voter].is_none() {
            let options = RemoteOptions {
                cluster: Some(CLUSTER),
                to_leader: false,
                timeout: ANSWER,
                ..RemoteOptions::new(vec![self.shared.addresses[voter].clone()])
            };
            let connected = tokio::time::timeout(ANSWER, RemoteStore::connect(options)).await;
            self.stores[voter] = connected.ok().and_then(Result::ok);
        }
        self.stores[voter].clone()
    }

    async fn read(&mut self, voter: usize, at: usize) {
        let Some(store) = self.store(voter).await else { return };
        let invoked = self.shared.now();
        let name = key(KEYS[at]);
        let read = tokio::time::timeout(ANSWER, store.get(&name, Consistency::Linearizable)).await;
        let Ok(Ok(read)) = read else { return };
        let seen = read.as_ref().map(|stored| (number(stored), stored.mod_revision));
        self.seen.insert(at, seen);
        let did = Did::Read(seen.map(|(number, _)| number));
        self.note(at, did, invoked, Some(self.shared.now()), seen.map(|(_, revision)| revision));
    }

    /// Reads all keys at once; whether that worked.
    async fn view(&mut self, voter: usize) -> bool {
        let Some(store) = self.store(voter).await else { return false };
        let invoked = self.shared.now();
        let prefix = Prefix::new("h/");
        let read =
            tokio::time::timeout(ANSWER, store.range(&prefix, Page::all(), Consistency::Linearizable)).await;
        let Ok(Ok(read)) = read else { return false };
        let returned = self.shared.now();
        let items: BTreeMap<String, (u64, Revision)> = read
            .items
            .iter()
            .map(|item| (item.key.as_str().to_owned(), (number(&item.value), item.value.mod_revision)))
            .collect();
        for (at, name) in KEYS.iter().enumerate() {
            let seen = items.get(*name).copied();
            self.seen.insert(at, seen);
            self.note(
                at,
                Did::Read(seen.map(|(number, _)| number)),
                invoked,
                Some(returned),
                seen.map(|(_, revision)| revision),
            );
        }
        let view = View { client: self.number, revision: read.revision, items, invoked, returned };
        self.shared.history.lock().unwrap_or_else(PoisonError::into_inner).views.push(view);
        true
    }

    async fn put(&mut self, at: usize) {
        let number = self.number();
        let (invoked, told, returned) = self.txn(Txn::put(key(KEYS[at]), number.to_string())).await;
        self.wrote(at, Did::Write(Some(number)), None, invoked, &told, returned);
    }

    async fn put_both(&mut self) {
        let number = self.number();
        let mut txn = Txn::default();
        for at in [2, 3] {
            let (key, value) = (key(KEYS[at]), number.to_string().into());
            txn = txn.then(Op::Put { key, value, lease: None });
        }
        let (invoked, told, returned) = self.txn(txn).await;
        for at in [2, 3] {
            self.wrote(at, Did::Write(Some(number)), None, invoked, &told, returned);
        }
    }

    /// Replaces what this client saw last, or creates what it saw missing, if that is still so.
    async fn swap(&mut self, at: usize, expected: Option<(u64, Revision)>, put: bool) {
        let name: Key = key(KEYS[at]);
        let next = put.then(|| self.number());
        let guard = match expected {
            Some((_, revision)) => Guard::ModRevision(name.clone(), revision),
            None => Guard::Absent(name.clone()),
        };
        let effect = match next {
            Some(number) => Txn::put(name, number.to_string()),
            None => Txn::delete(name),
        };
        let (invoked, told, returned) = self.txn(effect.when(guard)).await;
        let expected: Value = expected.map(|(number, _)| number);
        self.wrote(at, Did::Swap(expected, next), Some(Did::Refused(expected)), invoked, &told, returned);
    }

    fn number(&self) -> u64 {
        self.shared.numbers.fetch_add(1, Ordering::SeqCst)
    }

    /// Carries out a transaction, most often with a request id and then again and again until its outcome is known.
    async fn txn(&mut self, txn: Txn) -> (u64, Told, u64) {
        let safe = self.rng.random_bool(0.85);
        self.sequence += 1;
        let request = RequestId { client: self.number as u128 + 1, sequence: self.sequence };
        let txn = if safe { txn.with_request(request) } else { txn };
        let mut begun = None;
        let mut told = Told::NotDone;
        for _ in 0..if safe { 6 } else { 1 } {
            let voter = self.rng.random_range(0..self.stores.len());
            let Some(store) = self.store(voter).await else { continue };
            begun.get_or_insert(self.shared.now());
            told = match tokio::time::timeout(ANSWER, store.txn(txn.clone())).await {
                Ok(Ok(TxnOutcome::Committed { revision })) => Told::Committed(revision),
                Ok(Ok(TxnOutcome::GuardFailed { .. })) => Told::Refused,
                Ok(Err(Error::NotLeader { .. } | Error::Unavailable { may_have_committed: false, .. })) => {
                    // Unless an earlier attempt did it.
                    if matches!(told, Told::Unknown) { Told::Unknown } else { Told::NotDone }
                }
                Ok(Err(Error::Unavailable { .. } | Error::Closed)) | Err(_) => Told::Unknown,
                Ok(Err(other)) => {
                    let mut history = self.shared.history.lock().unwrap_or_else(PoisonError::into_inner);
                    history.oddities.push(format!("client {}: {txn:?}: {other}", self.number));
                    Told::Unknown
                }
            };
            if matches!(told, Told::Committed(_) | Told::Refused) {
                break;
            }
        }
        (begun.unwrap_or_else(|| self.shared.now()), told, self.shared.now())
    }

    /// Notes what has become of a write.
    fn wrote(&mut self, at: usize, did: Did, refused: Option<Did>, invoked: u64, told: &Told, returned: u64) {
        match told {
            Told::Committed(revision) => {
                if let Did::Write(next) | Did::Swap(_, next) = did {
                    self.seen.insert(at, next.map(|number| (number, *revision)));
                }
                self.note(at, did, invoked, Some(returned), Some(*revision));
            }
            Told::Refused => match refused {
                Some(refused) => self.note(at, refused, invoked, Some(returned), None),
                None => {
                    let mut history = self.shared.history.lock().unwrap_or_else(PoisonError::into_inner);
                    history
                        .oddities
                        .push(format!("client {}: {did:?} had no guard that could fail", self.number));
                }
            },
            Told::Unknown => self.note(at, did, invoked, None, None),
            Told::NotDone => {}
        }
    }

    fn note(&self, at: usize, did: Did, invoked: u64, returned: Option<u64>, revision: Option<Revision>) {
        self.shared.record(KEYS[at], Call { client: self.number, did, invoked, returned, revision });
    }
}

fn number(stored: &StoredValue) -> u64 {
    std::str::from_utf8(&stored.value).unwrap().parse().unwrap()
}
