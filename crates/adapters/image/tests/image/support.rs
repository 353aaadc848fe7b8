//! What the tests share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use univrs_image::{FileEntry, ImageStore, Options};
use univrs_ports::images::{ImageConfig, ImageSummary};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Options that make failing quick.
pub(crate) fn options() -> Options {
    Options {
        backoff: Duration::from_millis(20),
        connect_timeout: PATIENCE,
        read_timeout: PATIENCE,
        keep_prepared: Duration::ZERO,
        durable: false,
        ..Options::default()
    }
}

/// A store in a directory of its own.
pub(crate) fn store() -> (ImageStore, TempDir) {
    store_with(options())
}

pub(crate) fn store_with(options: Options) -> (ImageStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (ImageStore::open(&dir.path().join("images"), options).unwrap(), dir)
}

/// A small image with one file that holds `text`.
pub(crate) async fn small_image(store: &ImageStore, tag: &str, text: &str) -> ImageSummary {
    let files = vec![FileEntry::bytes("/etc/text", 0o644, text), FileEntry::symlink("/link", "etc/text")];
    store.build(tag, files, config()).await.unwrap()
}

/// A configuration with every field set.
pub(crate) fn config() -> ImageConfig {
    let text = str::to_owned;
    ImageConfig {
        entrypoint: vec![text("/bin/app"), text("--flag")],
        cmd: vec![text("serve")],
        env: [(text("PATH"), text("/bin")), (text("X"), text("a=b"))].into(),
        working_dir: text("/srv"),
        user: text("1000:1000"),
        stop_signal: text("SIGINT"),
        exposed_ports: vec![text("80/tcp")],
        labels: [(text("a.b"), text("c"))].into(),
    }
}

/// Whether this process is root; says so when it is not.
pub(crate) fn root(what: &str) -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        println!("SKIPPED without root: {what}");
    }
    root
}

/// A program of this machine, when it is there.
pub(crate) fn program(name: &str, what: &str) -> Option<PathBuf> {
    let found = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        println!("SKIPPED without {name}: {what}");
    }
    found
}

/// Every file below a directory, relative, sorted.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, base: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                walk(&path, base, into);
            } else {
                into.push(path.strip_prefix(base).unwrap().to_owned());
            }
        }
    }
    let mut files = Vec::new();
    walk(dir, dir, &mut files);
    files.sort();
    files
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many things wait in the store's `tmp`.
pub(crate) fn leftovers(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path().join("images/tmp")).unwrap().count()
}
