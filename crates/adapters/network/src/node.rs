//! The network of a real node: a bridge, a link per instance, and packet rules.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use univrs_model::ids::{InstanceId, NodeId};
use univrs_ports::network::{AttachRequest, Attachment, Network, NetworkError, Traffic};

use crate::links::{Links, failed};
use crate::names::Names;
use crate::range::Range;
use crate::records;
use crate::worker::{Answer, Command, Worker, remove_everything};

/// How many calls may wait for the worker.
const QUEUE: usize = 64;
/// See [`NetworkOptions::check_every`].
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// Prefixes that leave room for a gateway and an instance.
const PREFIXES: std::ops::RangeInclusive<u8> = 8..=29;

/// How a node's network is set up.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// The node; names in the kernel carry its id.
    pub node: NodeId,
    /// The node's own block of the cluster's range, such as `100.64.0.0/24`; the bridge gets its first address.
    pub range: Range,
    /// The cluster's range: packets to it keep the instance's address, all others take the host's.
    pub cluster: Range,
    /// The folder of the node's network records.
    pub state_dir: PathBuf,
    /// The largest packet on the bridge and the links; the kernel's default when absent.
    pub mtu: Option<u32>,
    /// Interfaces whose addresses may lie in the range, such as the mesh's.
    pub may_overlap: Vec<String>,
    /// How long the network rests before it is checked for parts that others have removed.
    pub check_every: Duration,
}

impl NetworkOptions {
    /// The usual options: cluster `100.64.0.0/10`, default packet size.
    pub fn new(node: NodeId, range: Range, state_dir: impl Into<PathBuf>) -> Self {
        let cluster = Range::new(Ipv4Addr::new(100, 64, 0, 0), 10).unwrap_or(range);
        Self {
            node,
            range,
            cluster,
            state_dir: state_dir.into(),
            mtu: None,
            may_overlap: Vec::new(),
            check_every: CHECK_EVERY,
        }
    }
}

/// The network of a real node. Dropping it leaves everything in place: instances outlive the daemon.
#[derive(Debug)]
pub struct NodeNetwork {
    commands: mpsc::Sender<Command>,
    bridge: String,
    gateway: Ipv4Addr,
}

impl NodeNetwork {
    /// Opens the network in the namespace of the calling thread, and makes the kernel agree with the records:
    /// bridge, links of instances whose namespace still exists, packet rules.
    ///
    /// # Errors
    /// [`NetworkError::Unavailable`] without root or `nft`, [`NetworkError::RangeInUse`] when the range is taken,
    /// [`NetworkError::Kernel`] and [`NetworkError::Records`] as they say.
    pub async fn open(mut options: NetworkOptions) -> Result<Self, NetworkError> {
        options.check_every = options.check_every.max(Duration::from_millis(1));
        if !PREFIXES.contains(&options.range.prefix()) {
            return Err(NetworkError::RangeExhausted {
                range: options.range.to_string(),
                size: records::capacity(options.range),
            });
        }
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (bridge, gateway) = (Names::of(&options.node).bridge, records::gateway(options.range));
        let (ready, opened) = oneshot::channel();
        on_thread(move |links| async move {
            match Worker::open(&options, links).await {
                Ok(worker) => {
                    if ready.send(Ok(())).is_ok() {
                        worker.serve(inbox).await;
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        opened.await.unwrap_or_else(|_| Err(stopped()))?;
        Ok(Self { commands, bridge, gateway })
    }

    /// Removes everything the node ever made in the kernel of this namespace, and its records, without opening
    /// its network first. Parts that are missing are fine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn purge_node(node: &NodeId, state_dir: &Path) -> Result<(), NetworkError> {
        let (names, state_dir) = (Names::of(node), state_dir.to_owned());
        let (ready, done) = oneshot::channel();
        on_thread(move |links| async move {
            drop(ready.send(remove_everything(&names, state_dir, links).await));
        })?;
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The name of the bridge.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, NetworkError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| stopped())?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> NetworkError {
    failed("reach the network thread", "it has stopped")
}

/// Runs work on a thread of its own, in the network namespace of the caller.
fn on_thread<F, W>(work: F) -> Result<(), NetworkError>
where
    F: FnOnce(Links) -> W + Send + 'static,
    W: Future<Output = ()>,
{
    let thread = std::thread::Builder::new().name("univrs-network".to_owned());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "could not start the network runtime"),
        };
        runtime.block_on(async {
            match Links::open() {
                Ok((links, connection)) => {
                    let listening = tokio::spawn(connection);
                    work(links).await;
                    listening.abort();
                }
                Err(error) => tracing::error!(%error, "could not reach the kernel's network"),
            }
        });
    };
    thread.spawn(run).map(drop).map_err(|error| failed("start the network thread", error))
}

#[async_trait]
impl Network for NodeNetwork {
    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError> {
        self.ask(|answer| Command::Attach(request.clone(), answer)).await
    }

    async fn detach(&self, instance: &InstanceId) -> Result<(), NetworkError> {
        self.ask(|answer| Command::Detach(instance.clone(), answer)).await
    }

    async fn attached(&self) -> Result<Vec<Attachment>, NetworkError> {
        self.ask(Command::Attached).await
    }

    async fn separate(&self, homes: &BTreeMap<Ipv4Addr, String>) -> Result<(), NetworkError> {
        self.ask(|answer| Command::Separate(homes.clone(), answer)).await
    }

    async fn restrain(&self, addresses: &BTreeSet<Ipv4Addr>) -> Result<(), NetworkError> {
        self.ask(|answer| Command::Restrain(addresses.clone(), answer)).await
    }

    async fn traffic(&self) -> Result<BTreeMap<InstanceId, Traffic>, NetworkError> {
        self.ask(Command::Traffic).await
    }

    fn gateway(&self) -> Option<Ipv4Addr> {
        Some(self.gateway)
    }

    async fn purge(&self) -> Result<(), NetworkError> {
        self.ask(Command::Purge).await
    }
}
