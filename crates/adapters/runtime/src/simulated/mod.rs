//! A runtime in which nothing is real: for tests, rehearsals and clusters larger than the machine.
//!
//! What a container does is scripted by its image or labels (see [`Script`]). Nothing runs: whether a container has
//! ended and what it has written is worked out from the time when someone asks, so ten thousand containers cost
//! no more than their entries. Time is that of `tokio`, so tests that pause it are exact and repeatable.

mod commands;
mod script;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::time::Instant;
use tokio_stream::wrappers::BroadcastStream;
use univrs_model::ids::InstanceId;
use univrs_model::node::RuntimeKind;
use univrs_model::span::Span;
use univrs_ports::runtime::{
    ContainerId, ContainerSpec, ContainerState, ContainerUsage, ExecSession, ExecSpec, Exit, LogLine,
    LogQuery, Runtime, RuntimeError, RuntimeInventory, Sandbox,
};

pub use script::{InvalidScript, Script};
use world::World;

const KILL: i32 = 9;
/// How often a follower looks for more lines.
const LOOK: Duration = Duration::from_millis(100);

/// Pretends to run containers.
#[derive(Clone)]
pub struct SimulatedRuntime {
    world: Arc<World>,
}

impl Default for SimulatedRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl SimulatedRuntime {
    /// A runtime without containers.
    pub fn new() -> Self {
        Self::at(jiff::Timestamp::now())
    }

    /// A runtime whose clock shows `epoch` now.
    pub fn at(epoch: jiff::Timestamp) -> Self {
        Self { world: World::new(epoch) }
    }

    /// The same containers as a daemon finds them that was started again.
    pub fn reopen(&self) -> Self {
        self.clone()
    }
}

fn not_found(id: &impl std::fmt::Display) -> RuntimeError {
    RuntimeError::NotFound { id: id.to_string() }
}

/// The container's labels, and its variables `SIMULATE_SAYS` and the like as `simulate.says`: variables are what a
/// user's document can give a container.
fn scripted(spec: &ContainerSpec) -> BTreeMap<String, String> {
    let variables = spec.env.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix("SIMULATE_")?.to_ascii_lowercase();
        Some((format!("simulate.{key}"), value.clone()))
    });
    spec.labels.clone().into_iter().chain(variables).collect()
}

#[async_trait]
impl Runtime for SimulatedRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Simulated
    }

    async fn open_sandbox(&self, instance: &InstanceId, _hostname: &str) -> Result<Sandbox, RuntimeError> {
        self.world.lock().sandboxes.entry(instance.clone()).or_default();
        Ok(Sandbox { instance: instance.clone(), netns: None })
    }

    async fn close_sandbox(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        self.world.lock().sandboxes.remove(instance);
        Ok(())
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<ContainerState, RuntimeError> {
        let id = &spec.id;
        let script = Script::read(&spec.image.reference, [&spec.image.config.labels, &scripted(spec)])
            .map_err(|error| RuntimeError::Refused { id: id.to_string(), reason: error.to_string() })?;
        if let Some(state) = self.world.existing(spec)? {
            return Ok(state);
        }
        // Even a sleep of no length costs a millisecond.
        if !script.start_delay.is_zero() {
            tokio::time::sleep(script.start_delay).await;
        }
        if let Some(reason) = &script.fail_start {
            return Err(RuntimeError::Refused { id: id.to_string(), reason: reason.clone() });
        }
        if spec.attempt < script.fail_first {
            return Err(RuntimeError::Failed {
                id: id.to_string(),
                step: "start",
                reason: format!("attempts before {} fail as scripted", script.fail_first),
            });
        }
        self.world.insert(spec, script)
    }

    async fn stop(&self, id: &ContainerId, grace: Span) -> Result<Exit, RuntimeError> {
        let grace = Instant::now() + grace.duration();
        let end = self.world.ask_to_end(id, Instant::now())?;
        let end = match end {
            Some(end) if end <= grace => end,
            _ => self.world.end_by(id, grace, 128 + KILL)?,
        };
        tokio::time::sleep_until(end).await;
        self.world.exit(id)
    }

    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        let Some(number) = crate::signals::number(signal) else {
            return Err(RuntimeError::Refused {
                id: id.to_string(),
                reason: format!("`{signal}` is not a signal"),
            });
        };
        self.world.running(id)?;
        match number {
            KILL => drop(self.world.end_by(id, Instant::now(), 128 + KILL)?),
            // Those that end a program which does not say otherwise, and that people send to that purpose.
            1 | 2 | 3 | 15 => drop(self.world.ask_to_end(id, Instant::now())?),
            _ => {}
        }
        Ok(())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>, RuntimeError> {
        Ok(self.world.state(id))
    }

    async fn list(&self) -> Result<RuntimeInventory, RuntimeError> {
        Ok(self.world.inventory())
    }

    fn endings(&self) -> BoxStream<'static, ContainerId> {
        BroadcastStream::new(self.world.endings()).filter_map(|id| async { id.ok() }).boxed()
    }

    async fn logs(
        &self,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        let mut first = self.world.lines(id, 0).ok_or_else(|| not_found(id))?;
        let seen = first.len();
        first.retain(|line| query.since.is_none_or(|since| line.at >= since));
        if let Some(tail) = query.tail {
            first.drain(..first.len().saturating_sub(tail));
        }
        let now = stream::iter(first).map(Ok);
        if !query.follow {
            return Ok(now.boxed());
        }
        let later =
            stream::unfold((Arc::clone(&self.world), id.clone(), seen), |(world, id, seen)| async move {
                loop {
                    tokio::time::sleep(LOOK).await;
                    let lines = world.lines(&id, seen)?;
                    if !lines.is_empty() {
                        let seen = seen + lines.len();
                        return Some((lines, (world, id, seen)));
                    }
                }
            });
        Ok(now.chain(later.flat_map(|lines| stream::iter(lines).map(Ok))).boxed())
    }

    async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecSession, RuntimeError> {
        self.world.running(id)?;
        commands::run(id, &spec)
    }

    async fn usage(&self, id: &ContainerId) -> Result<ContainerUsage, RuntimeError> {
        self.world.usage(id)
    }

    async fn purge(&self) -> Result<(), RuntimeError> {
        self.world.lock().sandboxes.clear();
        Ok(())
    }
}
