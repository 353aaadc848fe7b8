//! The adapters that this node's roles and flags call for.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};
use tokio_util::task::TaskTracker;
use univrs_agent::{Machine as AgentMachine, Secrets};
use univrs_api::Elsewhere;
use univrs_api::elsewhere::Leaves;
use univrs_authz::Action;
use univrs_cli::UpArgs;
use univrs_control::{Control, Mirror};
use univrs_image::{ImageStore, SimulatedImages};
use univrs_model::caller::Caller;
use univrs_model::ids::NodeId;
use univrs_model::member::holds_state;
use univrs_model::name::Name;
use univrs_model::node::{Role, RuntimeKind};
use univrs_network::{NetworkOptions, NodeNetwork, Range, SimulatedNetwork, pick_free_range};
use univrs_ports::images::{ImageLibrary, Images, SELF_TAG};
use univrs_ports::network::Network;
use univrs_ports::runtime::Runtime;
use univrs_ports::secrets::SecretSource;
use univrs_ports::volumes::{PlainVolumes, Volumes};
use univrs_runtime::simulated::SimulatedRuntime;
use univrs_runtime::volumes::SizedVolumes;

use crate::cluster::forward::ToValidators;
use crate::cluster::images::ClusterImages;
use crate::cluster::port::Offers;
use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};
use crate::up::containers::Wanted;
use crate::up::ground::Ground;

/// How many bits of a node's block of the cluster's range are fixed: 254 addresses for instances.
const NODE_PREFIX: u8 = 24;
/// Held by the daemon of this machine that is choosing its block.
const BLOCK_LOCK: &str = "/run/univrs/block.lock";

/// What this machine runs containers with.
pub(super) struct Machine {
    images: Arc<ImageStore>,
    runtime: Option<Arc<dyn Runtime>>,
    network: Arc<dyn Network>,
    bind_paths: Vec<PathBuf>,
}

impl Machine {
    /// Opens images, runtime and network. A node that only holds state needs neither runtime nor network nor root.
    pub(super) async fn open(
        args: &UpArgs,
        dir: &DataDir,
        identity: &mut Identity,
        standing: &Standing,
        ground: &Ground,
    ) -> Result<Self, Failure> {
        let images = Arc::new(ImageStore::open(
            &dir.images(),
            univrs_image::Options { archives: args.image_dir.clone(), ..univrs_image::Options::default() },
        )?);
        let bind_paths = args.allow_bind.clone();
        let cluster = cluster_range(args, standing);
        let Some(wanted) = ground.wanted else {
            let network = Arc::new(SimulatedNetwork::new(first_block(dir, identity, cluster)?));
            return Ok(Self { images, runtime: None, network, bind_paths });
        };
        if wanted == Wanted::Simulated {
            tracing::warn!("the simulated runtime is in use: no container is real");
            let runtime: Arc<dyn Runtime> = Arc::new(SimulatedRuntime::default());
            let network = Arc::new(SimulatedNetwork::new(first_block(dir, identity, cluster)?));
            return Ok(Self { images, runtime: Some(runtime), network, bind_paths });
        }
        let runtime = ground.runtime(wanted, dir, identity, &images).await?;
        let turn = turn_to_choose().await?;
        let range = node_range(dir, identity, cluster).await?;
        let options =
            NetworkOptions { cluster, ..NetworkOptions::new(identity.node.clone(), range, dir.network()) };
        let network: Arc<dyn Network> = Arc::new(NodeNetwork::open(options).await?);
        drop(turn);
        Ok(Self { images, runtime: Some(runtime), network, bind_paths })
    }

    pub(super) fn kind(&self) -> Option<RuntimeKind> {
        self.runtime.as_ref().map(|runtime| runtime.kind())
    }

