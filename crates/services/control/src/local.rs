//! The control plane as the node on the same machine sees it: memory reads and store writes, no network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Mutex;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::Observation;
use univrs_model::keys;
use univrs_model::node::Node;
use univrs_model::usage::{Measured, Measures};
use univrs_model::volume::Volume;
use univrs_ports::clock::Clock;
use univrs_ports::control_plane::{ControlPlane, ControlPlaneError, OrderChanges, Report};
use univrs_ports::store::{LeaseId, Op, Revision, StateStore, Txn, TxnOutcome};

use crate::error::Error;
use crate::mirror::Mirror;
use crate::record::{delete, key, put, unchanged};
use crate::state::State;
use crate::volumes::removed_event;

/// How long a node counts as alive after its last sign of life, of which it gives one every second.
pub const NODE_LEASE: Duration = Duration::from_secs(4);

/// Observations that are written at once; each takes a guard and a write.
const MOST_OBSERVATIONS: usize = 1000;

/// The control plane for the node on this machine.
pub struct LocalControlPlane {
    store: Arc<dyn StateStore>,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
    /// The node's lease, and the revision at which its sign of life was attached to it.
    lease: Mutex<Option<(LeaseId, Revision)>>,
    /// The revision of each observation that this process wrote last; the picture may not have it yet.
    told: Mutex<BTreeMap<InstanceId, Option<Revision>>>,
    serial: AtomicU64,
}

impl LocalControlPlane {
    /// A control plane over the store and picture of this process.
    pub fn new(store: Arc<dyn StateStore>, mirror: Mirror, clock: Arc<dyn Clock>) -> Self {
        // Event keys of nodes start high, so that they never meet those of the faces.
        Self {
            store,
            mirror,
            clock,
            lease: Mutex::new(None),
            told: Mutex::default(),
            serial: AtomicU64::new((1 << 31) + crate::handle::own_numbers()),
        }
    }
}

impl LocalControlPlane {
    /// Says that the node stops on purpose and will be back: it counts as alive for `span`, so that nobody replaces what
    /// goes on running on it meanwhile. The next registration ends that.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn away(&self, node: &NodeId, span: Duration) -> Result<(), ControlPlaneError> {
        let write = async {
            let grant = self.store.lease_grant(span).await?;
            let alive =
                Op::Put { key: key(keys::node_alive(node))?, value: Bytes::new(), lease: Some(grant.id) };
            self.store.txn(Txn { request: None, guards: Vec::new(), ops: vec![alive] }).await?;
            Ok::<_, Error>(())
        };
        write.await.map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &Error) -> ControlPlaneError {
    ControlPlaneError::Unavailable { reason: error.to_string() }
}

#[async_trait]
impl ControlPlane for LocalControlPlane {
    async fn register(&self, node: &Node) -> Result<(), ControlPlaneError> {
        let write = async {
            let grant = self.store.lease_grant(NODE_LEASE).await?;
            let alive =
                Op::Put { key: key(keys::node_alive(&node.id))?, value: Bytes::new(), lease: Some(grant.id) };
            // The node keeps the day it first came.
            let known = self.mirror.state().nodes.get(&node.id).map(|known| known.created_at);
            let node = Node { created_at: known.unwrap_or(node.created_at), ..node.clone() };
            let ops = vec![put(keys::node(&node.id), &node)?, alive];
            let outcome = self.store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
            if let Some(revision) = outcome.committed() {
                *self.lease.lock().await = Some((grant.id, revision));
                // What was decided while the node was away is known before it acts.
                self.mirror.at_least(revision).await;
            }
            Ok::<_, Error>(())
        };
        write.await.map_err(|error| unavailable(&error))
    }

    async fn keep_alive(&self, node: &NodeId) -> Result<(), ControlPlaneError> {
        let refused =
            |reason: &str| ControlPlaneError::Refused { node: node.clone(), reason: reason.to_owned() };
        let (lease, since) = (*self.lease.lock().await).ok_or_else(|| refused("it has not registered"))?;
        match self.store.lease_keep_alive(lease).await {
            Ok(_) => {
                // An earlier registration that came late attaches the sign of life to a lease that nobody renews.
                let state = self.mirror.state();
                if state.revision >= since && !state.nodes_alive.contains(node) {
                    return Err(refused("its sign of life is gone"));
                }
                Ok(())
            }
            Err(univrs_ports::store::Error::LeaseNotFound { .. }) => Err(refused("its lease has run out")),
            Err(error) => Err(unavailable(&error.into())),
        }
    }

