//! The deterministic state machine behind every store: a command and the history before it decide
//! everything (STORE-6). No clock, no randomness, no I/O, and only ordered collections.
//!
//! All collections are persistent trees, so cloning the whole machine for a snapshot or a long read takes
//! constant time and the clone does not change.

use std::time::Duration;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::command::{Command, INITIAL_FEATURE_LEVEL, Response};
use super::dedupe::{Dedupe, Seen};
use super::digest::Fnv;
use super::txn::{Guard, Op, Txn, TxnOutcome};
use super::types::{
    Key, KeyValue, LeaseGrant, LeaseId, Page, Prefix, RangeOut, Revision, StoredValue, WatchBatch,
};

/// One piece of a snapshot. The order of pieces is free, except that the head comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The counters.
    Head {
        /// The newest revision.
        revision: Revision,
        /// How many commands were applied.
        position: u64,
        /// The last lease granted.
        last_lease: u64,
        /// The feature level.
        feature_level: u32,
    },
    /// A lease; its keys follow from the keys.
    Lease(LeaseGrant),
    /// A key with its value.
    Key(Key, StoredValue),
    /// What is remembered of a client's requests.
    Client {
        /// The client.
        client: u128,
        /// The position of its last request.
        last_position: u64,
        /// Requests up to here are forgotten.
        forgotten: u64,
        /// The remembered outcomes by sequence.
        outcomes: Vec<(u64, Response)>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lease {
    ttl: Duration,
    pub(super) keys: OrdSet<Key>,
}

/// The state and its rules.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) revision: Revision,
    /// Counts commands: the clock by which idle clients are forgotten.
    position: u64,
    last_lease: u64,
    feature_level: u32,
    pub(super) keys: OrdMap<Key, StoredValue>,
    pub(super) leases: OrdMap<LeaseId, Lease>,
    dedupe: Dedupe,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            revision: Revision(0),
            position: 0,
            last_lease: 0,
            feature_level: INITIAL_FEATURE_LEVEL,
            keys: OrdMap::new(),
            leases: OrdMap::new(),
            dedupe: Dedupe::default(),
        }
    }
}

