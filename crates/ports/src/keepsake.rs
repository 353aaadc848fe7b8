//! What a node keeps on its machine for the daemon that is started next: when the control plane was last heard, and what
//! may not run for long without it. A daemon that hears nobody, and on a slim node has no copy of the state, goes by it.
//!
//! It has to survive as long as containers do and no longer: the end of the process, and not the end of the machine.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use univrs_model::ids::InstanceId;
use univrs_model::name::Name;
use univrs_model::span::Span;

/// An instance that may not run for long on a node that is cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which.
    pub instance: InstanceId,
    /// How long it may, from when the control plane was last heard.
    pub stop_after: Span,
    /// Its containers, and how long each may take to end.
    pub graces: BTreeMap<Name, Span>,
}

/// What a node keeps on its machine. Times are [`Keepsake::uptime`]s.
pub trait Keepsake: Send + Sync + 'static {
    /// How long the machine has been up, its sleep included. Nobody sets it, and processes agree on it.
    fn uptime(&self) -> Duration;

    /// When the control plane last heard the node; none when nothing is known of that in this run of the machine.
    fn heard(&self) -> Option<Duration>;

    /// Notes when the control plane last heard the node. Called every second: it may not cost anything.
    fn hear(&self, at: Duration);

    /// What may not run for long on this node when it is cut off.
    fn limits(&self) -> Vec<Limit>;

    /// Replaces [`Keepsake::limits`].
    ///
    /// # Errors
    /// When it cannot be written; the ones before hold then.
    fn keep(&self, limits: &[Limit]) -> io::Result<()>;
}

/// A keepsake as long-lived as its process: for containers that end with it.
#[derive(Debug)]
pub struct OfProcess {
    begun: Instant,
    kept: Mutex<(Option<Duration>, Vec<Limit>)>,
}

impl Default for OfProcess {
    fn default() -> Self {
        Self { begun: Instant::now(), kept: Mutex::default() }
    }
}

impl Keepsake for OfProcess {
    fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    fn heard(&self) -> Option<Duration> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn hear(&self, at: Duration) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(at);
    }

    fn limits(&self) -> Vec<Limit> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn keep(&self, limits: &[Limit]) -> io::Result<()> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).1 = limits.to_vec();
        Ok(())
    }
}
