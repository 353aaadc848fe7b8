//! One step of the state machine on the keys: what it touches, and what watchers are told about it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::machine::Machine;
use super::types::{Key, LeaseId, Prefix, Revision, StoredValue, WatchBatch, WatchEvent};

/// A change in the making: applies to the machine at once and remembers which keys to report.
pub(super) struct Change<'a> {
    machine: &'a mut Machine,
    revision: Revision,
    /// The touched keys, and whether each existed before.
    touched: BTreeMap<Key, bool>,
}

impl<'a> Change<'a> {
    pub(super) fn new(machine: &'a mut Machine) -> Self {
        let revision = Revision(machine.revision.0 + 1);
        Self { machine, revision, touched: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, key: Key, value: Bytes, lease: Option<LeaseId>) {
        let old = self.machine.keys.get(&key);
        let (create_revision, version, old_lease) = match old {
            Some(old) if old.mod_revision == self.revision => (old.create_revision, old.version, old.lease),
            Some(old) => (old.create_revision, old.version + 1, old.lease),
            None => (self.revision, 1, None),
        };
        self.touched.entry(key.clone()).or_insert(old.is_some());
        if old_lease != lease {
            self.detach(&key, old_lease);
            if let Some(state) = lease.and_then(|lease| self.machine.leases.get_mut(&lease)) {
                state.keys.insert(key.clone());
            }
        }
        let stored = StoredValue { value, create_revision, mod_revision: self.revision, version, lease };
        self.machine.keys.insert(key, stored);
    }

    pub(super) fn delete(&mut self, key: &Key) {
        if let Some(old) = self.machine.keys.remove(key) {
            self.touched.entry(key.clone()).or_insert(true);
            self.detach(key, old.lease);
        }
    }

    pub(super) fn delete_prefix(&mut self, prefix: &Prefix) {
        let keys: Vec<Key> = self.machine.under(prefix, None).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.delete(&key);
        }
    }

    fn detach(&mut self, key: &Key, lease: Option<LeaseId>) {
        if let Some(state) = lease.and_then(|lease| self.machine.leases.get_mut(&lease)) {
            state.keys.remove(key);
        }
    }

    /// Advances the revision when something changed, and returns the events.
    pub(super) fn finish(self) -> Option<WatchBatch> {
        let mut events = Vec::with_capacity(self.touched.len());
        for (key, existed) in self.touched {
            match self.machine.keys.get(&key) {
                Some(value) => events.push(WatchEvent::Put { key, value: value.clone() }),
                None if existed => events.push(WatchEvent::Delete { key }),
                None => {}
            }
        }
        if events.is_empty() {
            return None;
        }
        self.machine.revision = self.revision;
        Some(WatchBatch { revision: self.revision, events })
    }
}