impl Machine {
    /// Applies one command. Returns what it did and, when keys changed, the batch for the watchers.
    pub fn apply(&mut self, command: Command) -> (Response, Option<WatchBatch>) {
        self.position += 1;
        match command {
            Command::Txn(txn) => self.apply_txn(txn),
            Command::GrantLease { ttl } => {
                self.last_lease += 1;
                let grant = LeaseGrant { id: LeaseId(self.last_lease), ttl };
                self.leases.insert(grant.id, Lease { ttl, keys: OrdSet::new() });
                (Response::Granted(grant), None)
            }
            Command::RevokeLease { lease } if !self.leases.contains_key(&lease) => {
                (Response::LeaseNotFound(lease), None)
            }
            Command::RevokeLease { lease } => {
                let (_, batch) = self.end_leases(&[lease]);
                (Response::Revoked, batch)
            }
            Command::ExpireLeases { leases } => {
                let (ended, batch) = self.end_leases(&leases);
                (Response::Expired(ended), batch)
            }
            Command::RaiseFeatureLevel { level } => {
                self.feature_level = self.feature_level.max(level);
                (Response::FeatureLevel(self.feature_level), None)
            }
        }
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The feature level.
    pub fn feature_level(&self) -> u32 {
        self.feature_level
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The value under a key.
    pub fn get(&self, key: &Key) -> Option<&StoredValue> {
        self.keys.get(key)
    }

    /// One page of the keys under a prefix.
    pub fn range(&self, prefix: &Prefix, page: &Page) -> RangeOut {
        let limit = page.limit.max(1);
        let mut items = Vec::new();
        let mut next = None;
        for (key, value) in self.under(prefix, page.after.as_ref()) {
            if items.len() == limit {
                next = items.last().map(|last: &KeyValue| last.key.clone());
                break;
            }
            items.push(KeyValue { key: key.clone(), value: value.clone() });
        }
        RangeOut { items, revision: self.revision, next }
    }

    /// A living lease.
    pub fn lease(&self, lease: LeaseId) -> Option<LeaseGrant> {
        self.leases.get(&lease).map(|state| LeaseGrant { id: lease, ttl: state.ttl })
    }

    /// All living leases.
    pub fn leases(&self) -> impl Iterator<Item = LeaseGrant> + '_ {
        self.leases.iter().map(|(&id, state)| LeaseGrant { id, ttl: state.ttl })
    }

    /// Whether a lease is living.
    pub fn has_lease(&self, lease: LeaseId) -> bool {
        self.leases.contains_key(&lease)
    }

    /// The whole state as pieces, in an order that depends on the state only.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let head = Record::Head {
            revision: self.revision,
            position: self.position,
            last_lease: self.last_lease,
            feature_level: self.feature_level,
        };
        std::iter::once(head)
            .chain(self.leases().map(Record::Lease))
            .chain(self.dedupe.records())
            .chain(self.keys.iter().map(|(key, value)| Record::Key(key.clone(), value.clone())))
    }

    /// Adds one piece to a machine that is being rebuilt from [`Machine::records`].
    pub fn restore(&mut self, record: Record) {
        match record {
            Record::Head { revision, position, last_lease, feature_level } => {
                self.revision = revision;
                self.position = position;
                self.last_lease = last_lease;
                self.feature_level = feature_level;
            }
            Record::Lease(grant) => {
                self.leases.entry(grant.id).or_insert_with(|| Lease { ttl: grant.ttl, keys: OrdSet::new() });
            }
            Record::Key(key, value) => {
                if let Some(lease) = value.lease.and_then(|lease| self.leases.get_mut(&lease)) {
                    lease.keys.insert(key.clone());
                }
                self.keys.insert(key, value);
            }
            Record::Client { client, last_position, forgotten, outcomes } => {
                self.dedupe.restore(client, last_position, forgotten, outcomes);
            }
        }
    }

    /// A hash of the whole state, equal on all members which applied the same commands, on any machine.
    pub fn digest(&self) -> u64 {
        let mut hash = Fnv::default();
        hash.number(self.revision.0);
        hash.number(self.position);
        hash.number(self.last_lease);
        hash.number(u64::from(self.feature_level));
        for (lease, state) in &self.leases {
            hash.number(lease.0);
            hash.number(u64::try_from(state.ttl.as_millis()).unwrap_or(u64::MAX));
            hash.number(state.keys.len() as u64);
        }
        for (key, value) in &self.keys {
            hash.bytes(key.as_str().as_bytes());
            hash.bytes(&value.value);
            for number in [value.create_revision.0, value.mod_revision.0, value.version] {
                hash.number(number);
            }
            hash.number(value.lease.map_or(0, |lease| lease.0));
        }
        self.dedupe.digest(&mut hash);
        hash.finish()
    }

    fn apply_txn(&mut self, txn: Txn) -> (Response, Option<WatchBatch>) {
        if let Some(request) = txn.request {
            match self.dedupe.look_up(request) {
                Seen::Never => {}
                Seen::Answered(response) => return (response, None),
                Seen::Forgotten => return (Response::RequestForgotten(request), None),
            }
        }
        let request = txn.request;
        let (response, batch) = self.run_txn(txn);
        if let Some(request) = request {
            self.dedupe.remember(request, self.position, response.clone());
        }
        (response, batch)
    }

    fn run_txn(&mut self, txn: Txn) -> (Response, Option<WatchBatch>) {
        if let Some(failed) = self.first_failed_guard(&txn.guards) {
            return (Response::Txn(failed), None);
        }
        for op in &txn.ops {
            if let Op::Put { lease: Some(lease), .. } = op
                && !self.leases.contains_key(lease)
            {
                return (Response::LeaseNotFound(*lease), None);
            }
        }
        let mut change = Change::new(self);
        for op in txn.ops {
            match op {
                Op::Put { key, value, lease } => change.put(key, value, lease),
                Op::Delete(key) => change.delete(&key),
                Op::DeletePrefix(prefix) => change.delete_prefix(&prefix),
            }
        }
        let batch = change.finish();
        (Response::Txn(TxnOutcome::Committed { revision: self.revision }), batch)
    }

    fn first_failed_guard(&self, guards: &[Guard]) -> Option<TxnOutcome> {
        guards.iter().enumerate().find_map(|(index, guard)| {
            let (key, holds) = match guard {
                Guard::ModRevision(key, revision) => {
                    (Some(key), self.keys.get(key).is_some_and(|value| value.mod_revision == *revision))
                }
                Guard::Absent(key) => (Some(key), !self.keys.contains_key(key)),
                Guard::Exists(key) => (Some(key), self.keys.contains_key(key)),
                Guard::LeaseAlive(lease) => (None, self.leases.contains_key(lease)),
            };
            (!holds).then(|| TxnOutcome::GuardFailed {
                index,
                key: key.cloned(),
                actual_mod_revision: key.and_then(|key| self.keys.get(key)).map(|value| value.mod_revision),
            })
        })
    }

    fn end_leases(&mut self, leases: &[LeaseId]) -> (u64, Option<WatchBatch>) {
        let mut ended = 0;
        let mut keys = Vec::new();
        for lease in leases {
            if let Some(state) = self.leases.remove(lease) {
                ended += 1;
                keys.extend(state.keys);
            }
        }
        let mut change = Change::new(self);
        for key in keys {
            change.delete(&key);
        }
        (ended, change.finish())
    }

    /// The keys under a prefix, behind a key if one is given.
    pub(super) fn under<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Option<&'a Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a StoredValue)> + 'a {
        use std::ops::Bound;
        let start = match after {
            Some(after) if after.as_str() >= prefix.as_str() => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix.as_str()),
        };
        self.keys.range::<_, str>((start, Bound::Unbounded)).take_while(|(key, _)| prefix.contains(key))
    }
}
