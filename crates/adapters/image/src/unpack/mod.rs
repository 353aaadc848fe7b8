//! From a layer's tar stream to a directory that overlayfs can use as a lower layer.
//!
//! Layers come from strangers. Each is unpacked alone into an empty directory, and every name is resolved by the kernel
//! beneath that directory, so neither `..`, nor an absolute path, nor a link planted earlier in the same stream can lead
//! out of it. Deletions that a layer records (`.wh.` names) become overlayfs's own marks.

mod meter;
mod tree;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

pub(crate) use meter::{Compression, Meter, decompressed, decompressed_stream};
use tree::{Attributes, Node, Tree};

use crate::digest::Digest;
use crate::options::Limits;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const RESERVED: &[u8] = b".wh..wh.";

/// Why a layer could not be unpacked.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The layer breaks the rules.
    Malformed(String),
    /// This machine could not take it.
    Storage { path: PathBuf, doing: &'static str, source: io::Error },
}

impl Fault {
    /// An error of the stream: of the content, unless the operating system raised it.
    pub(crate) fn reading(source: io::Error) -> Self {
        if source.raw_os_error().is_some() {
            return Self::Storage { path: PathBuf::from("blobs"), doing: "reading a layer", source };
        }
        Self::Malformed(format!("a layer cannot be read: {source}"))
    }
}

/// Unpacks the layer in `file` into the empty directory `into`; answers the digest of the uncompressed stream.
pub(crate) fn unpack(file: File, into: &Path, limits: &Limits, durable: bool) -> Result<Digest, Fault> {
    let stream = decompressed(file).map_err(Fault::reading)?;
    unpack_stream(stream, into, limits, durable)
}

fn unpack_stream(stream: impl Read, into: &Path, limits: &Limits, durable: bool) -> Result<Digest, Fault> {
    let meter = Meter::new(stream, limits.layer_bytes);
    let mut tree = Tree::open(into, durable)?;
    unpack_entries(&meter, &mut tree, limits)?;
    let digest = meter.finish().map_err(Fault::reading)?;
    tree.finish()?;
    Ok(digest)
}

fn unpack_entries<R: Read>(meter: &Meter<R>, tree: &mut Tree, limits: &Limits) -> Result<(), Fault> {
    let mut archive = Archive::new(meter);
    let mut count = 0_u64;
    let mut written = 0_u64;
    let mut entries = archive.entries().map_err(Fault::reading)?;
    loop {
        meter.expect_header();
        let Some(entry) = entries.next() else { return Ok(()) };
        let mut entry = entry.map_err(Fault::reading)?;
        meter.expect_content();
        count += 1;
        if count > limits.layer_entries {
            return Err(Fault::Malformed(format!("a layer has more than {} entries", limits.layer_entries)));
        }
        // A sparse file is longer than what the stream holds of it.
        written = written.saturating_add(entry.size());
        if written > limits.layer_bytes {
            return Err(Fault::Malformed(format!("a layer has more than {} bytes", limits.layer_bytes)));
        }
        unpack_entry(&mut entry, tree)?;
        io::copy(&mut entry, &mut io::sink()).map_err(Fault::reading)?;
    }
}

