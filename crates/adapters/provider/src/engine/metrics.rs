//! What the containers and volumes of a resource use, as the engine and the file systems of its volumes say.

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::{InspectContainerOptions, StatsOptionsBuilder};
use futures::StreamExt as _;
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use univrs_model::resource::REQUESTS_LABEL;
use univrs_model::usage::{Reading, requests_in};
use univrs_ports::provider::{ProviderError, ResourceRef, ResourceUse};

use super::link::failed;
use super::places::Places;
use super::things::{self, Thing};

/// In how many lines of a log a count of requests is looked for.
const LINES: usize = 200;

/// What a resource uses now; nothing when none of its containers runs.
pub(crate) async fn of(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
    places: &Places,
) -> Result<Option<ResourceUse>, ProviderError> {
    let mut found = ResourceUse::default();
    let running = things::containers(engine, provider, resource).await?.into_iter().filter(Thing::runs);
    for thing in running {
        let seen = engine.docker().inspect_container(&thing.id, None::<InspectContainerOptions>).await;
        let seen = unless(&[NOT_FOUND], seen).map_err(failed(engine, "look at a container"))?;
        let started: Option<jiff::Timestamp> = seen.and_then(|seen| seen.state?.started_at?.parse().ok());
        // What has just ended is seen the next time, or never again.
        let (Some(since), Some(stats)) = (started, stats(engine, &thing.id).await?) else { continue };
        let requests = if thing.label(REQUESTS_LABEL).is_empty() {
            None
        } else {
            let lines = things::last_lines(engine, &thing.id, LINES).await?;
            requests_in(lines.iter().map(String::as_str))
        };
        found.memory += memory(&stats);
        found.readings.insert(thing.name, Reading { requests, ..reading(since, &stats) });
    }
    if found.readings.is_empty() {
        return Ok(None);
    }
    for volume in things::volumes(engine, provider, resource).await? {
        if let Some(seen) = places.usage(resource, &volume).await {
            found.volumes.insert(volume, seen);
        }
    }
    Ok(Some(found))
}

/// The label of a container that counts requests, if the workload says that it is this one.
pub(crate) fn counts(
    spec: &univrs_model::workload::WorkloadSpec,
    container: &str,
) -> Option<(String, String)> {
    let counter = spec.labels.get(REQUESTS_LABEL)?;
    (counter == container).then(|| (REQUESTS_LABEL.to_owned(), counter.clone()))
}

async fn stats(engine: &Engine, id: &str) -> Result<Option<ContainerStatsResponse>, ProviderError> {
    // At once: without this the engine measures for a second or two.
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    let mut said = std::pin::pin!(engine.docker().stats(id, Some(options)));
    let said = said.next().await.transpose();
    unless(&[NOT_FOUND, CONFLICT], said).map(Option::flatten).map_err(failed(engine, "measure a container"))
}

fn reading(since: jiff::Timestamp, stats: &ContainerStatsResponse) -> Reading {
    let cpu = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    let networks = stats.networks.iter().flat_map(|networks| networks.values());
    let (network_in, network_out) = networks.fold((0, 0), |(received, sent), network| {
        (received + network.rx_bytes.unwrap_or(0), sent + network.tx_bytes.unwrap_or(0))
    });
    Reading { since, cpu_micros: cpu.unwrap_or(0) / 1000, network_in, network_out, requests: None }
}

/// Memory without what the kernel would give back at once; the names are those of both kinds of control groups.
fn memory(stats: &ContainerStatsResponse) -> u64 {
    let Some(memory) = &stats.memory_stats else { return 0 };
    let known = memory.stats.as_ref();
    let reclaimable = ["total_inactive_file", "inactive_file"]
        .into_iter()
        .find_map(|name| known.and_then(|known| known.get(name)).copied());
    memory.usage.unwrap_or(0).saturating_sub(reclaimable.unwrap_or(0))
}