    pub(super) fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.runtime.clone()
    }

    /// Shares this machine's images with the other nodes, and lets it fetch theirs.
    pub(super) fn share_images(&self, peers: &Offers, mirror: &Mirror) {
        // Set once, here.
        drop(peers.images.set(Arc::clone(&self.images)));
        self.images.ask_peers(Arc::new(ClusterImages {
            dial: Arc::clone(&peers.dial),
            directory: Arc::clone(peers.trust.directory()),
            mirror: mirror.clone(),
            own: peers.node.clone(),
        }));
    }

    pub(super) fn images(&self) -> Arc<dyn ImageLibrary> {
        self.images.clone()
    }

    /// The images that its containers are made of.
    pub(super) fn images_of_containers(&self) -> Arc<dyn Images> {
        match self.kind() {
            Some(RuntimeKind::Simulated) => Arc::new(SimulatedImages),
            _ => self.images.clone(),
        }
    }

    pub(super) fn gateway(&self) -> Option<std::net::Ipv4Addr> {
        self.runtime.as_ref().and_then(|_| self.network.gateway())
    }

    /// What the agent runs containers with; absent on a node that runs none.
    pub(super) fn for_agent(
        &self,
        dir: &DataDir,
        node: &NodeId,
        source: Arc<dyn SecretSource>,
    ) -> Result<Option<AgentMachine>, Failure> {
        let Some(runtime) = self.runtime.clone() else { return Ok(None) };
        let in_memory = match runtime.kind() {
            RuntimeKind::Simulated => None,
            RuntimeKind::Oci | RuntimeKind::Docker => {
                let path = dir.secrets(node);
                univrs_runtime::memory::open(&path).map_err(|source| Failure::File {
                    doing: "mount memory at",
                    path: path.clone(),
                    source,
                })?;
                Some(path)
            }
        };
        let images = self.images_of_containers();
        let secrets = Secrets { source, node: node.clone(), dir: in_memory };
        Ok(Some(AgentMachine {
            runtime,
            images,
            network: Arc::clone(&self.network),
            instances_dir: dir.instances(),
            volumes_dir: dir.volumes(),
            volumes: self.volumes(dir),
            bind_paths: self.bind_paths.clone(),
            secrets,
        }))
    }

    /// What keeps volumes: with their sizes enforced where containers are real.
    fn volumes(&self, dir: &DataDir) -> Arc<dyn Volumes> {
        match self.kind() {
            Some(RuntimeKind::Oci | RuntimeKind::Docker) => Arc::new(SizedVolumes::new(dir.volumes())),
            Some(RuntimeKind::Simulated) | None => Arc::new(PlainVolumes { root: dir.volumes() }),
        }
    }

    /// The network of its containers.
    pub(super) fn network(&self) -> Arc<dyn Network> {
        Arc::clone(&self.network)
    }

    /// Makes the image of the running program, if this node runs containers and nobody made one.
    pub(super) fn pack_self_if_absent(&self, control: Control, tasks: &TaskTracker) {
        if !matches!(self.kind(), Some(RuntimeKind::Oci | RuntimeKind::Docker)) {
            return;
        }
        let images = Arc::clone(&self.images);
        tasks.spawn(async move {
            let present =
                images.list().await.is_ok_and(|list| list.iter().any(|image| image.reference == SELF_TAG));
            if present {
                return;
            }
            let caller = Caller::control("bootstrap", Name::default_org());
            let object = format!("image/{SELF_TAG}");
            let summary = format!("packed the running program as image {SELF_TAG}");
            let work = images.pack_self(SELF_TAG);
            match control.audited(&caller, Action::ImageWrite, &object, summary, work).await {
                Ok(Ok(image)) => tracing::info!(
                    reference = SELF_TAG,
                    digest = image.digest,
                    "packed this program as an image"
                ),
                Ok(Err(error)) => tracing::warn!(%error, "this program could not be packed as an image"),
                Err(error) => tracing::warn!(%error, "the packing of this program could not be recorded"),
            }
        });
    }
}

