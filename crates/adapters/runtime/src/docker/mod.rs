//! Containers of a Docker Engine that this machine has already.
//!
//! The engine makes and keeps the containers; everything is read off it again, so a daemon that starts anew finds
//! what it left (`names` tells what is ours). Images come from the node's own store (`images`), and the network
//! is the node's own too: each instance has a container that holds its network namespace (`univrs_docker::pause`), into which
//! the node lays a link, and which the instance's containers join.

mod create;
mod endings;
mod engine;
mod exec;
mod images;
mod lines;
mod logs;
mod names;
mod sandbox;
mod start;
mod state;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bollard::models::{ContainerInspectResponse, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::BroadcastStream;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::node::RuntimeKind;
use univrs_model::span::Span;
use univrs_ports::images::ImageLibrary;
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, ContainerState, ContainerUsage, ExecSession, ExecSpec, Exit,
    LogLine, LogQuery, Runtime, RuntimeError, RuntimeInventory, Sandbox,
};

use crate::calls::{Turns, failed, refused, uninterrupted};
use crate::cgroup::Cgroups;
use engine::{CONFLICT, Engine, NOT_FOUND, unless};
use images::Copies;
use names::{Kind, Names};

/// Where Docker listens unless it was told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// How many endings may wait for someone to look.
const ENDINGS: usize = 1024;
/// How many containers are looked at at once.
const LOOKS: usize = 8;

/// Where and how containers are run.
#[derive(Clone)]
pub struct DockerOptions {
    /// Whose containers these are; part of every name.
    pub node: NodeId,
    /// For the namespaces' files, such as `/run/univrs/<node>`. Not shared with other nodes.
    pub run_dir: PathBuf,
    /// Where the engine listens.
    pub socket: PathBuf,
    /// Where images come from.
    pub images: Arc<dyn ImageLibrary>,
}

/// Runs containers with a Docker Engine.
#[derive(Clone)]
pub struct DockerRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    names: Names,
    run_dir: PathBuf,
    copies: Copies,
    cgroups: Cgroups,
    endings: broadcast::Sender<ContainerId>,
    turns: Turns,
    /// Listens to the engine until nobody uses the runtime any more.
    listener: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// A container of this node as the engine lists it.
struct Found {
    /// Its id in the engine.
    docker: String,
    kind: Kind,
    /// It was created and never started.
    unborn: bool,
}

impl DockerRuntime {
    /// Connects to the engine and checks that it can be used.
    ///
    /// # Errors
    /// [`RuntimeError::Unusable`] when it does not answer, is too old or lacks something, or without root, which
    /// the network of containers needs.
    pub async fn connect(options: DockerOptions) -> Result<Self, RuntimeError> {
        if !nix::unistd::geteuid().is_root() {
            let reason = "it has to be run as root, to give containers their addresses".to_owned();
            return Err(RuntimeError::Unusable { kind: RuntimeKind::Docker, reason });
        }
        let engine = Engine::connect(&options.socket).await?;
        let names = Names::new(options.node);
        let (endings, _) = broadcast::channel(ENDINGS);
        let listener = tokio::spawn(endings::listen(engine.clone(), names.clone(), endings.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                names,
                run_dir: options.run_dir,
                copies: Copies::new(options.images),
                cgroups: Cgroups::find(),
                endings,
                turns: Turns::default(),
                listener: listener.abort_handle(),
            }),
        })
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Docker
    }

    async fn open_sandbox(&self, instance: &InstanceId, hostname: &str) -> Result<Sandbox, RuntimeError> {
        let (inner, instance, hostname) = (Arc::clone(&self.inner), instance.clone(), hostname.to_owned());
        uninterrupted(async move {
            let _turn = inner.turns.take(&instance).await;
            inner.open_sandbox(&instance, &hostname).await
        })
        .await
    }

    async fn close_sandbox(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        let (inner, instance) = (Arc::clone(&self.inner), instance.clone());
        uninterrupted(async move {
            let turn = inner.turns.take(&instance).await;
            inner.close_sandbox(&instance).await?;
            inner.turns.end(&instance, turn);
            Ok(())
        })
        .await
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<ContainerState, RuntimeError> {
        let (inner, spec) = (Arc::clone(&self.inner), spec.clone());
        uninterrupted(async move {
            let _turn = inner.turns.take(&spec.id.instance).await;
            inner.start(&spec).await
        })
        .await
    }

    async fn stop(&self, id: &ContainerId, grace: Span) -> Result<Exit, RuntimeError> {
        self.inner.stop(id, grace).await
    }

    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        let number = crate::signals::number(signal)
            .ok_or_else(|| refused(id, format!("`{signal}` is not a signal")))?;
        let (docker, _) = self.inner.running(id).await?;
        if self.inner.send_signal(id, &docker, number).await? {
            Ok(())
        } else {
            Err(RuntimeError::NotRunning { id: id.to_string() })
        }
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>, RuntimeError> {
        Ok(self.inner.state(id).await?.map(|(_, state)| state))
    }

    async fn list(&self) -> Result<RuntimeInventory, RuntimeError> {
        self.inner.inventory().await
    }

    fn endings(&self) -> BoxStream<'static, ContainerId> {
        // Who falls behind has had hints enough.
        BroadcastStream::new(self.inner.endings.subscribe()).filter_map(|id| async { id.ok() }).boxed()
    }

    async fn logs(
        &self,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        logs::read(Arc::clone(&self.inner), id, query).await
    }

    async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecSession, RuntimeError> {
        let (inner, id) = (Arc::clone(&self.inner), id.clone());
        // When the caller has given up meanwhile, the session is dropped, and the command ends with it.
        uninterrupted(async move { inner.exec(&id, spec).await }).await
    }

    async fn usage(&self, id: &ContainerId) -> Result<ContainerUsage, RuntimeError> {
        let (_, state) = self.inner.running(id).await?;
        // Docker takes a second to answer this, and reads the same files.
        let cgroups = &self.inner.cgroups;
        let usage = state.pid.and_then(|pid| cgroups.usage(&cgroups.group_of(pid)?));
        usage.ok_or_else(|| RuntimeError::NotRunning { id: id.to_string() })
    }

    async fn purge(&self) -> Result<(), RuntimeError> {
        for instance in self.inner.inventory().await?.sandboxes {
            self.close_sandbox(&instance).await?;
        }
        self.inner.sweep().await
    }
}

