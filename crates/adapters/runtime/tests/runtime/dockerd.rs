//! A Docker Engine of its own for tests: private directories and socket. Either it has no bridge and no packet rules, or
//! a network namespace of its own, in which it has all of them and the machine's stay as they are.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long the engine may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where the engine's program is, if it is installed.
fn program() -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    folders.iter().map(|folder| Path::new(folder).join("dockerd")).find(|path| path.exists())
}

/// Why an engine cannot be started here, if so.
pub(crate) fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("it takes root to start dockerd".to_owned());
    }
    program().is_none().then(|| "dockerd is not installed (apt-get install docker.io)".to_owned())
}

/// A running engine; it ends, with all that is in it, when this is dropped.
pub(crate) struct Dockerd {
    dir: TempDir,
    child: Option<Child>,
    networked: bool,
}

impl Dockerd {
    #[allow(dead_code, reason = "not every test that has an engine starts this one")]
    pub(crate) fn start() -> Self {
        Self::begin(false)
    }

    /// An engine that makes networks and publishes ports, in a network namespace of its own.
    #[allow(dead_code, reason = "not every test that has an engine starts this one")]
    pub(crate) fn start_networked() -> Self {
        Self::begin(true)
    }

    fn begin(networked: bool) -> Self {
        // Short: paths of sockets may not be long.
        let dir = tempfile::Builder::new().prefix("uvdk").tempdir().expect("a directory");
        let mut engine = Self { dir, child: None, networked };
        engine.resume();
        engine
    }

    /// A program that is to run in the engine's network.
    #[allow(dead_code, reason = "not every test that has an engine needs its network")]
    pub(crate) fn beside(&self, program: &str) -> Command {
        let pid = self.child.as_ref().expect("a running engine").id();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{pid}/ns/net")).arg(program);
        command
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// Starts the engine on what it left when it was stopped.
    pub(crate) fn resume(&mut self) {
        let at = |name: &str| self.dir.path().join(name);
        let log = std::fs::File::options().create(true).append(true).open(at("log")).expect("a file");
        let mut command = if self.networked {
            let mut command = Command::new("unshare");
            command.args(["--net", "sh", "-c", "ip link set lo up; exec \"$0\" \"$@\""]);
            command.arg(program().expect("dockerd")).args(["--bridge", "none"]);
            command
        } else {
            let mut command = Command::new(program().expect("dockerd"));
            command.args(["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
            command
        };
        let child = command
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("dockerd starts");
        self.child = Some(child);
        let until = Instant::now() + PATIENCE;
        while !self.answers() {
            let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            assert!(!ended && Instant::now() < until, "dockerd does not start: {}", self.last_words());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        self.get("/_ping").is_some_and(|answer| answer.contains("200 OK"))
    }

    /// What the engine answers to a plain request, with its head.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        // It may have taken the connection and never answer.
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Ends the engine as its service manager would; what runs in it ends too.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        // It may have ended by itself.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let until = Instant::now() + PATIENCE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.stop();
        unmount_below(self.dir.path());
    }
}

/// Unmounts what a test that failed left: it would stand in the way of removing the directory.
pub(crate) fn unmount_below(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| Path::new(point).starts_with(dir)) {
        let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
    }
}