    fn orders(&self, node: &NodeId) -> BoxStream<'static, OrderChanges> {
        let node = node.clone();
        tokio_stream::wrappers::WatchStream::new(self.mirror.subscribe())
            .scan(None, move |known: &mut Option<State>, state| {
                let changes = state.orders_since(known.as_ref(), &node);
                let news = known.is_none() || !changes.is_empty();
                *known = Some(state);
                futures::future::ready(Some(news.then_some(changes)))
            })
            .filter_map(futures::future::ready)
            .boxed()
    }

    async fn images_named(&self) -> Result<BTreeSet<String>, ControlPlaneError> {
        let state = self.mirror.state();
        let kept = state.rollouts.values().flat_map(|rollout| &rollout.revisions).map(|kept| &kept.spec);
        let specs = state.workloads.values().map(|workload| &workload.spec).chain(kept);
        Ok(specs.flat_map(|spec| spec.containers()).map(|container| container.image).collect())
    }

    fn unwanted_volumes(&self, node: &NodeId) -> BoxStream<'static, Vec<Volume>> {
        let node = node.clone();
        let mut known = Vec::new();
        tokio_stream::wrappers::WatchStream::new(self.mirror.subscribe())
            .map(move |state| state.unwanted_volumes(&node))
            // Almost no change of the state is about volumes.
            .filter(move |volumes| {
                let differs = known != *volumes;
                known.clone_from(volumes);
                futures::future::ready(differs)
            })
            .boxed()
    }

    async fn volume_removed(&self, _node: &NodeId, volume: &Volume) -> Result<(), ControlPlaneError> {
        let write = async {
            let at = keys::volume(&volume.org, &volume.workload, &volume.name, &volume.place);
            let now = self.clock.now();
            let number = self.serial.fetch_add(1, Ordering::Relaxed);
            let event = put(keys::event(&volume.org, now, number), &removed_event(volume, now))?;
            // It may have been said before, and the place may have a new volume since.
            let known = self.mirror.state().volumes.get(&at).filter(|known| known.id == volume.id).cloned();
            if let Some(known) = known {
                let guards = vec![unchanged(at.clone(), Some(known.revision))?];
                self.store.txn(Txn { request: None, guards, ops: vec![delete(at)?, event] }).await?;
            }
            Ok::<_, Error>(())
        };
        write.await.map_err(|error| unavailable(&error))
    }

    async fn reported(&self, node: &NodeId) -> Result<Vec<Observation>, ControlPlaneError> {
        let state = self.mirror.state();
        let ids: Vec<_> = state.assignments_on(node).map(|assignment| assignment.id.clone()).collect();
        Ok(ids
            .iter()
            .filter_map(|id| state.observations.get(id))
            .map(|seen| Observation::clone(seen))
            .collect())
    }

    async fn report(&self, node: &NodeId, report: Report) -> Result<(), ControlPlaneError> {
        let mut told = self.told.lock().await;
        // Parts of a large report; when one of them fails, all are told again.
        let mut parts = report.observations.chunks(MOST_OBSERVATIONS);
        let (first, gone) = (parts.next().unwrap_or_default().to_vec(), report.gone);
        let first = Report { observations: first, gone, events: report.events };
        let others = parts.map(|part| Report { observations: part.to_vec(), ..Report::default() });
        for part in std::iter::once(first).chain(others) {
            self.tell(node, &part, &mut told).await.map_err(|error| unavailable(&error))?;
        }
        Ok(())
    }

    async fn measured_before(&self, node: &NodeId) -> Result<Vec<Measured>, ControlPlaneError> {
        let state = self.mirror.state();
        let own = state.measured_by(node).filter(|measured| !measured.closed && measured.by.is_none());
        Ok(own.map(|measured| Measured::clone(measured)).collect())
    }

    async fn measured(&self, node: &NodeId, measures: Measures) -> Result<(), ControlPlaneError> {
        let write = async {
            let mut ops = Vec::new();
            for one in &measures.instances {
                ops.push(put(keys::measured(node, one.window, &one.instance), one)?);
            }
            if let Some(volumes) = &measures.volumes {
                ops.push(put(keys::measured_volumes(node), volumes)?);
            }
            if !ops.is_empty() {
                self.store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
            }
            Ok::<_, Error>(())
        };
        write.await.map_err(|error| unavailable(&error))
    }
}

impl LocalControlPlane {
    /// Writes a report in one transaction.
    async fn tell(
        &self,
        node: &NodeId,
        report: &Report,
        told: &mut BTreeMap<InstanceId, Option<Revision>>,
    ) -> Result<(), Error> {
        loop {
            let txn = self.write_down(node, report, told)?;
            if txn.ops.is_empty() {
                return Ok(());
            }
            match self.store.txn(txn).await? {
                TxnOutcome::Committed { revision } => {
                    told.extend(report.observations.iter().map(|seen| (seen.id.clone(), Some(revision))));
                    told.retain(|id, _| !report.gone.contains(id));
                    return Ok(());
                }
                TxnOutcome::GuardFailed { index, actual_mod_revision, .. } => {
                    // An earlier report came late after all, or the control plane removed what is over.
                    let Some(seen) = report.observations.get(index) else { return Ok(()) };
                    told.insert(seen.id.clone(), actual_mod_revision);
                }
            }
        }
    }

    /// What a report writes. Each observation replaces the one before it and nothing else: a report that comes late,
    /// after a newer one, is without effect.
    fn write_down(
        &self,
        node: &NodeId,
        report: &Report,
        told: &BTreeMap<InstanceId, Option<Revision>>,
    ) -> Result<Txn, Error> {
        let state = self.mirror.state();
        let mut txn = Txn::default();
        for seen in &report.observations {
            let at = keys::observed(node, &seen.id);
            let in_picture = || state.observations.get(&seen.id).map(|known| known.revision);
            let known = told.get(&seen.id).copied().unwrap_or_else(in_picture);
            txn.guards.push(unchanged(at.clone(), known)?);
            txn.ops.push(put(at, seen)?);
        }
        for gone in &report.gone {
            txn.ops.push(delete(keys::observed(node, gone))?);
        }
        for (org, event) in &report.events {
            let number = self.serial.fetch_add(1, Ordering::Relaxed);
            txn.ops.push(put(keys::event(org, self.clock.now(), number), event)?);
        }
        Ok(txn)
    }
}
