//! Delivers notices: each until it has arrived, or for some hours. What is under way lies in the state, so that another
//! leader goes on; a notice whose delivery was not recorded is delivered again with the same id.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use univrs_model::alert::Delivery;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::keys;
use univrs_ports::notify::NotifyError;
use univrs_ports::store::Txn;

use super::Watching;
use crate::error::Error;
use crate::record::{Record, delete, put, unchanged};

/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many are under way at once.
const AT_ONCE: usize = 16;
/// How often one is tried: with the pauses below, for about three and a half hours.
const ATTEMPTS: u32 = 22;
/// The pause after the first failure; it doubles each time.
const PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// The longest pause.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

impl Watching {
    pub(super) async fn deliver(&self, leading: watch::Receiver<bool>) {
        let mut due = tokio::time::interval(self.look / 10);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pictures = self.control.mirror.subscribe();
        loop {
            if pictures.wait_for(|state| !state.deliveries.is_empty()).await.is_err() {
                // The picture ends with the daemon.
                std::future::pending::<()>().await;
            }
            due.tick().await;
            if !*leading.borrow() {
                continue;
            }
            let now = self.control.clock.now();
            let state = self.control.mirror.state();
            let ready = state.deliveries.iter().filter(|(_, delivery)| delivery.due <= now);
            let ready: Vec<_> = ready.map(|(at, record)| (at.clone(), record.clone())).collect();
            let under_way =
                futures::stream::iter(ready).for_each_concurrent(AT_ONCE, async |(at, record)| {
                    if let Err(error) = self.deliver_one(at, &record).await {
                        tracing::warn!(%error, "a delivery could not be recorded");
                    }
                });
            under_way.await;
        }
    }

    async fn deliver_one(&self, at: String, record: &Record<Delivery>) -> Result<(), Error> {
        let org = &record.notice.org;
        let state = self.control.mirror.state();
        let settings = state.alert_settings.get(org);
        let mut channels = settings.iter().flat_map(|settings| &settings.channels);
        let guards = vec![unchanged(at.clone(), Some(record.revision))?];
        // Who does not want to be told any more is not.
        let channel = channels.find(|channel| *channel.name() == record.channel);
        let outcome = match channel {
            None => Ok(()),
            Some(channel) => {
                let password = channel.login().and_then(|login| self.control.newest_of(org, &login.secret));
                let delivering = self.notifier.deliver(channel, &record.notice, password.as_ref());
                tokio::time::timeout(PATIENCE, delivering).await.unwrap_or_else(|_| {
                    let reason = format!("no answer within {} s", PATIENCE.as_secs());
                    Err(NotifyError { reason, temporary: true })
                })
            }
        };
        let now = self.control.clock.now();
        let ops = match outcome {
            Ok(()) => vec![delete(at)?],
            Err(error) if error.temporary && record.attempts + 1 < ATTEMPTS => {
                tracing::info!(notice = record.notice.id, channel = %record.channel, %error, "a notice is tried again");
                let due = now.saturating_add(pause(record.attempts)).unwrap_or(now);
                let next = Delivery {
                    attempts: record.attempts + 1,
                    due,
                    last_error: error.reason,
                    ..Delivery::clone(record)
                };
                vec![put(at, &next)?]
            }
            Err(error) => {
                let event = Event {
                    at: now,
                    kind: EventKind::AlertUndelivered,
                    severity: Severity::Warning,
                    workload: None,
                    instance: None,
                    node: None,
                    message: format!(
                        "notice {} did not reach {}: {}",
                        record.notice.id, record.channel, error.reason
                    ),
                };
                vec![delete(at)?, put(keys::event(org, now, self.control.next_serial()), &event)?]
            }
        };
        let outcome = self.control.store.txn(Txn { request: None, guards, ops }).await?;
        if let Some(revision) = outcome.committed() {
            self.control.mirror.at_least(revision).await;
        }
        Ok(())
    }
}

/// How long to wait after so many failures before this one.
fn pause(failed: u32) -> SignedDuration {
    PAUSE.checked_mul(1 << failed.min(16)).map_or(LONGEST, |pause| pause.min(LONGEST))
}
