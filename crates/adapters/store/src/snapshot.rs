//! Snapshots as bytes and as files.
//!
//! ```text
//! snapshot = magic "UNIVRSSN", version u32, cluster u128, frames
//! frame    = kind u32, length u32, crc32c u32, payload
//! ```
//!
//! The first frame is the position in the log, then come the records of the state machine in bounded
//! groups, and the last frame counts them. Encoding and decoding hold one frame at a time in memory. A
//! file appears under its name only when it is complete and durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use univrs_ports::store::{ClusterId, Error, Machine, Record, Result};

use crate::disk::{io_error, sync_dir};
use crate::types::{LogId, RaftSnapshotMeta, StoredMembership};

const MAGIC: &[u8; 8] = b"UNIVRSSN";
const FORMAT_VERSION: u32 = 1;
const HEADER: usize = 28;
const FRAME_HEADER: usize = 12;
/// A frame is closed when it has this many bytes.
const FRAME_BYTES: usize = 256 << 10;
/// No frame is larger: one value above [`FRAME_BYTES`] and its key fit.
const FRAME_LIMIT: usize = 8 << 20;

const META: u32 = 1;
const RECORDS: u32 = 2;
const END: u32 = 3;

/// The position of a snapshot in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

impl Position {
    pub(crate) fn meta(&self) -> RaftSnapshotMeta {
        RaftSnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}

/// A complete snapshot file. The open handle keeps it readable after it was replaced.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) bytes: u64,
}

impl SnapshotFile {
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let bytes = file.metadata().map_err(io_error("read", &path))?.len();
        Ok(Self { path, file: Arc::new(file), bytes })
    }
}

/// Yields a snapshot piece by piece.
pub(crate) struct Encoder<R> {
    records: R,
    start: Option<(ClusterId, Position)>,
    count: u64,
    ended: bool,
}

/// Starts encoding a state.
pub(crate) fn encode(
    machine: &Machine,
    cluster: ClusterId,
    position: Position,
) -> Encoder<impl Iterator<Item = Record> + '_> {
    Encoder { records: machine.records(), start: Some((cluster, position)), count: 0, ended: false }
}

impl<R: Iterator<Item = Record>> Encoder<R> {
    /// The next piece; `None` after the last.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some((cluster, position)) = self.start.take() {
            let mut piece = MAGIC.to_vec();
            piece.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
            piece.extend_from_slice(&cluster.0.to_le_bytes());
            let payload = postcard::to_stdvec(&position).map_err(io::Error::other)?;
            frame(&mut piece, META, &payload);
            return Ok(Some(piece));
        }
        if self.ended {
            return Ok(None);
        }
        let mut payload = Vec::new();
        while payload.len() < FRAME_BYTES
            && let Some(record) = self.records.next()
        {
            self.count += 1;
            payload = postcard::to_extend(&record, payload).map_err(io::Error::other)?;
        }
        let mut piece = Vec::with_capacity(payload.len() + FRAME_HEADER);
        if payload.is_empty() {
            self.ended = true;
            frame(&mut piece, END, &self.count.to_le_bytes());
        } else {
            frame(&mut piece, RECORDS, &payload);
        }
        Ok(Some(piece))
    }
}

fn frame(out: &mut Vec<u8>, kind: u32, payload: &[u8]) {
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c_append(kind, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Writes a snapshot file into `dir` and makes it the only one.
pub(crate) fn write(
    dir: &Path,
    machine: &Machine,
    cluster: ClusterId,
    position: Position,
) -> Result<SnapshotFile> {
    let path = dir.join(file_name(&position));
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        let mut encoder = encode(machine, cluster, position);
        while let Some(piece) = encoder.next_piece()? {
            file.write_all(&piece)?;
        }
        file.sync_all()
    })();
    if let Err(error) = written {
        let _best_effort = fs::remove_file(&temporary);
        return Err(io_error("write", &temporary)(error));
    }
    adopt(dir, &temporary, &path)
}

