//! What store and ingress measure of themselves, as series of the metrics face.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use univrs_api::Metrics;
use univrs_network::ingress::{IngressMetrics, WorkloadSnapshot};
use univrs_store::RaftStore;

/// All series of this process: with those of the copy of the state and of the ingress, where it has them.
pub(super) fn of(copy: Option<&RaftStore>, ingress: Option<Arc<IngressMetrics>>) -> Metrics {
    let mut all = Metrics::default();
    if let Some(copy) = copy {
        all = all.with(Box::new(OfStore(copy.clone())));
    }
    if let Some(ingress) = ingress {
        all = all.with(Box::new(OfIngress(ingress)));
    }
    all
}

/// The series of the store.
struct OfStore(RaftStore);

/// The series of the ingress.
#[derive(Debug)]
struct OfIngress(Arc<IngressMetrics>);

impl fmt::Debug for OfStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "OfStore({:?})", self.0.figures())
    }
}

impl Collector for OfStore {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.0.figures();
        let whole = |number: usize| ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        let index = |number: u64| ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        let yes = |value: bool| ConstGauge::new(i64::from(value));
        one(&mut to, "store_leads", "Whether this member leads the store", None, yes(figures.leads))?;
        one(&mut to, "store_term", "Term of the store's election", None, index(figures.term))?;
        one(&mut to, "store_members", "Members that have a copy of the store", None, whole(figures.members))?;
        one(&mut to, "store_voters", "Members that vote", None, whole(figures.voters))?;
        one(&mut to, "store_log_index", "Last entry of the log here", None, index(figures.last_index))?;
        let applied = index(figures.applied_index);
        one(
            &mut to,
            "store_applied_index",
            "Last entry of the log that is in the state here",
            None,
            applied,
        )?;
        one(&mut to, "store_disk_full", "Whether the log has no room to grow", None, yes(figures.disk_full))?;
        let syncs = ConstCounter::new(figures.syncs);
        one(&mut to, "store_syncs", "Syncs of the log to the disk", None, syncs)?;
        let syncing = ConstCounter::new(figures.syncing.as_secs_f64());
        one(&mut to, "store_syncing", "Time that syncs of the log took", Some(&Unit::Seconds), syncing)
    }
}

impl Collector for OfIngress {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let workloads = self.0.workloads();
        let count = |number: u64| ConstCounter::new(number);
        let level = |number: u64| ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        each(&mut to, "ingress_requests", "Requests with a route to a workload", &workloads, |at| {
            count(at.requests)
        })?;
        each(&mut to, "ingress_retries", "Requests tried again on another instance", &workloads, |at| {
            count(at.retries)
        })?;
        let refused = "Requests that the ingress had to refuse: no instance, no connection, no answer";
        each(&mut to, "ingress_errors", refused, &workloads, |at| count(at.errors))?;
        each(
            &mut to,
            "ingress_in_flight",
            "Requests and upgraded connections under way",
            &workloads,
            |at| level(at.in_flight),
        )?;
        let unrouted = count(self.0.unrouted());
        one(&mut to, "ingress_unrouted_requests", "Requests that no route matched", None, unrouted)?;
        one(&mut to, "ingress_connections", "Open connections of clients", None, level(self.0.connections()))
    }
}

fn one(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    metric: impl EncodeMetric,
) -> fmt::Result {
    metric.encode(to.encode_descriptor(name, help, unit, metric.metric_type())?)
}

/// One sample for each workload; no description without a sample.
fn each<M: EncodeMetric>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    workloads: &[WorkloadSnapshot],
    read: impl Fn(&WorkloadSnapshot) -> M,
) -> fmt::Result {
    let Some(first) = workloads.first() else { return Ok(()) };
    let mut family = to.encode_descriptor(name, help, None, read(first).metric_type())?;
    for workload in workloads {
        let labels = [("workload", workload.workload.as_str())];
        read(workload).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
