//! An engine of the test's own with an image that has a small shell, and what the checks run in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use univrs_image::{FileEntry, ImageStore, Options};
use univrs_ports::images::ImageConfig;
use univrs_ports::provider::conformance::{Program, Reader, SECRET_FILE, Subject};
use univrs_provider::docker::{EngineOptions, Places};
use univrs_runtime::volumes::SizedVolumes;

use crate::dockerd::{self, Dockerd};

const BUSYBOX: &str = "/bin/busybox";
const IMAGE: &str = "test/small:1";

/// Why engines cannot be tried here, if so.
pub(crate) fn obstacle() -> Option<String> {
    let missing = || format!("{BUSYBOX} is not installed (apt-get install busybox-static)");
    dockerd::obstacle().or_else(|| (!Path::new(BUSYBOX).exists()).then(missing))
}

/// An engine and what a provider needs beside it.
pub(crate) struct World {
    dir: tempfile::TempDir,
    images: Arc<ImageStore>,
    pub(crate) engine: Dockerd,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = Arc::new(ImageStore::open(&dir.path().join("images"), Options::default()).unwrap());
        let files = vec![
            FileEntry::host("/bin/busybox", 0o755, BUSYBOX),
            FileEntry::host("/bin/sh", 0o755, BUSYBOX),
            FileEntry::bytes("/etc/passwd", 0o644, "web:x:33:33::/:/bin/sh\n"),
        ];
        // Not as root: secrets and volumes have to be its own.
        let config = ImageConfig {
            entrypoint: vec!["/bin/sh".to_owned()],
            env: [("PATH".to_owned(), "/bin".to_owned())].into(),
            user: "web".to_owned(),
            // A place that nobody mounts: what the engine makes for it must go as well.
            ..ImageConfig::default()
        };
        images.build(IMAGE, files, config).await.unwrap();
        Self { dir, images, engine: Dockerd::start_networked() }
    }

    pub(crate) fn options(&self) -> EngineOptions {
        self.options_through(self.engine.socket())
    }

    pub(crate) fn options_through(&self, socket: PathBuf) -> EngineOptions {
        let secrets = self.dir.path().join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        EngineOptions {
            socket,
            images: self.images.clone(),
            secrets,
            open_secrets: |_| Ok(()),
            host: "127.0.0.1".to_owned(),
            places: Places::new(self.volumes(), Arc::new(SizedVolumes::new(self.volumes()))),
            obstacle: None,
        }
    }

    /// Where volumes lie.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.dir.path().join("volumes")
    }

    /// Makes the engine the manager of a swarm of one.
    pub(crate) fn begin_swarm(&self) {
        self.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    }

    /// What Docker's own command says.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let host = format!("unix://{}", self.engine.socket().display());
        let done = std::process::Command::new("docker").args(["-H", &host]).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    #[allow(dead_code, reason = "not every test has a proxy")]
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the engine has of networks, containers and volumes that univrs made, and of volumes at all.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for path in ["/containers/json?all=1", "/volumes", "/networks", "/services", "/secrets"] {
            let answer = self.engine.get(path).unwrap_or_default();
            let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
            // Without a swarm there are no services.
            if !head.contains(" 200 ") {
                continue;
            }
            let found = body.contains("dev.univrs.") || (path == "/volumes" && body.contains("Mountpoint"));
            if found {
                left.push(format!("{path}: {body}"));
            }
        }
        let secrets = std::fs::read_dir(self.dir.path().join("secrets/resources")).into_iter().flatten();
        let volumes = std::fs::read_dir(self.volumes()).into_iter().flatten();
        let entries = secrets.chain(volumes).filter_map(Result::ok);
        left.extend(entries.map(|entry| entry.path().display().to_string()));
        left
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What a test that failed left would stand in the way of removing the directory.
        self.engine.stop();
        drop(univrs_runtime::volumes::release(&self.volumes()));
    }
}

/// A program of the small shell.
#[allow(dead_code, reason = "not every test runs the suite")]
pub(crate) fn shell(script: &str) -> Program {
    Program { image: IMAGE.to_owned(), command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec() }
}

#[allow(dead_code, reason = "not every test runs the suite")]
pub(crate) fn subject() -> Subject {
    Subject {
        serve: shell("trap 'exit 0' TERM; echo up; while :; do busybox sleep 1; done"),
        job: shell("echo began; busybox touch /data/mark && echo done"),
        failing_job: shell("echo no; exit 3"),
        says: Some("done".to_owned()),
        reader: Some(Reader {
            program: shell(&format!(
                "trap 'exit 0' TERM; trap : HUP; while :; do busybox wc -c <{SECRET_FILE}; busybox sleep 0.2; done"
            )),
            fingerprint: |value| value.len().to_string(),
        }),
    }
}
