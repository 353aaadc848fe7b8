//! Runtimes: what turns a prepared image into running processes and keeps hold of them.
//!
//! An instance has one sandbox (the namespaces its containers share) and one or more containers. Containers
//! outlive the daemon: after a restart [`Runtime::list`] tells what runs, with unchanged start times. All calls
//! may be repeated; the second has no further effect.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use univrs_model::ids::InstanceId;
use univrs_model::name::Name;
use univrs_model::node::RuntimeKind;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::secret::SecretValue;
use univrs_model::span::Span;

use crate::images::PreparedImage;

pub mod conformance;

/// Names one container: its instance and its name in the workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerId {
    /// The instance.
    pub instance: InstanceId,
    /// The container's name in the workload.
    pub container: Name,
}

impl fmt::Display for ContainerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.instance, self.container)
    }
}

/// The namespaces that an instance's containers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Whose.
    pub instance: InstanceId,
    /// The network namespace as a file; absent where the runtime has none.
    pub netns: Option<PathBuf>,
}

/// Something of the host that appears in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What appears.
    pub source: MountSource,
    /// Absolute path in the container.
    pub target: PathBuf,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// What appears in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or directory of the host.
    Host(PathBuf),
    /// A directory of the host that is the container's to fill: while it is empty it becomes the property of the
    /// container's user, as a new volume of Docker does.
    Volume(PathBuf),
    /// A file of the host, in memory, that becomes the property of the container's user and is readable by nobody
    /// else (mode 0400): a secret.
    Owned(PathBuf),
    /// Memory, with a limit.
    Memory {
        /// The limit.
        size: Bytes,
    },
}

/// How a container is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Which container.
    pub id: ContainerId,
    /// Counts the starts of this container from 0; a higher one replaces an ended container of the same id.
    pub attempt: u32,
    /// What it is made of.
    pub image: PreparedImage,
    /// The whole command line, never empty.
    pub command: Vec<String>,
    /// The environment that may be written down.
    pub env: BTreeMap<String, String>,
    /// The environment that must not be: a runtime hands it to the container's programs without leaving it in any
    /// file. A name in both has this value.
    pub secret_env: BTreeMap<String, SecretValue>,
    /// Working directory, absolute.
    pub working_dir: String,
    /// `name`, `uid`, `name:group`, `uid:gid`; empty means root. Names are looked up in the image.
    pub user: String,
    /// Name of the machine as the container sees it.
    pub hostname: String,
    /// What of the host appears in it.
    pub mounts: Vec<Mount>,
    /// What it may use.
    pub limits: Limits,
    /// Signal that asks it to end, such as `SIGTERM`.
    pub stop_signal: String,
    /// Free labels; the runtime adds the node's id.
    pub labels: BTreeMap<String, String>,
    /// When its log files turn over.
    pub log: LogLimits,
}

/// What a container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Weight against others when the processor is short.
    pub cpu_request: Cpu,
    /// Processor time it can never exceed.
    pub cpu: Option<Cpu>,
    /// Memory beyond which it is killed.
    pub memory: Option<Bytes>,
    /// How many processes and threads it may have.
    pub pids: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu_request: Cpu::millicores(100), cpu: None, memory: None, pids: 4096 }
    }
}

/// When log files turn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Size at which a file is closed and renamed.
    pub max_bytes: u64,
    /// How many closed files are kept.
    pub kept_files: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { max_bytes: 10 << 20, kept_files: 3 }
    }
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code; 128 + n when signal n ended it. Absent when it cannot be known.
    pub code: Option<i32>,
    /// Whether the kernel killed it for want of memory.
    pub out_of_memory: bool,
    /// When.
    pub at: Timestamp,
}

/// Where a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerPhase {
    /// It runs.
    Running,
    /// It has ended.
    Exited(Exit),
}

/// A container that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Which.
    pub id: ContainerId,
    /// Of which start.
    pub attempt: u32,
    /// The process on the host, if it runs and has one.
    pub pid: Option<i32>,
    /// When it started; survives restarts of the daemon unchanged.
    pub started_at: Timestamp,
    /// Where it stands.
    pub phase: ContainerPhase,
    /// Digest of its image.
    pub image_digest: String,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// Processor time since its start, in microseconds.
    pub cpu_micros: u64,
    /// Memory in use.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// One of a container's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read.
    pub at: Timestamp,
    /// Where it was written.
    pub stream: LogStream,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only the last so many.
    pub tail: Option<usize>,
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// Whether to wait for more; the stream ends when the sandbox is closed.
    pub follow: bool,
}

