//! Machines and instances made of namespaces, and small clients and servers.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::workload::Protocol;
use univrs_network::{NetworkOptions, Range};
use univrs_ports::network::{AttachRequest, PublishedPort};

/// No test may take longer.
const LIMIT: Duration = Duration::from_secs(600);
/// No connection may take longer that has to come about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long one is tried that must not.
const IN_VAIN: Duration = Duration::from_secs(2);

/// A machine: a network namespace and a folder.
pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
}

/// Runs a test on a machine of its own, or says that it cannot.
pub(crate) fn on_machine<W: Future<Output = ()>>(test: impl FnOnce(Machine) -> W + Send) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root to make network namespaces");
        return;
    }
    std::thread::scope(|scope| {
        let run = || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("a namespace for the machine");
            let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&Path>, "/", None::<&Path>, flags, None::<&Path>).expect("private mounts");
            sh("ip link set lo up");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let machine = Machine { dir: tempfile::tempdir().unwrap() };
            runtime.block_on(async { tokio::time::timeout(LIMIT, test(machine)).await }).expect("in time");
        };
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Runs a command line in the namespace of this thread and returns what it printed.
pub(crate) fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Machine {
    pub(crate) fn state_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn options(&self, node: u128, range: &str) -> NetworkOptions {
        let range: Range = range.parse().unwrap();
        NetworkOptions::new(NodeId::from_bits(node), range, self.state_dir(&format!("node{node}")))
    }

    /// A network namespace behind a file, as a runtime makes it.
    pub(crate) fn netns(&self, name: &str) -> Netns {
        let path = self.dir.path().join(name);
        File::create(&path).unwrap();
        let target = path.clone();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let bind = MsFlags::MS_BIND;
            mount(Some("/proc/thread-self/ns/net"), &target, None::<&Path>, bind, None::<&Path>).unwrap();
        })
        .join()
        .unwrap();
        Netns { path }
    }
}

/// A network namespace that ends with this value.
pub(crate) struct Netns {
    pub(crate) path: PathBuf,
}

impl Netns {
    /// Runs work inside.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.path, work)
    }

    /// A server inside that answers every connection with the text and the client's address.
    pub(crate) fn serve(&self, port: u16, text: &'static str) -> Server {
        let listener = self.inside(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, from)) => drop(write!(stream, "{text} {}", from.ip())),
                    Err(_) => std::thread::sleep(Duration::from_millis(3)),
                }
            }
        });
        Server { stop, thread: Some(thread) }
    }

    pub(crate) fn request(&self, bits: u128, ports: &[(u16, u16)]) -> AttachRequest {
        self.request_of("default", bits, ports)
    }

    pub(crate) fn request_of(&self, org: &str, bits: u128, ports: &[(u16, u16)]) -> AttachRequest {
        let ports = ports.iter().map(|&(host_port, container_port)| PublishedPort {
            host_port,
            container_port,
            protocol: Protocol::Tcp,
        });
        AttachRequest {
            instance: InstanceId::from_bits(bits),
            org: org.parse().unwrap(),
            netns: self.path.clone(),
            ports: ports.collect(),
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// Runs work inside the namespace behind a file.
pub(crate) fn inside<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let run = || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A server that ends with this value.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Connects and reads all, from the namespace of this thread.
pub(crate) fn fetch(address: impl Into<SocketAddr>) -> io::Result<String> {
    fetch_within(PATIENCE, address.into())
}

/// The same where nobody should be reached: for what is dropped on its way is waited for in vain.
pub(crate) fn fetch_in_vain(address: impl Into<SocketAddr>) -> io::Result<String> {
    fetch_within(IN_VAIN, address.into())
}

fn fetch_within(patience: Duration, address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
