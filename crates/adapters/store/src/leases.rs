//! Leases on the leader: keep-alives are remembered in memory, and what runs out is proposed to end.
//!
//! A new leader gives every lease its full lifetime again, because it does not know when the old one last
//! heard of it. A keep-alive is confirmed only while the leader still holds its own lease from a quorum, so
//! a leader that was cut off cannot keep a lease alive that its successor ends. While its own process stood still
//! nobody could be heard, so that time does not count.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver;
use tokio::time::Instant;
use univrs_ports::store::{Command, Error, LeaseGrant, LeaseId, LeaseTable, Result};

use crate::batch::{self, Batcher, leader_or_error};
use crate::message::{Answer, Question};
use crate::network::AskError;
use crate::node::{Core, LEADER_PAUSE, Leader};

/// How often to look whether this node leads when there is nothing else to do.
const IDLE: Duration = Duration::from_secs(1);
/// A look that comes so late shows that this process stood still.
const LATE: Duration = Duration::from_millis(500);

fn table(core: &Core) -> MutexGuard<'_, LeaseTable> {
    core.applied.leases.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends leases that ran out, as long as this node leads.
pub(crate) async fn run(core: Arc<Core>, batcher: Batcher) {
    let mut metrics = core.raft.server_metrics();
    loop {
        let leads = matches!(core.leader(), Leader::Here);
        if leads && let Err(error) = expire(&core, &batcher).await {
            tracing::warn!(%error, "leases that ran out could not be ended, trying again");
            tokio::time::sleep(LEADER_PAUSE).await;
        }
        let begun = Instant::now();
        let deadline = if leads { table(&core).next_deadline() } else { None };
        let wake = deadline.map_or(begun + IDLE, |deadline| deadline.clamp(begun, begun + IDLE));
        tokio::select! {
            () = core.shutdown.cancelled() => return,
            () = core.applied.granted.notified() => {}
            changed = metrics.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep_until(wake) => {}
        }
        let late = wake.elapsed();
        if late > LATE {
            tracing::warn!(?late, "this process stood still; leases last so much longer");
            table(&core).postpone(late);
        }
    }
}

async fn expire(core: &Core, batcher: &Batcher) -> Result<()> {
    take_over(core).await?;
    if table(core).next_deadline().is_none_or(|deadline| deadline > Instant::now()) {
        return Ok(());
    }
    // A leader that slept still believes in itself, and has heard of nobody meanwhile: a quorum must say that it leads.
    core.read_index_here(ReadPolicy::ReadIndex).await?;
    let leases = table(core).take_expired(Instant::now());
    if leases.is_empty() {
        return Ok(());
    }
    let ended = batcher.submit(Command::ExpireLeases { leases: leases.clone() }).await;
    if ended.is_err() {
        // They stay due.
        let mut table = table(core);
        for lease in leases {
            table.keep_alive(Instant::now(), LeaseGrant { id: lease, ttl: IDLE });
        }
    }
    ended.map(|_| ())
}

/// Once per term: waits for everything from earlier terms, then gives every lease its full lifetime.
async fn take_over(core: &Core) -> Result<()> {
    let term = core.raft.metrics().borrow_watched().current_term;
    if core.lease_term.load(Ordering::Acquire) == term {
        return Ok(());
    }
    core.linearize().await?;
    let leases = core.applied.replica.read(|machine, _| machine.leases().collect::<Vec<_>>());
    table(core).reset(Instant::now(), leases.into_iter());
    core.lease_term.store(term, Ordering::Release);
    Ok(())
}

/// Renews a lease wherever the leader is.
pub(crate) async fn keep_alive(core: &Core, lease: LeaseId) -> Result<LeaseGrant> {
    let deadline = Instant::now() + core.timeout;
    loop {
        let kept = match leader_or_error(core) {
            Ok(None) => keep_alive_here(core, lease).await,
            Ok(Some((leader, address))) => {
                match core.ask_leader(leader, &address, Question::KeepAlive(lease), core.timeout).await {
                    Ok(Answer::KeptAlive(grant)) => Ok(grant),
                    Err(AskError::Refused(error)) => Err(error),
                    Ok(_) | Err(_) => Err(Error::NotLeader { leader: Some(leader) }),
                }
            }
            Err(error) => Err(error),
        };
        match kept {
            Err(Error::NotLeader { .. } | Error::Unavailable { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(LEADER_PAUSE).await;
            }
            kept => return kept,
        }
    }
}

/// Renews a lease on the leader, which is this node.
pub(crate) async fn keep_alive_here(core: &Core, lease: LeaseId) -> Result<LeaseGrant> {
    match batch::leader_or_error(core)? {
        None => {}
        Some((leader, _)) => return Err(Error::NotLeader { leader: Some(leader) }),
    }
    let term = core.raft.metrics().borrow_watched().current_term;
    if core.lease_term.load(Ordering::Acquire) != term {
        return Err(Error::Unavailable { reason: "the leader is new", may_have_committed: false });
    }
    // What was ended is ended, whoever proposed it: without its keys a lease must not seem to live on.
    if !core.applied.replica.read(|machine, _| machine.has_lease(lease)) {
        table(core).remove(lease);
        return Err(Error::LeaseNotFound { lease });
    }
    let grant = table(core).renew(Instant::now(), lease).ok_or(Error::LeaseNotFound { lease })?;
    // After the renewal: if this node no longer leads, the renewal is void and the caller must not rely on it.
    core.read_index_here(ReadPolicy::LeaseRead).await?;
    Ok(grant)
}
