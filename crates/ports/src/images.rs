//! Images: from a reference to unpacked layers on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// What an image says of how it is run (the `config` of the OCI image specification).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that a container may replace.
    pub cmd: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Working directory; empty means `/`.
    pub working_dir: String,
    /// `name`, `uid`, `uid:gid`; empty means root.
    pub user: String,
    /// Such as `SIGTERM`; empty means that.
    pub stop_signal: String,
    /// Ports it says it listens on, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

/// An image whose layers are unpacked on this machine and stay until [`Images::remove`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedImage {
    /// The reference that was asked for.
    pub reference: String,
    /// Digest of the manifest that it resolved to, `sha256:…`.
    pub digest: String,
    /// Unpacked layers, base first, as directories for overlayfs.
    pub layers: Vec<PathBuf>,
    /// How it is run.
    pub config: ImageConfig,
    /// Whether this call fetched it from elsewhere.
    pub fetched: bool,
}

/// An image in the local store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary {
    /// Its name and tag, such as `docker.io/library/web:1` written short as `web:1`.
    pub reference: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Bytes of its blobs, compressed as stored.
    pub size: u64,
    /// When it came here.
    pub created_at: jiff::Timestamp,
}

/// How full a disk is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// All there is.
    pub total: u64,
    /// What may still be written.
    pub available: u64,
}

/// When a registry is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Only when the reference is not here yet.
    #[default]
    IfAbsent,
    /// Always: a tag may have moved.
    Always,
    /// Never.
    Never,
}

/// What can go wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference is malformed.
    #[error("`{reference}` is not an image reference: {reason}")]
    BadReference {
        /// As given.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is neither here nor at the registry.
    #[error("image `{reference}` was not found {place}")]
    NotFound {
        /// As given.
        reference: String,
        /// Where it was looked for, such as `on this machine` or `at registry.example`.
        place: String,
    },
    /// The registry refused.
    #[error("registry {registry} denied access to `{reference}`")]
    Denied {
        /// Host and port.
        registry: String,
        /// As given.
        reference: String,
    },
    /// The registry could not be reached or answered with an error; trying again may help.
    #[error("registry {registry} could not be used for `{reference}`: {reason}")]
    Registry {
        /// Host and port.
        registry: String,
        /// As given.
        reference: String,
        /// What happened.
        reason: String,
    },
    /// What arrived is not what its digest promises.
    #[error("{what} of image `{reference}` is damaged: expected {expected}, got {actual}")]
    DigestMismatch {
        /// As given.
        reference: String,
        /// Which part: `layer 2`, `config`, `manifest`.
        what: String,
        /// The digest (or size) that was promised.
        expected: String,
        /// The digest (or size) that arrived.
        actual: String,
    },
    /// The image is for another kind of machine.
    #[error("image `{reference}` has no version for {wanted}; it has {available}")]
    WrongPlatform {
        /// As given.
        reference: String,
        /// This machine's platform, such as `linux/amd64`.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// The image breaks the rules: escaping paths, unknown layer type, malformed manifest.
    #[error("image `{reference}` is malformed: {reason}")]
    Malformed {
        /// As given.
        reference: String,
        /// What is wrong.
        reason: String,
    },
    /// A piece of a blob does not follow what has come of it.
    #[error("{received} bytes of {digest} have come; the next piece begins there")]
    Offset {
        /// The blob.
        digest: String,
        /// Bytes that have come.
        received: u64,
    },
    /// Parts of an image that was sent are nowhere.
    #[error("{} parts of image `{reference}` are missing: {}", missing.len(), missing.join(", "))]
    Incomplete {
        /// As given.
        reference: String,
        /// Their digests.
        missing: Vec<String>,
    },
    /// The local store failed.
    #[error("the image store at {} failed while {doing}", path.display())]
    Storage {
        /// File or directory.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ImageError {
    /// Whether the same call may succeed later without anyone acting.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Registry { .. } | Self::Storage { .. } | Self::DigestMismatch { .. })
    }
}

/// What containers are made of.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// Makes `reference` usable here: found locally or fetched, verified, unpacked. Safe to call again and at once.
    ///
    /// # Errors
    /// See [`ImageError`]; nothing half-made is left where it could be used.
    async fn prepare(&self, reference: &str, policy: PullPolicy) -> Result<PreparedImage, ImageError>;

    /// Whether [`Images::prepare`] would find the image on this machine, without a registry.
    ///
    /// # Errors
    /// When the reference is not one, or the local store cannot be read.
    async fn is_here(&self, reference: &str) -> Result<bool, ImageError> {
        let name = self.listed_as(reference);
        Ok(self.list().await?.iter().any(|image| image.reference == name))
    }

    /// What is here.
    ///
    /// # Errors
    /// When the local store cannot be read.
    async fn list(&self) -> Result<Vec<ImageSummary>, ImageError>;

    /// Forgets a reference; content that nothing names any more goes at the next collection.
    ///
    /// # Errors
    /// When there is no such reference or the local store cannot be written.
    async fn remove(&self, reference: &str) -> Result<(), ImageError>;

    /// How [`Images::list`] names what `reference` means; as given where names have one form only.
    fn listed_as(&self, reference: &str) -> String {
        reference.to_owned()
    }

    /// The disk that the store is on; `None` where nothing is known of it.
    async fn space(&self) -> Option<DiskSpace> {
        None
    }

    /// Deletes content that no reference and none of `digests_in_use` names; answers the bytes freed.
    ///
    /// # Errors
    /// When the local store cannot be written.
    async fn collect_garbage(&self, digests_in_use: &[String]) -> Result<u64, ImageError>;
}

