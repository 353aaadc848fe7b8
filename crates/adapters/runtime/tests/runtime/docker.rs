//! The docker runtime with a real engine: the conformance suite, and what is particular to it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tempfile::TempDir;
use univrs_image::{FileEntry, ImageStore, Options};
use univrs_model::ids::NodeId;
use univrs_ports::images::{ImageConfig, Images as _, PreparedImage, PullPolicy};
use univrs_ports::runtime::conformance::{Behaviour, Subject, checks, shell_command};
use univrs_ports::runtime::{ContainerId, ContainerSpec, Runtime};
use univrs_runtime::{DockerOptions, DockerRuntime};

use crate::bundle::{self, APPLETS, BUSYBOX};
use crate::dockerd::{self, Dockerd};
use crate::harness::{Outcome, Test};

/// The one engine and image store of all tests, started by the first that needs it.
static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

struct Shared {
    engine: Dockerd,
    images: ImageStore,
    image: PreparedImage,
    /// Kept for its directory.
    _dir: TempDir,
}

/// Ends the engine, if there is one.
pub(crate) fn finish() {
    drop(SHARED.lock().expect("no panic").take());
}

/// Why containers cannot be run in an engine here, if so.
pub(crate) fn obstacle() -> Option<String> {
    bundle::obstacle().or_else(dockerd::obstacle)
}

/// An image store with one image in it.
pub(crate) async fn store(dir: &Path) -> (ImageStore, PreparedImage) {
    let options = Options { durable: false, ..Options::default() };
    let images = ImageStore::open(&dir.join("images"), options).expect("a store");
    let mut files = vec![
        FileEntry::host("/bin/busybox", 0o755, BUSYBOX),
        FileEntry::directory("/tmp", 0o1777),
        FileEntry::directory("/srv", 0o755),
        FileEntry::bytes("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n"),
        FileEntry::bytes("/etc/group", 0o644, "root:x:0:\nweb:x:34:\ntape:x:26:web\n"),
    ];
    files.extend(APPLETS.map(|applet| FileEntry::symlink(format!("/bin/{applet}"), "busybox")));
    images.build("test/busybox:1", files, ImageConfig::default()).await.expect("an image");
    let image = images.prepare("test/busybox:1", PullPolicy::Never).await.expect("the image");
    (images, image)
}

/// A node in a directory of its own, with containers in the shared engine.
pub(crate) struct DockerNode {
    pub(crate) id: NodeId,
    pub(crate) dir: TempDir,
    pub(crate) image: PreparedImage,
    socket: PathBuf,
    images: ImageStore,
    runtime: Mutex<Option<Arc<DockerRuntime>>>,
}

impl DockerNode {
    /// A node in the engine that all tests share.
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = SHARED.lock().expect("no panic").is_none();
        if missing {
            let (images, image) = store(dir.path()).await;
            let engine = Dockerd::start();
            let kept = tempfile::tempdir().expect("a directory");
            let shared = Shared { engine, images, image, _dir: dir };
            *SHARED.lock().expect("no panic") = Some(shared);
            return Self::in_shared(kept).await;
        }
        Self::in_shared(dir).await
    }

    async fn in_shared(dir: TempDir) -> Self {
        let (socket, images, image) = {
            let shared = SHARED.lock().expect("no panic");
            let shared = shared.as_ref().expect("the engine");
            (shared.engine.socket(), shared.images.clone(), shared.image.clone())
        };
        Self::with(dir, socket, images, image).await
    }

    /// A node in the engine at `socket`.
    pub(crate) async fn with(
        dir: TempDir,
        socket: PathBuf,
        images: ImageStore,
        image: PreparedImage,
    ) -> Self {
        let bits =
            u128::from(std::process::id()) << 64 | u128::from(jiff::Timestamp::now().as_nanosecond() as u64);
        let id = NodeId::from_bits(bits);
        let node = Self { id, dir, image, socket, images, runtime: Mutex::new(None) };
        node.open().await;
        node
    }

    pub(crate) fn options(&self) -> DockerOptions {
        DockerOptions {
            node: self.id.clone(),
            run_dir: self.dir.path().join("run"),
            socket: self.socket.clone(),
            images: Arc::new(self.images.clone()),
        }
    }

    async fn open(&self) -> Arc<DockerRuntime> {
        let runtime = DockerRuntime::connect(self.options()).await.expect("the runtime can be used");
        let runtime = Arc::new(runtime);
        *self.runtime.lock().expect("no panic") = Some(Arc::clone(&runtime));
        runtime
    }

    pub(crate) fn docker(&self) -> Arc<DockerRuntime> {
        self.runtime.lock().expect("no panic").clone().expect("it is open")
    }

    /// The engine itself.
    pub(crate) fn engine(&self) -> bollard::Docker {
        let version = bollard::ClientVersion { major_version: 1, minor_version: 41 };
        let socket = self.socket.to_str().expect("a path");
        bollard::Docker::connect_with_unix(socket, 60, &version).expect("a connection")
    }

    /// A container that runs this script.
    pub(crate) fn script(&self, id: &ContainerId, script: &str) -> ContainerSpec {
        ContainerSpec { image: self.image.clone(), ..bundle::script(id, Vec::new(), script) }
    }

    /// What the engine and this machine still have of the node.
    pub(crate) async fn remains(&self) -> Vec<String> {
        let engine = self.engine();
        let all = bollard::query_parameters::ListContainersOptionsBuilder::new().all(true).build();
        let containers = engine.list_containers(Some(all)).await.expect("a list");
        let names = containers.into_iter().flat_map(|one| one.names.unwrap_or_default());
        let all = bollard::query_parameters::ListImagesOptionsBuilder::new().all(true).build();
        let images = engine.list_images(Some(all)).await.expect("a list");
        let tags = images.into_iter().flat_map(|one| one.repo_tags);
        let mut found: Vec<String> =
            names.chain(tags).filter(|name| name.contains(self.id.as_str())).collect();
        let dir = self.dir.path().join("run");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
        let ours = |line: &&str| line.contains(&*dir.to_string_lossy());
        found.extend(mounts.lines().filter(ours).map(|line| format!("mount {line}")));
        found.extend(dir.exists().then(|| format!("directory {}", dir.display())));
        found
    }
}

impl Drop for DockerNode {
    fn drop(&mut self) {
        dockerd::unmount_below(self.dir.path());
    }
}

#[async_trait]
impl Subject for DockerNode {
    fn runtime(&self) -> Arc<dyn Runtime> {
        self.docker()
    }

    async fn restart(&self) -> Arc<dyn Runtime> {
        drop(self.runtime.lock().expect("no panic").take());
        self.open().await
    }

    fn spec(&self, id: ContainerId, attempt: u32, behaviour: &Behaviour) -> ContainerSpec {
        ContainerSpec { attempt, command: shell_command(behaviour), ..self.script(&id, "") }
    }
}

/// Adds the tests.
pub(crate) fn add(tests: &mut Vec<Test>) {
    for check in checks() {
        tests.push(Test::new(format!("docker::{}", check.name), move || async move {
            if let Some(reason) = obstacle() {
                return Outcome::LeftOut(reason);
            }
            let node = DockerNode::new().await;
            check.run(&node).await;
            node.docker().purge().await.expect("it purges");
            assert_eq!(node.remains().await, Vec::<String>::new());
            Outcome::Passed
        }));
    }
}