impl Inner {
    /// What this node has in the engine, of one instance or of all.
    async fn find(&self, instance: Option<&InstanceId>) -> Result<Vec<Found>, RuntimeError> {
        let label = match instance {
            Some(instance) => format!("{}={instance}", names::INSTANCE),
            None => format!("{}={}", names::NODE, self.names.node()),
        };
        let filters = std::collections::HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.engine.docker().list_containers(Some(options)).await;
        let listed = listed.map_err(self.engine.failed(self.names.node(), "list containers"))?;
        let found = listed.into_iter().filter_map(|one| {
            let (labels, names) = (one.labels?, one.names?);
            let kind = names.iter().find_map(|name| self.names.recognise(name, &labels))?;
            let unborn = one.state == Some(ContainerSummaryStateEnum::CREATED);
            Some(Found { docker: one.id?, kind, unborn })
        });
        Ok(found.collect())
    }

    /// The attempts of a container, the latest first, with their ids in the engine.
    async fn attempts(&self, wanted: &ContainerId) -> Result<Vec<(u32, Found)>, RuntimeError> {
        let mut found: Vec<(u32, Found)> = self
            .find(Some(&wanted.instance))
            .await?
            .into_iter()
            .filter_map(|one| match &one.kind {
                Kind::Attempt { id, attempt, .. } if id == wanted => Some((*attempt, one)),
                Kind::Attempt { .. } | Kind::Sandbox(_) => None,
            })
            .collect();
        found.sort_by_key(|(attempt, _)| std::cmp::Reverse(*attempt));
        Ok(found)
    }

    /// Looks at a container in the engine; `None` when there is none.
    async fn look<I: std::fmt::Display>(
        &self,
        id: &I,
        docker: &str,
    ) -> Result<Option<ContainerInspectResponse>, RuntimeError> {
        let found = self.engine.docker().inspect_container(docker, None::<InspectContainerOptions>).await;
        unless(&[NOT_FOUND], found).map_err(self.engine.failed(id, "look at it"))
    }

    /// The latest attempt of a container that was started, with its id in the engine.
    async fn state(&self, id: &ContainerId) -> Result<Option<(String, ContainerState)>, RuntimeError> {
        for (_, found) in self.attempts(id).await? {
            if let Some(state) = self.state_of(&found).await? {
                return Ok(Some((found.docker, state)));
            }
        }
        Ok(None)
    }

    async fn state_of(&self, found: &Found) -> Result<Option<ContainerState>, RuntimeError> {
        if found.unborn {
            return Ok(None);
        }
        let seen = self.look(found.kind.instance(), &found.docker).await?;
        Ok(seen.and_then(|seen| state::container(found.kind.clone(), &seen)))
    }

    /// The container, if it runs, with its id in the engine.
    async fn running(&self, id: &ContainerId) -> Result<(String, ContainerState), RuntimeError> {
        match self.state(id).await? {
            None => Err(RuntimeError::NotFound { id: id.to_string() }),
            Some((_, state)) if state.phase != ContainerPhase::Running => {
                Err(RuntimeError::NotRunning { id: id.to_string() })
            }
            Some(found) => Ok(found),
        }
    }

    async fn inventory(&self) -> Result<RuntimeInventory, RuntimeError> {
        let found = self.find(None).await?;
        let mut sandboxes: Vec<InstanceId> = found.iter().map(|one| one.kind.instance().clone()).collect();
        sandboxes.sort();
        sandboxes.dedup();
        let states: Vec<Option<ContainerState>> = stream::iter(found)
            .map(|one| async move { self.state_of(&one).await })
            .buffer_unordered(LOOKS)
            .try_collect()
            .await?;
        let mut containers: Vec<ContainerState> = states.into_iter().flatten().collect();
        // Earlier attempts are kept for their logs only.
        containers.sort_by(|a, b| (&a.id, b.attempt).cmp(&(&b.id, a.attempt)));
        containers.dedup_by(|later, first| later.id == first.id);
        Ok(RuntimeInventory { containers, sandboxes })
    }

    /// Sends a signal to a container in the engine. Answers whether it was still running.
    async fn send_signal(&self, id: &ContainerId, docker: &str, number: i32) -> Result<bool, RuntimeError> {
        let options = KillContainerOptionsBuilder::new().signal(&number.to_string()).build();
        let sent = self.engine.docker().kill_container(docker, Some(options)).await;
        let sent = unless(&[NOT_FOUND, CONFLICT], sent);
        Ok(sent.map_err(self.engine.failed(id, "send it a signal"))?.is_some())
    }
}

/// For an error of our own in `step`.
fn broken<I: std::fmt::Display>(id: &I, step: &'static str, reason: impl std::fmt::Display) -> RuntimeError {
    failed(id, step)(reason)
}
