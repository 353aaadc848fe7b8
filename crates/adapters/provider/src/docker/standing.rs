//! How a resource is doing, read off the engine.

use std::collections::{BTreeMap, BTreeSet};

use bollard::query_parameters::InspectContainerOptions;
use futures::future::try_join_all;
use jiff::Timestamp;
use univrs_docker::engine::{Engine, NOT_FOUND, unless};
use univrs_model::workload::HealthCheck;
use univrs_ports::provider::{ProviderError, ResourceRef, Standing};

use super::{DockerProvider, ID};
use crate::engine::link::failed;
use crate::engine::things::{self, Thing};
use crate::engine::{labels, probe};

impl DockerProvider {
    /// How the services of a resource are doing. An engine that is away is why it does not serve.
    pub(super) async fn standing(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        let engine = match self.ground.link.engine().await {
            Ok(engine) => engine,
            Err(error) => return Ok(Standing::Waiting { reason: error.to_string() }),
        };
        let things = match things::containers(&engine, ID, resource).await {
            Ok(things) => things,
            Err(error @ ProviderError::Temporary { .. }) => {
                return Ok(Standing::Waiting { reason: error.to_string() });
            }
            Err(error) => return Err(error),
        };
        let services: Vec<Thing> =
            things.into_iter().filter(|thing| thing.label(labels::KIND) == "service").collect();
        if services.is_empty() {
            return Ok(Standing::Absent);
        }
        if let Some(reason) = lacking(&services).or_else(|| services.iter().find_map(unwell)) {
            return Ok(Standing::Waiting { reason });
        }
        let lives = try_join_all(services.iter().map(|thing| life(&engine, thing))).await?;
        if let Some(reason) = cut_off(&services, &lives) {
            return Ok(Standing::Waiting { reason });
        }
        for (thing, life) in
            services.iter().zip(&lives).filter(|(thing, _)| thing.labels.contains_key(labels::CHECK))
        {
            if let Err(reason) = check(thing, life.pid).await {
                return Ok(Standing::Waiting { reason: format!("{}: {reason}", called(thing)) });
            }
        }
        Ok(Standing::Serving { host: self.ground.options.host.clone() })
    }
}

/// What people call a container.
pub(crate) fn called(thing: &Thing) -> String {
    let workload = thing.label(labels::WORKLOAD);
    match thing.label(labels::CONTAINER) {
        "" => workload.to_owned(),
        container => format!("{workload}/{container}"),
    }
}

/// What there should be and is not.
fn lacking(services: &[Thing]) -> Option<String> {
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for thing in services {
        let count = counts.entry(thing.label(labels::WORKLOAD)).or_default();
        if thing.labels.contains_key(labels::CONTAINER) {
            count.containers += 1;
            continue;
        }
        count.replicas += 1;
        wanted.extend(thing.label(labels::WORKLOADS).split(','));
        let parts = thing.label(labels::PARTS).split_once('/');
        count.should =
            parts.and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?))).or(count.should);
    }
    for workload in wanted {
        let Some(count) = counts.get(workload) else { return Some(format!("{workload} is not there")) };
        let (each, number) = count.should.unwrap_or((0, 1));
        if count.replicas < number || count.containers < each * number {
            return Some(format!(
                "{workload}: {} of {} containers are there, {} of {number} replicas",
                count.containers,
                each * number,
                count.replicas
            ));
        }
    }
    let lost = counts.iter().find(|(_, count)| count.should.is_none());
    lost.map(|(workload, _)| format!("{workload} has lost its network"))
}

/// What there is of a workload.
#[derive(Default)]
struct Count {
    /// Containers of each replica and replicas that there should be; unknown when nothing holds its network.
    should: Option<(usize, usize)>,
    containers: usize,
    replicas: usize,
}

/// Why a container does not serve, by what the engine says of it.
pub(crate) fn unwell(thing: &Thing) -> Option<String> {
    if !thing.runs() {
        return Some(format!("{} does not run: {}", called(thing), thing.status));
    }
    if thing.status.contains("(health: starting)") {
        return Some(format!("{} is starting", called(thing)));
    }
    thing
        .status
        .contains("(unhealthy)")
        .then(|| format!("{} does not pass its check of health", called(thing)))
}

/// What the engine knows of a container that runs.
#[derive(Default)]
pub(crate) struct Life {
    pub(crate) pid: Option<i32>,
    started: Option<Timestamp>,
}

pub(crate) async fn life(engine: &Engine, thing: &Thing) -> Result<Life, ProviderError> {
    let found = engine.docker().inspect_container(&thing.id, None::<InspectContainerOptions>).await;
    let found = unless(&[NOT_FOUND], found).map_err(failed(engine, "look at a container"))?;
    let Some(state) = found.and_then(|found| found.state) else { return Ok(Life::default()) };
    let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    Ok(Life { pid, started: state.started_at.and_then(|text| text.parse().ok()) })
}

/// A container that joined a network before what holds it now was started: the network it is in is gone.
fn cut_off(services: &[Thing], lives: &[Life]) -> Option<String> {
    let replica =
        |thing: &Thing| (thing.label(labels::WORKLOAD).to_owned(), thing.label(labels::INDEX).to_owned());
    let all = || services.iter().zip(lives);
    let holders: BTreeMap<_, _> = all()
        .filter(|(thing, _)| !thing.labels.contains_key(labels::CONTAINER))
        .map(|(thing, life)| (replica(thing), life.started))
        .collect();
    let early = |(thing, life): &(&Thing, &Life)| {
        holders.get(&replica(thing)).is_some_and(|held| life.started < *held)
    };
    all().find(early).map(|(thing, _)| format!("{} has lost its network", called(thing)))
}

/// Makes the check that the engine cannot make.
pub(crate) async fn check(thing: &Thing, pid: Option<i32>) -> Result<(), String> {
    let Ok(check) = serde_json::from_str::<HealthCheck>(thing.label(labels::CHECK)) else { return Ok(()) };
    let pid = pid.ok_or("it has just ended")?;
    // The process is about to be used as one of this machine: it must be the one that Docker means.
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    if !groups.contains(&thing.id) {
        return Err("Docker runs on another machine, where this check cannot be made".to_owned());
    }
    probe::probe(pid, check).await
}