/// Gives a complete, not yet durable file its final name, and removes older ones.
pub(crate) fn adopt(dir: &Path, temporary: &Path, path: &Path) -> Result<SnapshotFile> {
    File::open(temporary).and_then(|file| file.sync_all()).map_err(io_error("sync", temporary))?;
    fs::rename(temporary, path).map_err(io_error("rename", temporary))?;
    sync_dir(dir)?;
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let other = entry.map_err(io_error("list", dir))?.path();
        // A newer one stays: it may have been received while this one was built.
        if other.as_path() < path && other.extension().is_some_and(|extension| extension == "snapshot") {
            fs::remove_file(&other).map_err(io_error("remove", &other))?;
        }
    }
    SnapshotFile::open(path.to_owned())
}

/// The name of the snapshot at a position; names sort like positions.
pub(crate) fn file_name(position: &Position) -> String {
    position.last.map_or_else(
        || "00000000000000000000-0.snapshot".to_owned(),
        |last| format!("{:020}-{}.snapshot", last.index, last.committed_leader_id().term),
    )
}

/// The newest snapshot file of a directory. Removes what an earlier process did not finish.
pub(crate) fn newest(dir: &Path) -> Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = entry.map_err(io_error("list", dir))?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("snapshot") => newest = newest.max(Some(path)),
            Some("tmp") => fs::remove_file(&path).map_err(io_error("remove", &path))?,
            _ => {}
        }
    }
    Ok(newest)
}

/// Reads a whole snapshot back, checking everything. `cluster` must match when given.
pub(crate) fn read(file: &SnapshotFile, cluster: Option<ClusterId>) -> Result<(Machine, Position)> {
    let mut source =
        Source { path: &file.path, reader: BufReader::new(At { file: &file.file, offset: 0 }), offset: 0 };
    let header = source.take(HEADER)?;
    if &header[..8] != MAGIC {
        return Err(source.corrupt("it is not a snapshot"));
    }
    let version = u32_at(&header, 8);
    if version > FORMAT_VERSION {
        return Err(Error::NewerFormat {
            path: file.path.clone(),
            found: version,
            supported: FORMAT_VERSION,
        });
    }
    let mut owner = [0; 16];
    owner.copy_from_slice(&header[12..28]);
    let found = ClusterId(u128::from_le_bytes(owner));
    if let Some(expected) = cluster.filter(|expected| *expected != found) {
        return Err(Error::OtherCluster { expected, found });
    }
    let (kind, payload) = source.frame()?;
    if kind != META {
        return Err(source.corrupt("the position in the log is missing"));
    }
    let position = postcard::from_bytes(&payload).map_err(|error| source.corrupt(&error.to_string()))?;
    let mut machine = Machine::default();
    let mut count: u64 = 0;
    loop {
        let (kind, payload) = source.frame()?;
        match kind {
            RECORDS => {
                let mut rest = payload.as_slice();
                while !rest.is_empty() {
                    let (record, tail) = postcard::take_from_bytes::<Record>(rest)
                        .map_err(|error| source.corrupt(&error.to_string()))?;
                    machine.restore(record);
                    count += 1;
                    rest = tail;
                }
            }
            END if payload == count.to_le_bytes() => return Ok((machine, position)),
            END => return Err(source.corrupt("records are missing")),
            _ => return Err(source.corrupt("a frame has an unknown kind")),
        }
    }
}

/// Reads a file from a place of its own, so that a handle can be shared.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

struct Source<'a, R> {
    path: &'a Path,
    reader: R,
    offset: u64,
}

impl<R: Read> Source<'_, R> {
    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => {
                self.offset += length as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.corrupt("it ends too early"))
            }
            Err(error) => Err(io_error("read", self.path)(error)),
        }
    }

    fn frame(&mut self) -> Result<(u32, Vec<u8>)> {
        let start = self.offset;
        let header = self.take(FRAME_HEADER)?;
        let (kind, length) = (u32_at(&header, 0), u32_at(&header, 4) as usize);
        if length > FRAME_LIMIT {
            self.offset = start;
            return Err(self.corrupt("a frame has an impossible length"));
        }
        let payload = self.take(length)?;
        if crc32c::crc32c_append(kind, &payload) != u32_at(&header, 8) {
            self.offset = start;
            return Err(self.corrupt("a frame does not match its checksum"));
        }
        Ok((kind, payload))
    }

    fn corrupt(&self, reason: &str) -> Error {
        Error::Corrupt { path: self.path.to_owned(), offset: self.offset, reason: reason.to_owned() }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}
