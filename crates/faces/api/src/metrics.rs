//! What Prometheus sees. Gauges are computed from the state when asked; counters move where things happen.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use univrs_control::State;
use univrs_model::node::NodeState;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    resource: String,
}

/// Everything this process measures.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Histogram,
    instances: Family<PhaseLabels, Gauge>,
    workloads: Family<StatusLabels, Gauge>,
    nodes: Family<StatusLabels, Gauge>,
    capacity: Family<ResourceLabels, Gauge<f64, AtomicU64>>,
    revision: Gauge,
    images_removed: Counter,
    image_bytes_freed: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("univrs");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "API requests answered", requests.clone());
        let latency = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        registry.register_with_unit(
            "http_request_duration",
            "Time to answer an API request",
            Unit::Seconds,
            latency.clone(),
        );
        let instances = Family::<PhaseLabels, Gauge>::default();
        registry.register("instances", "Instances by phase", instances.clone());
        let workloads = Family::<StatusLabels, Gauge>::default();
        registry.register("workloads", "Workloads by status", workloads.clone());
        let nodes = Family::<StatusLabels, Gauge>::default();
        registry.register("nodes", "Nodes by state", nodes.clone());
        let capacity = Family::<ResourceLabels, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "capacity",
            "What ready nodes have to give: cores of CPU, bytes of memory and disk",
            capacity.clone(),
        );
        let revision = Gauge::default();
        registry.register(
            "state_revision",
            "Revision of the replicated state that this process has seen",
            revision.clone(),
        );
        let images_removed = Counter::default();
        registry.register(
            "images_removed",
            "Image references removed because nobody needs them",
            images_removed.clone(),
        );
        let image_bytes_freed = Counter::default();
        registry.register_with_unit(
            "image_store_freed",
            "Space that removed images gave back",
            Unit::Bytes,
            image_bytes_freed.clone(),
        );
        Self {
            registry,
            requests,
            latency,
            instances,
            workloads,
            nodes,
            capacity,
            revision,
            images_removed,
            image_bytes_freed,
        }
    }
}

impl Metrics {
    /// Takes in what another part of the process measures; it is asked whenever metrics are.
    #[must_use]
    pub fn with(mut self, collector: Box<dyn Collector>) -> Self {
        self.registry.register_collector(collector);
        self
    }

    /// Counts a request that was answered. `route` is the pattern, not the path, so that series stay few.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.latency.observe(took.as_secs_f64());
    }

    /// Counts images that were removed because nobody needs them, and the bytes that became free.
    pub fn images_collected(&self, images: u64, bytes: u64) {
        self.images_removed.inc_by(images);
        self.image_bytes_freed.inc_by(bytes);
    }

    /// All series as text.
    pub fn render(&self, state: &State) -> String {
        self.instances.clear();
        for id in state.assignments.keys() {
            let Some(instance) = state.instance(id) else { continue };
            let phase = lower(&instance.phase());
            self.instances.get_or_create(&PhaseLabels { phase }).inc();
        }
        self.workloads.clear();
        for key in state.workloads.keys() {
            let status = state.rollouts.get(key).map_or_else(Default::default, |rollout| rollout.status);
            self.workloads.get_or_create(&StatusLabels { status: lower(&status) }).inc();
        }
        self.nodes.clear();
        let (mut cores, mut memory, mut disk) = (0.0, 0.0, 0.0);
        for (id, node) in &state.nodes {
            let alive = state.nodes_alive.contains(id);
            let status = lower(&if alive { NodeState::Ready } else { NodeState::Lost });
            self.nodes.get_or_create(&StatusLabels { status }).inc();
            if alive {
                {
                    cores += node.capacity.cpu.as_millicores() as f64 / 1000.0;
                    memory += node.capacity.memory.get() as f64;
                    disk += node.capacity.disk.get() as f64;
                }
            }
        }
        for (resource, amount) in [("cpu_cores", cores), ("memory_bytes", memory), ("disk_bytes", disk)] {
            self.capacity.get_or_create(&ResourceLabels { resource: resource.to_owned() }).set(amount);
        }
        self.revision.set(i64::try_from(state.revision.0).unwrap_or(i64::MAX));
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => as_text_format(&text),
            Err(error) => {
                tracing::error!(%error, "metrics could not be written");
                String::new()
            }
        }
    }
}

/// OpenMetrics as Prometheus' text format has it: counters are described under the name that their samples have,
/// and there are no unit and end lines.
fn as_text_format(open_metrics: &str) -> String {
    let type_of = |line: &str| -> Option<(String, bool)> {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind == "counter"))
    };
    let counters: std::collections::BTreeSet<String> = open_metrics
        .lines()
        .filter_map(type_of)
        .filter(|(_, counter)| *counter)
        .map(|(name, _)| name)
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let described = ["# HELP ", "# TYPE "].iter().find_map(|kind| {
            let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
            counters.contains(name).then(|| format!("{kind}{name}_total {rest}"))
        });
        text.push_str(described.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

fn lower(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use univrs_control::State;

    use super::{Metrics, as_text_format};

    #[test]
    fn removed_images_are_counted_with_what_they_freed() {
        let metrics = Metrics::default();
        metrics.images_collected(2, 700);
        metrics.images_collected(1, 50);
        let text = metrics.render(&State::default());
        for line in ["univrs_images_removed_total 3", "univrs_image_store_freed_bytes_total 750"] {
            assert!(text.lines().any(|own| own == line), "{text}");
        }
    }

    #[test]
    fn counters_are_described_under_their_samples_name() {
        let text = as_text_format(
            "# HELP a Requests.\n# TYPE a counter\na_total 1\n# HELP b_seconds Time.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n# EOF\n",
        );
        assert_eq!(
            text,
            "# HELP a_total Requests.\n# TYPE a_total counter\na_total 1\n# HELP b_seconds Time.\n# TYPE b_seconds histogram\n"
        );
    }
}
