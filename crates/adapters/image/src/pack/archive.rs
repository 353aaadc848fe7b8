//! A layer from a list of files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;
use univrs_ports::images::ImageError;

use super::{FileContent, FileEntry};
use crate::digest::{Digest, HashingWriter};
use crate::disk::{Disk, storage};
use crate::image::malformed;
use crate::options::Packing;

/// Only layers of more than this are compressed: a small one gains nothing from it.
const COMPRESS_FROM: u64 = 1 << 20;

/// A layer in a temporary file.
pub(super) struct Packed {
    pub(super) file: NamedTempFile,
    pub(super) blob: Digest,
    pub(super) size: u64,
    pub(super) diff_id: Digest,
}

/// Writes a layer with these files, sorted, with their parents.
pub(super) fn pack(
    disk: &Disk,
    packing: Packing,
    reference: &str,
    files: &[FileEntry],
) -> Result<Packed, ImageError> {
    let entries = arrange(reference, files)?;
    let length = |entry: &FileEntry| match &entry.content {
        FileContent::Bytes(bytes) => bytes.len() as u64,
        FileContent::Host(path) => path.metadata().map_or(0, |data| data.len()),
        FileContent::Directory | FileContent::Symlink(_) => 0,
    };
    let compress = packing == Packing::Zstd && files.iter().map(length).sum::<u64>() > COMPRESS_FROM;
    let file = disk.temp_file()?;
    let path = file.path().to_owned();
    let fail = || storage(&path, "writing a layer");
    let out = HashingWriter::new(BufWriter::with_capacity(256 * 1024, file));
    let (out, diff_id) = if compress {
        let encoder = zstd::stream::write::Encoder::new(out, 1).map_err(fail())?;
        let (encoder, diff_id, _) = write(HashingWriter::new(encoder), &path, &entries)?.finish();
        (encoder.finish().map_err(fail())?, Some(diff_id))
    } else {
        (write(out, &path, &entries)?, None)
    };
    let (out, blob, size) = out.finish();
    let file = out.into_inner().map_err(|error| fail()(error.into_error()))?;
    Ok(Packed { file, diff_id: diff_id.unwrap_or_else(|| blob.clone()), blob, size })
}

/// By path without the leading slash; missing parents are added, a later entry replaces an earlier one.
fn arrange<'a>(
    reference: &str,
    files: &'a [FileEntry],
) -> Result<BTreeMap<String, Option<&'a FileEntry>>, ImageError> {
    let mut entries = BTreeMap::new();
    for entry in files {
        let path = entry.path.trim_matches('/');
        let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.starts_with(".wh.");
        if path.contains('\0') || path.split('/').any(bad) {
            return Err(malformed(reference, format!("`{}` cannot be a path in an image", entry.path)));
        }
        for (slash, _) in path.match_indices('/') {
            entries.entry(path[..slash].to_owned()).or_insert(None);
        }
        entries.insert(path.to_owned(), Some(entry));
    }
    Ok(entries)
}

fn write<W: Write>(
    out: W,
    path: &Path,
    entries: &BTreeMap<String, Option<&FileEntry>>,
) -> Result<W, ImageError> {
    let fail = || storage(path, "writing a layer");
    let mut builder = Builder::new(out);
    for (name, entry) in entries {
        let mut header = Header::new_gnu();
        header.set_mode(entry.map_or(0o755, |entry| entry.mode));
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        match entry.map(|entry| &entry.content) {
            None | Some(FileContent::Directory) => {
                header.set_entry_type(EntryType::Directory);
                builder.append_data(&mut header, format!("{name}/"), io::empty()).map_err(fail())?;
            }
            Some(FileContent::Symlink(target)) => {
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, name, target).map_err(fail())?;
            }
            Some(FileContent::Bytes(bytes)) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, name, bytes.as_slice()).map_err(fail())?;
            }
            Some(FileContent::Host(from)) => {
                let file = File::open(from).map_err(storage(from, "reading a file to pack"))?;
                let length = file.metadata().map_err(storage(from, "reading a file to pack"))?.len();
                header.set_size(length);
                let exact = Exact { file, left: length };
                builder.append_data(&mut header, name, exact).map_err(fail())?;
            }
        }
    }
    builder.into_inner().map_err(fail())
}

/// Yields exactly as many bytes as were announced: the file may be growing or shrinking meanwhile.
struct Exact {
    file: File,
    left: u64,
}

impl io::Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file became shorter while it was packed",
            ));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
