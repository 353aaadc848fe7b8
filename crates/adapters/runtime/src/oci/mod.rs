//! OCI containers without a daemon.
//!
//! The daemon prepares directories and talks to shims; it makes no container itself (RUN-1). Every question is
//! answered from the container's directory (RUN-2); what is kept in memory are connections to living shims.

mod exec;
mod logs;
mod sandbox;
mod start;
mod terminal;
mod track;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::{OnceCell, broadcast};
use tokio_stream::wrappers::BroadcastStream;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::node::RuntimeKind;
use univrs_model::span::Span;
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, ContainerState, ContainerUsage, ExecSession, ExecSpec, Exit,
    LogLine, LogQuery, Runtime, RuntimeError, RuntimeInventory, Sandbox,
};

use crate::calls::{Turns, blocking, failed, refused, uninterrupted};
use crate::cgroup::Cgroups;
use crate::layout::Layout;
use crate::{record, seccomp};
use track::Tracked;

/// How many endings may wait for someone to look.
const ENDINGS: usize = 1024;

/// Where and how containers are run.
#[derive(Clone, Debug)]
pub struct OciOptions {
    /// Whose containers these are; part of every name that the kernel sees.
    pub node: NodeId,
    /// For what a restart of the machine may forget, such as `/run/univrs`. Not shared with other nodes.
    pub run_dir: PathBuf,
    /// For what containers write and for their logs; on a real file system. Not shared with other nodes.
    pub data_dir: PathBuf,
    /// The program whose `main` calls [`crate::shim::main_if_requested`] first.
    pub program: PathBuf,
}

impl OciOptions {
    /// Options with the running program as the shim.
    pub fn new(node: NodeId, run_dir: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        Self { node, run_dir: run_dir.into(), data_dir: data_dir.into(), program: "/proc/self/exe".into() }
    }
}

/// Runs OCI containers without a daemon.
#[derive(Clone)]
pub struct OciRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    program: PathBuf,
    cgroups: Cgroups,
    /// Connections to the shims of running containers.
    tracked: Mutex<BTreeMap<ContainerId, Tracked>>,
    endings: broadcast::Sender<ContainerId>,
    turns: Turns,
    /// Set once the containers of an earlier run of the daemon have been looked for.
    adopted: OnceCell<()>,
}

impl OciRuntime {
    /// Checks that containers can be run here and makes the directories.
    ///
    /// # Errors
    /// [`RuntimeError::Unusable`] when something is missing: being root, control groups, a writable directory.
    pub fn new(options: OciOptions) -> Result<Self, RuntimeError> {
        let unusable = |reason: String| RuntimeError::Unusable { kind: RuntimeKind::Oci, reason };
        if !nix::unistd::geteuid().is_root() {
            return Err(unusable("it has to be run as root".to_owned()));
        }
        let cgroups = Cgroups::find();
        if !cgroups.usable() {
            return Err(unusable(
                "no control groups with a memory controller are mounted at /sys/fs/cgroup".to_owned(),
            ));
        }
        let mut layout = Layout::new(&options.node, options.run_dir, options.data_dir);
        layout
            .make()
            .and_then(|()| {
                // As the kernel's list of mounts has them.
                layout.run = layout.run.canonicalize()?;
                layout.data = layout.data.canonicalize()?;
                // Always anew: it may be that of an older version.
                seccomp::write(&layout.filter())
            })
            .map_err(|error| {
                unusable(format!(
                    "{} or {} cannot be used: {error}",
                    layout.run.display(),
                    layout.data.display()
                ))
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                layout,
                program: options.program,
                cgroups,
                tracked: Mutex::default(),
                endings: broadcast::channel(ENDINGS).0,
                turns: Turns::default(),
                adopted: OnceCell::new(),
            }),
        })
    }
}

#[async_trait]
impl Runtime for OciRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Oci
    }

    async fn open_sandbox(&self, instance: &InstanceId, _hostname: &str) -> Result<Sandbox, RuntimeError> {
        let (inner, instance) = (Arc::clone(&self.inner), instance.clone());
        uninterrupted(async move {
            let _turn = inner.turns.take(&instance).await;
            inner.open_sandbox(&instance).await
        })
        .await
    }

    async fn close_sandbox(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        let (inner, instance) = (Arc::clone(&self.inner), instance.clone());
        uninterrupted(async move {
            inner.adopt().await;
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
            inner.adopt().await;
            let _turn = inner.turns.take(&spec.id.instance).await;
            inner.start(&spec).await
        })
        .await
    }

    async fn stop(&self, id: &ContainerId, grace: Span) -> Result<Exit, RuntimeError> {
        self.inner.adopt().await;
        self.inner.stop(id, grace).await
    }

    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        self.inner.adopt().await;
        let number = crate::signals::number(signal)
            .ok_or_else(|| refused(id, format!("`{signal}` is not a signal")))?;
        self.inner.running(id)?;
        self.inner.send_signal(id, number).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>, RuntimeError> {
        self.inner.adopt().await;
        self.inner.state(id)
    }

    async fn list(&self) -> Result<RuntimeInventory, RuntimeError> {
        self.inner.adopt().await;
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let sandboxes = inner.layout.instances();
            let mut containers = Vec::new();
            for id in sandboxes.iter().flat_map(|instance| inner.layout.containers_of(instance)) {
                containers.extend(inner.state(&id)?);
            }
            Ok(RuntimeInventory { containers, sandboxes })
        })
        .await
    }

    fn endings(&self) -> BoxStream<'static, ContainerId> {
        let ended = BroadcastStream::new(self.inner.endings.subscribe());
        let inner = Arc::clone(&self.inner);
        let first = stream::once(async move { inner.adopt().await }).filter_map(|()| async { None });
        // Who falls behind has had hints enough.
        first.chain(ended.filter_map(|id| async { id.ok() })).boxed()
    }

    async fn logs(
        &self,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        logs::read(id, self.inner.layout.log(id), query).await
    }

    async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecSession, RuntimeError> {
        self.inner.adopt().await;
        self.inner.exec(id, spec).await
    }

    async fn usage(&self, id: &ContainerId) -> Result<ContainerUsage, RuntimeError> {
        self.inner.adopt().await;
        self.inner.running(id)?;
        let group = self.inner.layout.cgroup(id);
        self.inner.cgroups.usage(&group).ok_or_else(|| RuntimeError::NotRunning { id: id.to_string() })
    }

    async fn purge(&self) -> Result<(), RuntimeError> {
        self.inner.adopt().await;
        for instance in self.inner.layout.instances() {
            self.close_sandbox(&instance).await?;
        }
        self.inner.sweep().await
    }
}

impl Inner {
    fn state(&self, id: &ContainerId) -> Result<Option<ContainerState>, RuntimeError> {
        record::state(&self.layout.container(id)).map_err(failed(id, "read the state"))
    }

    /// The container's state, if it runs.
    fn running(&self, id: &ContainerId) -> Result<ContainerState, RuntimeError> {
        match self.state(id)? {
            None => Err(RuntimeError::NotFound { id: id.to_string() }),
            Some(state) if state.phase != ContainerPhase::Running => {
                Err(RuntimeError::NotRunning { id: id.to_string() })
            }
            Some(state) => Ok(state),
        }
    }
}