/// The runtime that flags and roles call for; never the simulated one unless asked for.
pub(super) fn wanted_runtime(args: &UpArgs, roles: &[Role]) -> Result<Option<Wanted>, Failure> {
    let runs_workloads = roles.iter().any(|role| matches!(role, Role::Business | Role::Slim));
    if !runs_workloads {
        return Ok(None);
    }
    let wanted = match args.runtime {
        Some(RuntimeKind::Simulated) => return Ok(Some(Wanted::Simulated)),
        Some(RuntimeKind::Docker) => Wanted::Docker,
        Some(RuntimeKind::Oci) => Wanted::Oci,
        None => Wanted::Any,
    };
    if nix::unistd::geteuid().is_root() {
        return Ok(Some(wanted));
    }
    let reason = match wanted {
        Wanted::Docker => "the docker runtime needs root, to give containers their addresses",
        Wanted::Oci | Wanted::Any | Wanted::Simulated => "the oci runtime needs root",
    };
    Err(Failure::NoRuntime { reason: reason.to_owned() })
}

/// What this node leaves to validators, unless it is one.
pub(super) fn elsewhere(standing: &Standing, peers: &Offers) -> Option<Elsewhere> {
    if standing.roles.contains(&Role::Validator) || !standing.joined {
        return None;
    }
    let leaves = if holds_state(&standing.roles) { Leaves::Sealed } else { Leaves::Tokens };
    let through = ToValidators {
        dial: Arc::clone(&peers.dial),
        directory: Arc::clone(peers.trust.directory()),
        own: peers.node.clone(),
    };
    Some(Elsewhere { leaves, through: Arc::new(through) })
}

/// The range that the cluster's nodes share out: what the cluster says, and on a founder what the flags say.
pub(super) fn cluster_range(args: &UpArgs, standing: &Standing) -> Range {
    let said = Range::new(args.cluster_cidr.address, args.cluster_cidr.prefix);
    let known = standing.cluster_cidr.parse::<Range>().ok();
    let fallback = Range::new(std::net::Ipv4Addr::new(100, 64, 0, 0), 10);
    let asked = if standing.joined { known.or(said) } else { said.or(known) };
    #[expect(clippy::expect_used, reason = "10 bits are at most 32")]
    asked.or(fallback).expect("a literal range")
}

/// The block that this node has, if it is one of the range.
fn kept_block(identity: &Identity, cluster: Range) -> Option<Range> {
    let kept = identity.range.as_deref().and_then(|text| text.parse::<Range>().ok());
    kept.filter(|range| cluster.overlaps(range))
}

fn keep_block(dir: &DataDir, identity: &mut Identity, block: Range) -> Result<Range, Failure> {
    identity.range = Some(block.to_string());
    dir.write_identity(identity)?;
    Ok(block)
}

/// This node's block where no address is real: the first of the range on a founder.
fn first_block(dir: &DataDir, identity: &mut Identity, cluster: Range) -> Result<Range, Failure> {
    match kept_block(identity, cluster) {
        Some(block) => Ok(block),
        None => {
            let first = Range::new(cluster.base(), NODE_PREFIX.max(cluster.prefix())).unwrap_or(cluster);
            keep_block(dir, identity, first)
        }
    }
}

/// Waits until no other daemon of this machine is between choosing a block and making its bridge, and keeps others out
/// while it is held: two that begin at once would choose the same.
async fn turn_to_choose() -> Result<Flock<File>, Failure> {
    let take = || {
        let path = Path::new(BLOCK_LOCK);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    };
    let taken =
        tokio::task::spawn_blocking(take).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    taken.map_err(|source| Failure::File { doing: "lock", path: BLOCK_LOCK.into(), source })
}

/// This node's block of the cluster's range: given with joining, or chosen once by a founder, then kept.
async fn node_range(dir: &DataDir, identity: &mut Identity, cluster: Range) -> Result<Range, Failure> {
    match kept_block(identity, cluster) {
        Some(block) => Ok(block),
        None => {
            let free = pick_free_range(cluster, NODE_PREFIX.max(cluster.prefix())).await?;
            keep_block(dir, identity, free)
        }
    }
}
