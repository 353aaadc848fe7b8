//! The end of what may not run alone, by a daemon whose drivers are not there yet: it was started again on a node that is
//! cut off, and hears nobody.
//!
//! [`Guard`] knows without the control plane, and without a copy of the state, what that is and since when the node has
//! not been heard: both are kept on the machine ([`Keepsake`]). It begins before the state is waited for, and goes when
//! the drivers have taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::JoinSet;
use univrs_model::instance::InstanceOrder;
use univrs_model::span::Span;
use univrs_ports::keepsake::{Keepsake, Limit};
use univrs_ports::runtime::{ContainerId, ContainerPhase, Runtime};
use univrs_rollout::loss::stop_after;
use univrs_rollout::{Alone, judge_alone};

/// How often it looks at least: a machine may sleep, and limits may come.
const LOOK: Duration = Duration::from_millis(500);

/// Opens what containers run in, or gives it once more; called when there is something to end.
pub type OpenRuntime =
    Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Runtime>, String>> + Send + Sync + 'static>;

/// Ends what may not run alone, until it is dropped.
pub struct Guard {
    keepsake: Arc<dyn Keepsake>,
    watching: tokio::task::AbortHandle,
}

impl Guard {
    /// Begins. To be called as early in a process as can be: a node that nobody remembers to have been heard counts as
    /// cut off from here on, also for the processes that come after.
    pub fn begin(keepsake: Arc<dyn Keepsake>, runtime: OpenRuntime) -> Self {
        let begun = keepsake.uptime();
        if keepsake.heard().is_none() {
            keepsake.hear(begun);
        }
        let watch = Watch { keepsake: Arc::clone(&keepsake), runtime, begun, ending: BTreeSet::new() };
        Self { keepsake, watching: tokio::spawn(watch.run()).abort_handle() }
    }

    /// Ends it: others see to what may not run alone.
    pub(crate) fn end(&self) {
        self.watching.abort();
    }

    pub(crate) fn keepsake(&self) -> Arc<dyn Keepsake> {
        Arc::clone(&self.keepsake)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

struct Watch {
    keepsake: Arc<dyn Keepsake>,
    runtime: OpenRuntime,
    begun: Duration,
    /// What was asked to end and has not answered yet.
    ending: BTreeSet<ContainerId>,
}

impl Watch {
    async fn run(mut self) {
        // One that takes long to end keeps no other one waiting.
        let mut stops: JoinSet<ContainerId> = JoinSet::new();
        loop {
            if self.due().next().is_some() {
                self.end(&mut stops).await;
            }
            let wait = self.wait();
            // In order, so that a run can be repeated.
            tokio::select! {
                biased;
                Some(ended) = stops.join_next() => match ended {
                    Ok(id) => drop(self.ending.remove(&id)),
                    Err(error) => {
                        tracing::error!(%error, "the end of a container was not waited for");
                        self.ending.clear();
                    }
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn judge(&self, limit: &Limit, grace: Span) -> Alone {
        let heard = self.keepsake.heard().unwrap_or(self.begun);
        judge_alone(limit.stop_after, grace, heard, self.begun, self.keepsake.uptime())
    }

    /// Containers that have to end now, as far as it was not seen yet that they do.
    fn due(&self) -> impl Iterator<Item = (ContainerId, Span)> {
        self.limits_by_container().filter_map(|(id, limit, grace)| match self.judge(&limit, grace) {
            Alone::End { grace } if !self.ending.contains(&id) => Some((id, grace)),
            Alone::End { .. } | Alone::Run { .. } => None,
        })
    }

    fn limits_by_container(&self) -> impl Iterator<Item = (ContainerId, Limit, Span)> {
        self.keepsake.limits().into_iter().flat_map(|limit| {
            let graces = limit.graces.clone();
            graces.into_iter().map(move |(container, grace)| {
                (ContainerId { instance: limit.instance.clone(), container }, limit.clone(), grace)
            })
        })
    }

    /// Until when nothing is due.
    fn wait(&self) -> Duration {
        let now = self.keepsake.uptime();
        let next =
            self.limits_by_container().filter_map(|(_, limit, grace)| match self.judge(&limit, grace) {
                Alone::Run { until } => Some(until.saturating_sub(now)),
                Alone::End { .. } => None,
            });
        next.min().unwrap_or(LOOK).min(LOOK)
    }

    async fn end(&mut self, stops: &mut JoinSet<ContainerId>) {
        let runtime = match (self.runtime)().await {
            Ok(runtime) => runtime,
            Err(reason) => {
                tracing::warn!(reason, "what runs here cannot be reached yet; trying again");
                return;
            }
        };
        let running: BTreeSet<ContainerId> = match runtime.list().await {
            Ok(found) => {
                let running = found.containers.into_iter().filter(|one| one.phase == ContainerPhase::Running);
                running.map(|one| one.id).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "cannot see what runs here; trying again");
                return;
            }
        };
        // It may have been heard while that was looked at.
        let due: BTreeMap<ContainerId, Span> = self.due().filter(|(id, _)| running.contains(id)).collect();
        for (id, grace) in due {
            tracing::warn!(container = %id, "stopping what may not run on a node that is cut off");
            self.ending.insert(id.clone());
            let runtime = Arc::clone(&runtime);
            stops.spawn(async move {
                if let Err(error) = runtime.stop(&id, grace).await {
                    tracing::warn!(container = %id, %error, "a container could not be stopped; trying again");
                    // Not at once again.
                    tokio::time::sleep(LOOK).await;
                }
                id
            });
        }
    }
}

/// That an instance may not run alone, should its order say so.
pub(crate) fn limit(order: &InstanceOrder) -> Option<Limit> {
    let stop_after = stop_after(&order.spec)?;
    let containers = order.spec.containers().into_iter();
    let graces = containers.map(|container| (container.name, container.stop_grace)).collect();
    Some(Limit { instance: order.assignment.id.clone(), stop_after, graces })
}
