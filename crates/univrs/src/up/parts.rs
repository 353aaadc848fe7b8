//! The adapters that this node's roles and flags call for.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::task::TaskTracker;
use univrs_agent::{Machine as AgentMachine, Secrets};
use univrs_authz::Action;
use univrs_cli::UpArgs;
use univrs_control::{ClusterRecord, Control};
use univrs_image::{ImageStore, SimulatedImages};
use univrs_model::caller::Caller;
use univrs_model::ids::{NodeId, OrgId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::node::{Role, RuntimeKind};
use univrs_model::org::Org;
use univrs_network::{NetworkOptions, NodeNetwork, Range, SimulatedNetwork, pick_free_range};
use univrs_ports::images::{ImageLibrary, Images, SELF_TAG};
use univrs_ports::network::Network;
use univrs_ports::runtime::Runtime;
use univrs_ports::secrets::SecretSource;
use univrs_ports::store::{ClusterId, Key, MemberId, StateStore, Txn};
use univrs_runtime::simulated::SimulatedRuntime;
use univrs_store::{Options, RaftStore};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity};
use crate::up::containers::{self, Wanted};

/// How many bits of a node's block of the cluster's range are fixed: 254 addresses for instances.
const NODE_PREFIX: u8 = 24;

/// Opens the replicated state, as the only voter when the directory is new.
///
/// # Errors
/// [`Failure::StateMissing`] when the state was made once and is not there: beginning anew would end every container.
pub(super) async fn open_store(dir: &DataDir, identity: &mut Identity) -> Result<RaftStore, Failure> {
    if identity.founded && !univrs_store::exists(&dir.store()) {
        return Err(Failure::StateMissing { path: dir.store() });
    }
    let options = Options {
        cluster_id: Some(store_id(identity)),
        bootstrap: !identity.founded,
        ..Options::new(dir.store(), MemberId(1))
    };
    let store = RaftStore::open(options).await?;
    if !identity.founded {
        identity.founded = true;
        dir.write_identity(identity)?;
    }
    Ok(store)
}

/// The cluster's id as the store has it: the letters of the text as a number.
fn store_id(identity: &Identity) -> ClusterId {
    let letters = identity.cluster.as_str().bytes().skip(univrs_model::ids::ClusterId::PREFIX.len());
    ClusterId(letters.fold(0, |number, letter| (number << 8) | u128::from(letter)))
}

/// Records the cluster's identity and the organisation that everyone has in the state, once.
pub(super) async fn write_cluster(store: &Arc<dyn StateStore>, identity: &Identity) -> Result<(), Failure> {
    let record = ClusterRecord { id: identity.cluster.clone(), created_at: identity.created_at };
    let bytes = serde_json::to_vec(&record)
        .map_err(|error| Failure::DataDir { path: keys::CLUSTER.into(), reason: error.to_string() })?;
    // What is there already makes the guard fail, and nothing is written.
    store.txn(Txn::create(Key::new(keys::CLUSTER)?, bytes)).await?;
    let name = Name::default_org();
    let key = Key::new(keys::organisation(&name))?;
    let org = Org { id: OrgId::from_bits(rand::random()), name, created_at: identity.created_at };
    let bytes = serde_json::to_vec(&org)
        .map_err(|error| Failure::DataDir { path: key.as_str().into(), reason: error.to_string() })?;
    store.txn(Txn::create(key, bytes)).await?;
    Ok(())
}

/// What this machine runs containers with.
pub(super) struct Machine {
    images: Arc<ImageStore>,
    runtime: Option<Arc<dyn Runtime>>,
    network: Arc<dyn Network>,
    bind_paths: Vec<PathBuf>,
}

impl Machine {
    /// Opens images, runtime and network. A node that only holds state needs neither runtime nor network nor root.
    pub(super) async fn open(args: &UpArgs, dir: &DataDir, identity: &mut Identity) -> Result<Self, Failure> {
        let images = Arc::new(ImageStore::open(
            &dir.images(),
            univrs_image::Options { archives: args.image_dir.clone(), ..univrs_image::Options::default() },
        )?);
        let bind_paths = args.allow_bind.clone();
        let nowhere = || Arc::new(SimulatedNetwork::new(cluster_range(args)));
        let Some(wanted) = wanted_runtime(args)? else {
            return Ok(Self { images, runtime: None, network: nowhere(), bind_paths });
        };
        if wanted == Wanted::Simulated {
            tracing::warn!("the simulated runtime is in use: no container is real");
            let runtime: Arc<dyn Runtime> = Arc::new(SimulatedRuntime::default());
            return Ok(Self { images, runtime: Some(runtime), network: nowhere(), bind_paths });
        }
        let runtime = containers::open(wanted, dir, identity, &images).await?;
        let range = node_range(args, dir, identity).await?;
        let options = NetworkOptions {
            cluster: cluster_range(args),
            ..NetworkOptions::new(identity.node.clone(), range, dir.network())
        };
        let network: Arc<dyn Network> = Arc::new(NodeNetwork::open(options).await?);
        Ok(Self { images, runtime: Some(runtime), network, bind_paths })
    }

    pub(super) fn kind(&self) -> Option<RuntimeKind> {
        self.runtime.as_ref().map(|runtime| runtime.kind())
    }

    pub(super) fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.runtime.clone()
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
            bind_paths: self.bind_paths.clone(),
            secrets,
        }))
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
fn wanted_runtime(args: &UpArgs) -> Result<Option<Wanted>, Failure> {
    let runs_workloads = args.role.iter().any(|role| matches!(role, Role::Business | Role::Slim));
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

fn cluster_range(args: &UpArgs) -> Range {
    let fallback = Range::new(std::net::Ipv4Addr::new(100, 64, 0, 0), 10);
    let asked = Range::new(args.cluster_cidr.address, args.cluster_cidr.prefix);
    #[expect(clippy::expect_used, reason = "10 bits are at most 32")]
    asked.or(fallback).expect("a literal range")
}

/// This node's block of the cluster's range: chosen once, then kept.
async fn node_range(args: &UpArgs, dir: &DataDir, identity: &mut Identity) -> Result<Range, Failure> {
    let cluster = cluster_range(args);
    let kept = identity.range.as_deref().and_then(|text| text.parse::<Range>().ok());
    if let Some(range) = kept.filter(|range| cluster.overlaps(range)) {
        return Ok(range);
    }
    let range = pick_free_range(cluster, NODE_PREFIX.max(cluster.prefix())).await?;
    identity.range = Some(range.to_string());
    dir.write_identity(identity)?;
    Ok(range)
}
