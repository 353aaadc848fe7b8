//! When leases run out, by the clock of the node that leads. Only a proposal follows from it; the end of a
//! lease is a command like any other (STORE-6).

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::types::{LeaseGrant, LeaseId};

/// The deadlines of the living leases.
#[derive(Debug, Default)]
pub struct LeaseTable {
    deadlines: HashMap<LeaseId, (Instant, Duration)>,
}

impl LeaseTable {
    /// Starts afresh with full lifetimes: a new leader does not know when the old one heard keep-alives.
    pub fn reset(&mut self, now: Instant, leases: impl Iterator<Item = LeaseGrant>) {
        self.deadlines = leases.map(|grant| (grant.id, (now + grant.ttl, grant.ttl))).collect();
    }

    /// Starts or renews a lease.
    pub fn keep_alive(&mut self, now: Instant, grant: LeaseGrant) {
        self.deadlines.insert(grant.id, (now + grant.ttl, grant.ttl));
    }

    /// Renews a lease which is known; `false` when it is not, for example because its end is proposed.
    pub fn renew(&mut self, now: Instant, lease: LeaseId) -> Option<LeaseGrant> {
        let (deadline, ttl) = self.deadlines.get_mut(&lease)?;
        *deadline = now + *ttl;
        Some(LeaseGrant { id: lease, ttl: *ttl })
    }

    /// Gives all leases this much longer: for that long nobody could be heard.
    pub fn postpone(&mut self, by: Duration) {
        self.deadlines.values_mut().for_each(|(deadline, _)| *deadline += by);
    }

    /// Takes out the leases that ran out. From here on they cannot be renewed.
    pub fn take_expired(&mut self, now: Instant) -> Vec<LeaseId> {
        let mut expired: Vec<LeaseId> =
            self.deadlines.iter().filter(|(_, (deadline, _))| *deadline <= now).map(|(id, _)| *id).collect();
        expired.sort_unstable();
        for lease in &expired {
            self.deadlines.remove(lease);
        }
        expired
    }

    /// Forgets a lease.
    pub fn remove(&mut self, lease: LeaseId) {
        self.deadlines.remove(&lease);
    }

    /// The next deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.values().map(|(deadline, _)| *deadline).min()
    }
}
