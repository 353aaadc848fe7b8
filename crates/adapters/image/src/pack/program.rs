//! An image around one program of this machine, above all around this one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use univrs_ports::images::{ImageConfig, ImageError, ImageSummary};

use super::{FileContent, FileEntry, elf};
use crate::digest::Digest;
use crate::disk::storage;
use crate::options::Packing;
use crate::reference::Name;
use crate::store::ImageStore;

/// The name of the image that a node makes of itself.
pub use univrs_ports::images::SELF_TAG;

/// Where the certificate authorities are that TLS trusts, on the host and in the image.
const TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

impl ImageStore {
    /// Packs `program` (for the running one, `/proc/self/exe`) as `/univrs` into an image that needs no other image
    /// below it, named `tag`. Nothing is read or written again while the files are the same as last time.
    ///
    /// # Errors
    /// When the program or a library it needs cannot be read, or the store cannot be written.
    pub async fn self_image(&self, tag: &str, program: &Path) -> Result<ImageSummary, ImageError> {
        let text = str::to_owned;
        let config = ImageConfig {
            entrypoint: vec![text("/univrs"), text("up")],
            env: [("UNIVRS_API", "0.0.0.0:8080"), ("UNIVRS_ROLE", "validator")]
                .map(|(name, value)| (text(name), text(value)))
                .into(),
            exposed_ports: vec![text("8080/tcp")],
            labels: [
                ("org.opencontainers.image.title", "univrs"),
                ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION")),
            ]
            .map(|(name, value)| (text(name), text(value)))
            .into(),
            ..ImageConfig::default()
        };
        self.pack_program(tag, program, "/univrs", config).await
    }

    /// Packs any program of this machine as `at` into an image that holds it, its loader, its libraries, and the few
    /// files every program expects.
    ///
    /// # Errors
    /// As [`Self::self_image`].
    pub async fn pack_program(
        &self,
        tag: &str,
        program: &Path,
        at: &str,
        config: ImageConfig,
    ) -> Result<ImageSummary, ImageError> {
        let name = Name::parse(tag)?;
        let _one = self.locks().lock(format!("image:{}", name.full())).await;
        let (this, program, at) = (self.clone(), program.to_owned(), at.to_owned());
        self.blocking(move || {
            let files = program_files(&program, &at)?;
            let source = fingerprint(&files, &config, this.options().packing)?;
            let known =
                this.disk().record(&name.full())?.filter(|known| known.source.as_ref() == Some(&source));
            if let Some(known) = known
                && let Some(digest) = Digest::parse(&known.manifest)
                && this.load_complete(name.given(), &digest)?.is_some()
            {
                return Ok(known.summary());
            }
            this.build_now(&name, &files, config, Some(source))
        })
        .await
    }
}

fn program_files(program: &Path, at: &str) -> Result<Vec<FileEntry>, ImageError> {
    let libraries =
        elf::libraries(program).map_err(storage(program, "looking for the libraries of a program"))?;
    let mut files = vec![
        FileEntry::directory("/dev", 0o755),
        FileEntry::directory("/proc", 0o555),
        FileEntry::directory("/root", 0o700),
        FileEntry::directory("/run", 0o755),
        FileEntry::directory("/sys", 0o555),
        FileEntry::directory("/tmp", 0o1777),
        FileEntry::directory("/var/tmp", 0o1777),
        FileEntry::bytes(
            "/etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n",
        ),
        FileEntry::bytes("/etc/group", 0o644, "root:x:0:\nnobody:x:65534:\n"),
        FileEntry::bytes("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n"),
        FileEntry::host(at, 0o755, program),
    ];
    if Path::new(TRUST).exists() {
        files.push(FileEntry::host(TRUST, 0o644, TRUST));
    }
    files.extend(libraries.into_iter().map(|(inside, outside)| FileEntry::host(inside, 0o755, outside)));
    Ok(files)
}

/// Changes whenever a file that goes into the image may have.
fn fingerprint(files: &[FileEntry], config: &ImageConfig, packing: Packing) -> Result<String, ImageError> {
    let mut text = format!("{}\n{packing:?}\n{config:?}\n", env!("CARGO_PKG_VERSION"));
    for file in files {
        let FileContent::Host(path) = &file.content else {
            text.push_str(&format!("{file:?}\n"));
            continue;
        };
        let path: PathBuf = path.canonicalize().unwrap_or_else(|_| path.clone());
        let data = fs::metadata(&path).map_err(storage(&path, "reading a file to pack"))?;
        let parts = [data.dev(), data.ino(), data.size()];
        let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
        text.push_str(&format!("{} {:o} {parts:?} {times:?}\n", file.path, file.mode));
    }
    Ok(Digest::of(text.as_bytes()).to_string())
}