/// A command to run inside a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecSpec {
    /// The command line, never empty.
    pub command: Vec<String>,
    /// Added to the container's environment.
    pub env: BTreeMap<String, String>,
    /// Whether it gets a terminal; standard error is then part of standard output.
    pub tty: bool,
}

/// A command that runs inside a container.
pub struct ExecSession {
    /// Its standard input.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error; empty with a terminal.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves to its exit code (128 + n for signal n).
    pub exit: futures::future::BoxFuture<'static, Result<i32, RuntimeError>>,
    /// Tells the terminal's new size as (columns, rows); present with a terminal.
    pub resize: Option<tokio::sync::mpsc::Sender<(u16, u16)>>,
}

/// What can go wrong with a container.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is no such container or sandbox.
    #[error("container {id} does not exist")]
    NotFound {
        /// Which.
        id: String,
    },
    /// It is not running.
    #[error("container {id} is not running")]
    NotRunning {
        /// Which.
        id: String,
    },
    /// The container could not be started and will not start the same way again: bad command, user, mount.
    #[error("container {id} cannot start: {reason}")]
    Refused {
        /// Which.
        id: String,
        /// What the kernel or the runtime said.
        reason: String,
    },
    /// Something outside the container failed; trying again may help.
    #[error("failed to {step} for container {id}: {reason}")]
    Failed {
        /// Which.
        id: String,
        /// What was being done.
        step: &'static str,
        /// What happened.
        reason: String,
    },
    /// The runtime cannot be used on this machine.
    #[error("the {kind:?} runtime cannot be used here: {reason}")]
    Unusable {
        /// Which runtime.
        kind: RuntimeKind,
        /// Why, and what to do.
        reason: String,
    },
}

/// Runs containers.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Which runtime this is.
    fn kind(&self) -> RuntimeKind;

    /// Makes the namespaces for an instance, or answers those that exist. `hostname` is the name of the machine as
    /// its containers will see it, the same as in their [`ContainerSpec`]: some runtimes fix it here.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    async fn open_sandbox(&self, instance: &InstanceId, hostname: &str) -> Result<Sandbox, RuntimeError>;

    /// Removes an instance's containers (killing what still runs), logs and namespaces.
    ///
    /// # Errors
    /// See [`RuntimeError`]; may be called again.
    async fn close_sandbox(&self, instance: &InstanceId) -> Result<(), RuntimeError>;

    /// Starts a container in its instance's sandbox. A container of the same id and attempt that already exists
    /// is answered as it is; an ended one of a lower attempt is replaced, its logs kept.
    ///
    /// # Errors
    /// See [`RuntimeError`]; nothing runs then.
    async fn start(&self, spec: &ContainerSpec) -> Result<ContainerState, RuntimeError>;

    /// Asks a container to end with its stop signal, kills it after `grace`, and answers how it ended.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or when the kernel refuses.
    async fn stop(&self, id: &ContainerId, grace: Span) -> Result<Exit, RuntimeError>;

    /// Sends a signal, such as `SIGHUP`.
    ///
    /// # Errors
    /// [`RuntimeError::NotRunning`] when it has ended.
    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError>;

    /// One container.
    ///
    /// # Errors
    /// When the runtime cannot be asked.
    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>, RuntimeError>;

    /// Every container this node has here, ended ones included, and every instance that has a sandbox.
    ///
    /// # Errors
    /// When the runtime cannot be asked.
    async fn list(&self) -> Result<RuntimeInventory, RuntimeError>;

    /// A stream that yields the id of each container that ended; only a hint to look again.
    fn endings(&self) -> BoxStream<'static, ContainerId>;

    /// The lines that a container wrote, over all its attempts.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`].
    async fn logs(
        &self,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError>;

    /// Runs a command inside a container.
    ///
    /// # Errors
    /// [`RuntimeError::NotRunning`], or [`RuntimeError::Refused`] when the command cannot be found.
    async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecSession, RuntimeError>;

    /// What a container uses now.
    ///
    /// # Errors
    /// [`RuntimeError::NotRunning`].
    async fn usage(&self, id: &ContainerId) -> Result<ContainerUsage, RuntimeError>;

    /// Removes everything this node ever made here: containers, mounts, namespaces, cgroups.
    ///
    /// # Errors
    /// See [`RuntimeError`]; may be called again.
    async fn purge(&self) -> Result<(), RuntimeError>;
}

/// What a runtime holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInventory {
    /// Containers, ended ones included.
    pub containers: Vec<ContainerState>,
    /// Instances that have a sandbox.
    pub sandboxes: Vec<InstanceId>,
}
