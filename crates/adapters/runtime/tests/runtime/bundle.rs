//! An image made from the busybox of this machine, and a node to run it on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_ports::images::{ImageConfig, PreparedImage};
use univrs_ports::runtime::conformance::{Behaviour, HOSTNAME, Subject, shell_command};
use univrs_ports::runtime::{ContainerId, ContainerSpec, Limits, LogLimits, Runtime};
use univrs_runtime::{OciOptions, OciRuntime};

pub(crate) const BUSYBOX: &str = "/bin/busybox";
pub(crate) const APPLETS: [&str; 40] = [
    "sh", "sleep", "echo", "cat", "ls", "id", "mount", "umount", "unshare", "hostname", "ps", "stty", "true",
    "false", "kill", "env", "pwd", "mkdir", "touch", "dd", "wget", "nc", "ip", "grep", "head", "yes",
    "mknod", "chown", "sort", "tail", "stat", "nproc", "wc", "seq", "awk", "rm", "df", "tr", "test", "date",
];

/// Why real containers cannot be run here, if so.
pub(crate) fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("it takes root to make containers".to_owned());
    }
    if !Path::new(BUSYBOX).exists() {
        return Some(format!("{BUSYBOX} is not installed"));
    }
    None
}

/// A node in a directory of its own, removed with all its containers when it goes.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    dir: tempfile::TempDir,
    layers: Vec<PathBuf>,
    runtime: Mutex<Option<Arc<OciRuntime>>>,
}

impl Node {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("univrs-").tempdir().expect("a directory");
        let bits =
            u128::from(std::process::id()) << 64 | u128::from(jiff::Timestamp::now().as_nanosecond() as u64);
        let node = Self {
            id: NodeId::from_bits(bits),
            layers: image(&dir.path().join("layers")),
            dir,
            runtime: Mutex::new(None),
        };
        node.open();
        node
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The options, so that a test may open the same node twice.
    pub(crate) fn options(&self) -> OciOptions {
        OciOptions::new(self.id.clone(), self.path("run"), self.path("data"))
    }

    fn open(&self) -> Arc<OciRuntime> {
        let runtime = Arc::new(OciRuntime::new(self.options()).expect("the runtime can be used"));
        *self.runtime.lock().expect("no panic") = Some(Arc::clone(&runtime));
        runtime
    }

    pub(crate) fn oci(&self) -> Arc<OciRuntime> {
        self.runtime.lock().expect("no panic").clone().expect("it is open")
    }

    /// The name under which the kernel knows the node.
    pub(crate) fn short(&self) -> &str {
        self.id.as_str().trim_start_matches("nd_")
    }

    /// A container that runs this script.
    pub(crate) fn script(&self, id: &ContainerId, script: &str) -> ContainerSpec {
        self::script(id, self.layers(), script)
    }

    /// The image's layers.
    pub(crate) fn layers(&self) -> Vec<PathBuf> {
        self.layers.clone()
    }

    /// What is left of the node on this machine: processes, mounts, control groups, files.
    pub(crate) fn remains(&self) -> Vec<String> {
        let mut found = Vec::new();
        let dir = self.dir.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
        found.extend(mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}")));
        let pids = fs::read_dir("/proc").expect("the processes").filter_map(Result::ok);
        for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            if command.contains(&dir) || group.contains(self.short()) {
                found.push(format!("process {pid} {command}"));
            }
        }
        for root in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().filter_map(Result::ok) {
            let group = root.path().join("univrs").join(self.short());
            if group.exists() {
                found.push(format!("cgroup {}", group.display()));
            }
        }
        for name in ["run", "data"] {
            if self.path(name).exists() {
                found.push(format!("directory {name}"));
            }
        }
        found
    }
}

impl Drop for Node {
    /// A test that failed may leave containers behind; they must not outlive it.
    fn drop(&mut self) {
        let options = self.options();
        let purge = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { OciRuntime::new(options)?.purge().await })
        });
        if !matches!(purge.join(), Ok(Ok(()))) && !std::thread::panicking() {
            panic!("the node could not be removed: {:?}", self.remains());
        }
    }
}

#[async_trait]
impl Subject for Node {
    fn runtime(&self) -> Arc<dyn Runtime> {
        self.oci()
    }

    async fn restart(&self) -> Arc<dyn Runtime> {
        drop(self.runtime.lock().expect("no panic").take());
        self.open()
    }

    fn spec(&self, id: ContainerId, attempt: u32, behaviour: &Behaviour) -> ContainerSpec {
        ContainerSpec { attempt, command: shell_command(behaviour), ..self.script(&id, "") }
    }
}

fn image(layers: &Path) -> Vec<PathBuf> {
    let (base, top) = (layers.join("base"), layers.join("top"));
    for dir in ["bin", "etc", "tmp", "root", "srv"] {
        fs::create_dir_all(base.join(dir)).expect("a directory");
    }
    fs::create_dir_all(top.join("etc")).expect("a directory");
    fs::set_permissions(base.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("its mode");
    fs::copy(BUSYBOX, base.join("bin/busybox")).expect("busybox");
    for applet in APPLETS {
        symlink("busybox", base.join("bin").join(applet)).expect("a link");
    }
    fs::write(base.join("bin/text"), "no program").expect("a file");
    fs::write(base.join("bin/script"), "#!/no/such/interpreter\n").expect("a file");
    fs::set_permissions(base.join("bin/script"), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::write(base.join("etc/layer"), "base\n").expect("a file");
    fs::write(top.join("etc/layer"), "top\n").expect("a file");
    fs::write(base.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n")
        .expect("a file");
    fs::write(base.join("etc/group"), "root:x:0:\nweb:x:34:\ntape:x:26:web\n").expect("a file");
    vec![base, top]
}

/// A container's name in an instance of its own.
pub(crate) fn fresh(name: &str) -> ContainerId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let bits = u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) * 0xA076_1D64_78BD_642F_1F35;
    ContainerId { instance: InstanceId::from_bits(bits), container: name.parse().expect("a name") }
}

/// A container of these layers that runs this script.
pub(crate) fn script(id: &ContainerId, layers: Vec<PathBuf>, script: &str) -> ContainerSpec {
    ContainerSpec {
        id: id.clone(),
        attempt: 0,
        image: PreparedImage {
            reference: "test/busybox:1".to_owned(),
            digest: format!("sha256:{}", "5".repeat(64)),
            layers,
            config: ImageConfig::default(),
            fetched: false,
        },
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        secret_env: BTreeMap::new(),
        env: BTreeMap::from([("GREETING".to_owned(), "hello there".to_owned())]),
        working_dir: "/".to_owned(),
        user: String::new(),
        hostname: HOSTNAME.to_owned(),
        mounts: Vec::new(),
        limits: Limits::default(),
        stop_signal: "SIGTERM".to_owned(),
        labels: BTreeMap::new(),
        log: LogLimits::default(),
    }
}