/// The shape of an image archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveFormat {
    /// What `docker save` writes.
    #[default]
    DockerArchive,
    /// An OCI image layout in a tar.
    OciLayout,
}

/// The tag that the running program packs itself under.
pub const SELF_TAG: &str = "univrs/orchestrator:dev";

/// What people do with images beyond running them.
#[async_trait]
pub trait ImageLibrary: Images {
    /// Fetches `reference` from its registry even if it is here: a tag may have moved.
    ///
    /// # Errors
    /// See [`ImageError`].
    async fn pull(&self, reference: &str) -> Result<ImageSummary, ImageError>;

    /// Sends an image that is here to a registry, as `to`; only what is missing there travels.
    ///
    /// # Errors
    /// See [`ImageError`].
    async fn push(&self, reference: &str, to: &str) -> Result<(), ImageError>;

    /// Takes in the images of an archive of either format.
    ///
    /// # Errors
    /// See [`ImageError`]; an archive is taken in whole or not at all.
    async fn import(&self, archive: Archive) -> Result<Vec<ImageSummary>, ImageError>;

    /// An archive of one image.
    ///
    /// # Errors
    /// See [`ImageError`].
    async fn export(&self, reference: &str, format: ArchiveFormat) -> Result<Archive, ImageError>;

    /// Where a blob is, and how much of it has come.
    ///
    /// # Errors
    /// See [`ImageError`].
    async fn blob_state(&self, digest: &str) -> Result<BlobState, ImageError>;

    /// Takes in a piece of a blob of `size` bytes, from `offset` on; with the last piece the blob is checked.
    ///
    /// # Errors
    /// See [`ImageError`]; what came before a failure stays, but where all came and is not what its digest promises.
    async fn take_blob(
        &self,
        digest: &str,
        offset: u64,
        size: u64,
        body: Archive,
    ) -> Result<BlobState, ImageError>;

    /// Makes an image of a manifest whose blobs are here or on other machines, and names it.
    ///
    /// # Errors
    /// See [`ImageError`]; [`ImageError::Incomplete`] names what has to be sent first.
    async fn take_manifest(&self, reference: &str, manifest: Vec<u8>) -> Result<ImageSummary, ImageError>;

    /// Packs the running program as an image that needs nothing else, under `reference`.
    ///
    /// # Errors
    /// See [`ImageError`].
    async fn pack_self(&self, reference: &str) -> Result<ImageSummary, ImageError>;
}

/// Where a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobPlace {
    /// On this machine.
    Here,
    /// On another machine of the cluster, from which it is fetched.
    Elsewhere,
    /// Nowhere: it has to be sent.
    Nowhere,
}

/// What is known of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobState {
    /// Where it is.
    pub place: BlobPlace,
    /// Bytes of it that have come to this machine.
    pub received: u64,
}

/// The bytes of an archive.
pub type Archive = Box<dyn tokio::io::AsyncRead + Send + Unpin>;

/// What another machine of the cluster has of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerImage {
    /// The machine, in words that [`ImagePeers::blob`] understands.
    pub peer: String,
    /// The bytes of the manifest it has under the name; nobody checked them yet.
    pub manifest: Vec<u8>,
}

/// Images on other machines of the cluster.
#[async_trait]
pub trait ImagePeers: Send + Sync + 'static {
    /// Machines that have all of an image under this name and may say what a name means, the best first. Empty when
    /// there is none; a machine that does not answer in time is passed over.
    async fn offers(&self, reference: &str) -> Vec<PeerImage>;

    /// A blob that a machine has, as bytes that nobody checked yet.
    ///
    /// # Errors
    /// When the machine is not reached, or does not have it.
    async fn blob(&self, peer: &str, digest: &str) -> std::io::Result<Archive>;

    /// A machine that says it has a blob; `None` when none does.
    async fn holder(&self, digest: &str) -> Option<String>;
}