fn unpack_entry<R: Read>(entry: &mut Entry<'_, R>, tree: &mut Tree) -> Result<(), Fault> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader) {
        return Ok(());
    }
    let path = clean(&entry.path_bytes())?;
    let attributes = attributes(entry, &path)?;
    let Some(name) = path.file_name() else {
        return match kind {
            EntryType::Directory => {
                tree.root(attributes);
                Ok(())
            }
            _ => Err(Fault::Malformed("a layer replaces its root directory by something else".to_owned())),
        };
    };
    if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
        let parent = path.parent().unwrap_or(Path::new(""));
        return match name.as_bytes() {
            OPAQUE => tree.opaque(parent),
            reserved if reserved.starts_with(RESERVED) => Ok(()),
            _ if hidden.is_empty() || hidden == b"." || hidden == b".." => {
                Err(Fault::Malformed(format!("`{}` hides no file", path.display())))
            }
            _ => tree.whiteout(&parent.join(OsStr::from_bytes(hidden))),
        };
    }
    let device = |entry: &Entry<'_, R>| -> Result<u64, Fault> {
        let header = entry.header();
        let major = header.device_major().map_err(Fault::reading)?.unwrap_or_default();
        let minor = header.device_minor().map_err(Fault::reading)?.unwrap_or_default();
        Ok(nix::sys::stat::makedev(major.into(), minor.into()))
    };
    let target = |entry: &Entry<'_, R>| {
        entry
            .link_name_bytes()
            .map(|bytes| bytes.into_owned())
            .filter(|bytes| !bytes.is_empty())
            .ok_or_else(|| Fault::Malformed(format!("`{}` links to nothing", path.display())))
    };
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            tree.file(&path, attributes, entry)
        }
        EntryType::Directory => tree.directory(&path, attributes),
        EntryType::Symlink => {
            let target = target(entry)?;
            tree.node(&path, attributes, Node::Symlink(OsStr::from_bytes(&target)))
        }
        EntryType::Link => {
            let target = clean(&target(entry)?)?;
            tree.hard_link(&path, &target)
        }
        EntryType::Char => tree.node(&path, attributes, Node::Char(device(entry)?)),
        EntryType::Block => tree.node(&path, attributes, Node::Block(device(entry)?)),
        EntryType::Fifo => tree.node(&path, attributes, Node::Fifo),
        other => Err(Fault::Malformed(format!(
            "`{}` is of unknown type {:?}",
            path.display(),
            other.as_byte() as char
        ))),
    }
}

/// The path beneath the layer's root; `..` is refused, a leading `/` and `.` mean nothing.
pub(crate) fn clean(bytes: &[u8]) -> Result<PathBuf, Fault> {
    let path = Path::new(OsStr::from_bytes(bytes));
    let shown = || path.display().to_string().chars().take(200).collect::<String>();
    if bytes.len() > 4000 || bytes.contains(&0) {
        return Err(Fault::Malformed(format!("`{}` is not a path", shown())));
    }
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Fault::Malformed(format!("`{}` leads out of the image", shown())));
            }
        }
    }
    Ok(clean)
}

fn attributes<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<Attributes, Fault> {
    let header = entry.header();
    let old = header.as_old();
    // Some tools leave out numbers that are zero.
    let number =
        |field: &[u8], value: io::Result<u64>| match field.iter().all(|byte| matches!(byte, 0 | b' ')) {
            true => Ok(0),
            false => value.map_err(Fault::reading),
        };
    let mode = number(&old.mode, header.mode().map(u64::from))?;
    let modified = number(&old.mtime, header.mtime())?;
    let id = |id: u64| {
        u32::try_from(id).map_err(|_| Fault::Malformed(format!("`{}` has owner {id}", path.display())))
    };
    let mut attributes = Attributes {
        mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
        uid: id(number(&old.uid, header.uid())?)?,
        gid: id(number(&old.gid, header.gid())?)?,
        modified: (i64::try_from(modified).unwrap_or(0), 0),
        xattrs: Vec::new(),
    };
    let Some(extensions) = entry.pax_extensions().map_err(Fault::reading)? else { return Ok(attributes) };
    for extension in extensions {
        let extension = extension.map_err(Fault::reading)?;
        let Ok(key) = extension.key() else { continue };
        if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
            attributes.add_xattr(name, extension.value_bytes(), path)?;
        } else if key == "mtime"
            && let Some(modified) = extension.value().ok().and_then(seconds_and_nanos)
        {
            attributes.modified = modified;
        }
    }
    Ok(attributes)
}

fn seconds_and_nanos(text: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i64 = digits.parse().ok()?;
    match (whole.starts_with('-'), nanos) {
        (true, 1..) => Some((seconds - 1, 1_000_000_000 - nanos)),
        _ => Some((seconds, nanos)),
    }
}

#[cfg(test)]
mod tests;
