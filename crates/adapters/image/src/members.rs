//! The files of an archive that is being imported, from a tar stream or a directory.
//!
//! A stream is read once and to its end, since what names the images may come last; its files wait in the store's `tmp`
//! and become blobs by rename.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};
use tempfile::TempPath;
use univrs_ports::images::ImageError;

use crate::digest::{Digest, HashingWriter};
use crate::disk::{Disk, storage};
use crate::image::malformed;
use crate::locks::Pinned;
use crate::options::Limits;
use crate::unpack::{Compression, Fault, Meter, clean};

const MOST_MEMBERS: usize = 100_000;

/// A member that has become a blob.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) compression: Compression,
}

/// Where the members are.
enum Source {
    Folder(PathBuf),
    Spooled { files: BTreeMap<PathBuf, Spooled>, links: BTreeMap<PathBuf, PathBuf> },
}

struct Spooled {
    path: TempPath,
    digest: Digest,
    size: u64,
}

/// The members of one archive.
pub(crate) struct Members<'a> {
    disk: &'a Disk,
    reference: &'a str,
    source: Source,
    stored: BTreeMap<PathBuf, Stored>,
}

impl<'a> Members<'a> {
    /// Those below a directory.
    pub(crate) fn folder(disk: &'a Disk, reference: &'a str, path: &Path) -> Self {
        Self { disk, reference, source: Source::Folder(path.to_owned()), stored: BTreeMap::new() }
    }

    /// Those of a tar stream, uncompressed already.
    pub(crate) fn spool(
        disk: &'a Disk,
        reference: &'a str,
        stream: impl Read,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        let unreadable = |error: io::Error| match Fault::reading(error) {
            Fault::Malformed(reason) => malformed(reference, reason),
            Fault::Storage { path, doing, source } => ImageError::Storage { path, doing, source },
        };
        let meter = Meter::new(stream, limits.archive_bytes);
        let mut archive = Archive::new(&meter);
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        let mut entries = archive.entries().map_err(unreadable)?;
        loop {
            meter.expect_header();
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(unreadable)?;
            meter.expect_content();
            let name = clean(&entry.path_bytes())
                .map_err(|_| malformed(reference, "a member leads out of the archive"))?;
            if files.len() + links.len() >= MOST_MEMBERS {
                return Err(malformed(
                    reference,
                    format!("the archive has more than {MOST_MEMBERS} members"),
                ));
            }
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    files.insert(name, copy(disk, &mut entry, unreadable)?);
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = entry
                        .link_name()
                        .map_err(unreadable)?
                        .map(|target| target.into_owned())
                        .unwrap_or_default();
                    let hard = entry.header().entry_type() == EntryType::Link;
                    let base = name.parent().filter(|_| !hard).unwrap_or(Path::new(""));
                    let target = flatten(&base.join(target));
                    links.insert(name, target);
                }
                _ => {}
            }
            io::copy(&mut entry, &mut io::sink()).map_err(unreadable)?;
        }
        Ok(Self { disk, reference, source: Source::Spooled { files, links }, stored: BTreeMap::new() })
    }

    fn locate(&self, name: &str) -> Option<PathBuf> {
        let mut path = clean(name.as_bytes()).ok()?;
        if let Source::Spooled { links, .. } = &self.source {
            // Old archives link equal layers to each other; a chain of links is never long.
            for _ in 0..8 {
                match links.get(&path) {
                    Some(target) => path.clone_from(target),
                    None => break,
                }
            }
        }
        Some(path)
    }

    fn file(&self, path: &Path) -> Option<PathBuf> {
        match &self.source {
            Source::Folder(folder) => Some(folder.join(path)).filter(|path| path.is_file()),
            Source::Spooled { files, .. } => files.get(path).map(|file| file.path.to_path_buf()),
        }
    }

    /// Whether there is such a member.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.locate(name).is_some_and(|path| self.stored.contains_key(&path) || self.file(&path).is_some())
    }

    /// The bytes of a small member.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, ImageError> {
        let missing = || malformed(self.reference, format!("the archive has no `{name}`"));
        let path = self.locate(name).ok_or_else(missing)?;
        let path = match self.stored.get(&path) {
            Some(stored) => self.disk.blob(&stored.digest),
            None => self.file(&path).ok_or_else(missing)?,
        };
        let fail = || storage(&path, "reading a member of an archive");
        let file = File::open(&path).map_err(fail())?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(fail())?;
        if bytes.len() as u64 > limit {
            return Err(malformed(self.reference, format!("`{name}` is too long")));
        }
        Ok(bytes)
    }

    /// Makes a member a blob and answers what it is.
    pub(crate) fn store(&mut self, name: &str, pinned: &mut Pinned) -> Result<Stored, ImageError> {
        let missing = || malformed(self.reference, format!("the archive has no `{name}`"));
        let path = self.locate(name).ok_or_else(missing)?;
        if let Some(stored) = self.stored.get(&path) {
            return Ok(stored.clone());
        }
        let Spooled { path: file, digest, size } = match &mut self.source {
            Source::Spooled { files, .. } => files.remove(&path).ok_or_else(missing)?,
            Source::Folder(folder) => {
                let path = folder.join(&path);
                if !path.is_file() {
                    return Err(missing());
                }
                let from = File::open(&path).map_err(storage(&path, "reading a member of an archive"))?;
                copy(self.disk, from, |error| storage(&path, "reading a member of an archive")(error))?
            }
        };
        let fail = || storage(&file, "reading a member of an archive");
        let compression = Compression::of(&mut File::open(&file).map_err(fail())?).map_err(fail())?;
        pinned.add(&digest);
        self.disk.keep_blob(file, &digest)?;
        let stored = Stored { digest, size, compression };
        self.stored.insert(path, stored.clone());
        Ok(stored)
    }
}

fn copy(
    disk: &Disk,
    mut from: impl Read,
    unreadable: impl Fn(io::Error) -> ImageError,
) -> Result<Spooled, ImageError> {
    let (file, path) = disk.temp_file()?.into_parts();
    let mut out = HashingWriter::new(file);
    let mut buffer = vec![0_u8; 256 * 1024];
    loop {
        let read = from.read(&mut buffer).map_err(&unreadable)?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut out, &buffer[..read])
            .map_err(storage(&path, "writing a member of an archive"))?;
    }
    let (_, digest, size) = out.finish();
    Ok(Spooled { path, digest, size })
}

/// Resolves `..` by name alone: members are looked up in a map and never on a file system.
fn flatten(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => flat.push(name),
            Component::ParentDir => {
                flat.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    flat
}
