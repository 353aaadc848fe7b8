//! Waiting inside a call: with a limit, with progress for whoever asked for it, and until the client gives up.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use tokio_util::sync::CancellationToken;

use crate::reply::Refusal;

/// Longest wait of one call, in seconds.
pub(crate) const LONGEST: u32 = 300;
/// Time between two looks.
const STEP: Duration = Duration::from_millis(500);

/// How a call may wait.
pub(crate) struct Patience {
    progress: Option<(Peer<RoleServer>, ProgressToken)>,
    cancelled: CancellationToken,
}

/// How far something is.
pub(crate) struct Progress {
    /// Of 100.
    pub(crate) percent: f64,
    pub(crate) message: String,
    /// Whether it has ended.
    pub(crate) done: bool,
}

impl Patience {
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        let progress = context.meta.get_progress_token().map(|token| (context.peer.clone(), token));
        Self { progress, cancelled: context.ct.clone() }
    }

    /// Begins a wait of at most so many seconds.
    pub(crate) fn wait(&self, seconds: u32) -> Wait<'_> {
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds.into());
        Wait { patience: self, end, told: -1.0 }
    }

    async fn tell(&self, progress: &Progress) {
        let Some((peer, token)) = &self.progress else { return };
        let note = ProgressNotificationParam::new(token.clone(), progress.percent)
            .with_total(100.0)
            .with_message(progress.message.clone());
        // A client that has gone is noticed by the answer that follows.
        drop(peer.notify_progress(note).await);
    }
}

/// A wait under way.
pub(crate) struct Wait<'a> {
    patience: &'a Patience,
    end: tokio::time::Instant,
    /// The furthest that the client was told; progress only grows.
    told: f64,
}

impl Wait<'_> {
    /// Whether there is nothing more to wait for: it has ended, the time is over or the client has given up. If there
    /// is, time passes before the next look.
    pub(crate) async fn is_over(&mut self, progress: &Progress) -> bool {
        if progress.percent > self.told {
            self.told = progress.percent;
            self.patience.tell(progress).await;
        }
        let cancelled = &self.patience.cancelled;
        if progress.done || cancelled.is_cancelled() || tokio::time::Instant::now() + STEP > self.end {
            return true;
        }
        tokio::select! {
            () = cancelled.cancelled() => true,
            () = tokio::time::sleep(STEP) => false,
        }
    }
}

/// Checks a `wait_seconds` argument.
pub(crate) fn checked(seconds: Option<u32>) -> Result<u32, Refusal> {
    match seconds.unwrap_or(0) {
        seconds if seconds <= LONGEST => Ok(seconds),
        _ => Err(Refusal::argument("wait_seconds", format!("at most {LONGEST} seconds are waited"))),
    }
}
