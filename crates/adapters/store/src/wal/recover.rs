//! Reading the log back at start.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::entry::RaftEntry;
use serde::{Deserialize, Serialize};
use univrs_ports::store::{Error, Result};

use super::record::{self, HeaderError, Kind, SEGMENT_HEADER, SegmentId};
use super::state::{LogView, Place, Segment};
use crate::disk::{self, io_error};
use crate::types::{Entry, LogId, Vote};

/// What the first record of a segment says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
}

/// The log as it was found.
pub(crate) struct Recovered {
    pub(crate) view: LogView,
    /// The segment to go on writing to, and its length; none in a new log.
    pub(crate) tail: Option<(u32, u64)>,
}

/// Replays all segments in `dir`. Cuts an unfinished write at the end, refuses damage (WAL-2).
pub(crate) fn recover(dir: &Path, id: SegmentId) -> Result<Recovered> {
    let mut recovered = Recovered { view: LogView::default(), tail: None };
    let files = segment_files(dir)?;
    let last = files.last().map(|(sequence, _)| *sequence);
    let mut expected = files.first().map(|(sequence, _)| *sequence);
    for (sequence, path) in files {
        if expected != Some(sequence) {
            let reason = format!("the segment before it is missing, number {}", sequence - 1);
            return Err(Error::Corrupt { path, offset: 0, reason });
        }
        expected = Some(sequence + 1);
        read_segment(&mut recovered, SegmentId { sequence, ..id }, path, Some(sequence) == last)?;
    }
    finish(&mut recovered.view, dir)?;
    Ok(recovered)
}

fn segment_files(dir: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = entry.map_err(io_error("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(sequence) = name.strip_suffix(".log").and_then(|number| number.parse().ok()) {
            files.push((sequence, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn read_segment(recovered: &mut Recovered, id: SegmentId, path: PathBuf, is_last: bool) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io_error("open", &path))?;
    let bytes = fs::read(&path).map_err(io_error("read", &path))?;
    match record::decode_header(&bytes) {
        Ok(found) => check_owner(id, found, &path)?,
        Err(HeaderError::Newer(found)) => {
            return Err(Error::NewerFormat { path, found, supported: record::FORMAT_VERSION });
        }
        Err(HeaderError::Damaged) if is_last && never_used(&bytes, id.sequence) => {
            return discard_unfinished(&path, &file);
        }
        Err(HeaderError::Damaged) => {
            return Err(Error::Corrupt {
                path,
                offset: 0,
                reason: "the segment header is damaged".to_owned(),
            });
        }
    }
    let mut offset = SEGMENT_HEADER;
    let mut max_index = None;
    while let Some(found) = record::decode(&bytes, id.sequence, offset) {
        let place = Place { segment: id.sequence, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        replay(&mut recovered.view, found, place, &mut max_index).map_err(|reason| Error::Corrupt {
            path: path.clone(),
            offset: offset as u64,
            reason,
        })?;
        offset = found.end;
    }
    // Zeros lie ahead of every log that was not closed. A last record that turned into zeros is missed by the next
    // segment: its entries do not follow, and its checkpoint has all else.
    let only_zeros = bytes[offset..].iter().all(|byte| *byte == 0);
    if offset < bytes.len() && (is_last || !only_zeros) {
        if !is_last || record::is_damage(&bytes, id.sequence, offset) {
            let reason = "a record that was already safe on disk is damaged".to_owned();
            return Err(Error::Corrupt { path, offset: offset as u64, reason });
        }
        if !only_zeros {
            tracing::warn!(
                segment = %path.display(),
                offset,
                "cut an unfinished write at the end of the log; it was never acknowledged"
            );
        }
        file.set_len(offset as u64).map_err(io_error("cut", &path))?;
        file.sync_all().map_err(io_error("sync", &path))?;
    }
    if is_last && offset > SEGMENT_HEADER {
        recovered.tail = Some((id.sequence, offset as u64));
    } else if is_last {
        // Without its checkpoint the segment holds nothing; it is made anew under the same number.
        return discard_unfinished(&path, &file);
    }
    recovered.view.segments.insert(id.sequence, Segment { file: Arc::new(file), path, max_index });
    Ok(())
}

/// A segment that was just being created has no record: its header went to disk together with the first.
fn never_used(bytes: &[u8], sequence: u32) -> bool {
    bytes.len() < SEGMENT_HEADER || !record::is_damage(bytes, sequence, 0)
}

fn discard_unfinished(path: &Path, file: &File) -> Result<()> {
    tracing::warn!(segment = %path.display(), "removed a segment whose creation was not finished");
    file.sync_all().map_err(io_error("sync", path))?;
    fs::remove_file(path).map_err(io_error("remove", path))?;
    disk::sync_parent(path)
}

fn check_owner(expected: SegmentId, found: SegmentId, path: &Path) -> Result<()> {
    if found.cluster != expected.cluster {
        return Err(Error::OtherCluster { expected: expected.cluster, found: found.cluster });
    }
    if found.member != expected.member {
        return Err(Error::OtherMember { expected: expected.member, found: found.member });
    }
    if found.sequence != expected.sequence {
        let reason = format!("the header says segment {}", found.sequence);
        return Err(Error::Corrupt { path: path.to_owned(), offset: 0, reason });
    }
    Ok(())
}

fn replay(
    view: &mut LogView,
    found: record::Record<'_>,
    place: Place,
    max_index: &mut Option<u64>,
) -> Result<(), String> {
    let unreadable = |error: postcard::Error| format!("the record cannot be decoded: {error}");
    match found.kind {
        Kind::Entry => {
            let (index, _) = split_index(found.payload).ok_or("the entry is too short")?;
            if view.places.is_empty() {
                view.first = index;
            } else if index != view.next() {
                return Err(format!("entry {index} follows entry {}", view.next() - 1));
            }
            view.places.push_back(place);
            view.bytes_since_snapshot += found.payload.len() as u64;
            *max_index = (*max_index).max(Some(index));
        }
        Kind::Vote => view.vote = Some(postcard::from_bytes(found.payload).map_err(unreadable)?),
        Kind::Committed => view.committed = postcard::from_bytes(found.payload).map_err(unreadable)?,
        Kind::Truncate => {
            let (from, _) = split_index(found.payload).ok_or("the record is too short")?;
            view.truncate(from, None);
        }
        Kind::Purge => view.purge(postcard::from_bytes(found.payload).map_err(unreadable)?),
        Kind::Checkpoint => {
            let checkpoint: Checkpoint = postcard::from_bytes(found.payload).map_err(unreadable)?;
            view.vote = checkpoint.vote;
            view.committed = checkpoint.committed;
            if let Some(purged) = checkpoint.purged {
                view.purge(purged);
            }
        }
    }
    Ok(())
}

/// Checks that nothing is missing at the start, and finds the last log id.
fn finish(view: &mut LogView, dir: &Path) -> Result<()> {
    if let Some(purged) = view.purged {
        if !view.places.is_empty() && view.first > purged.index + 1 {
            let reason = format!("entries {} to {} are missing", purged.index + 1, view.first - 1);
            return Err(Error::Corrupt { path: dir.to_owned(), offset: 0, reason });
        }
        view.last = Some(purged);
    }
    if let Some(place) = view.places.back().copied() {
        let segment = view.segments.get(&place.segment).ok_or(Error::Closed)?;
        let entry = read_entry(&segment.file, place).map_err(|reason| Error::Corrupt {
            path: segment.path.clone(),
            offset: u64::from(place.offset),
            reason,
        })?;
        view.last = Some(entry.log_id());
    }
    Ok(())
}

/// Reads one entry from disk and checks it again.
pub(crate) fn read_entry(file: &File, place: Place) -> Result<Entry, String> {
    let offset = u64::from(place.offset);
    let mut bytes = vec![0; record::RECORD_HEADER];
    file.read_exact_at(&mut bytes, offset).map_err(|error| error.to_string())?;
    bytes.resize(record::record_length(&bytes), 0);
    let (head, tail) = bytes.split_at_mut(record::RECORD_HEADER);
    file.read_exact_at(tail, offset + head.len() as u64).map_err(|error| error.to_string())?;
    let found = record::decode_at(&bytes, place.segment, place.offset as usize)
        .ok_or("the record does not match its checksum")?;
    let (_, payload) = split_index(found.payload).ok_or("the entry is too short")?;
    postcard::from_bytes(payload).map_err(|error| format!("the entry cannot be decoded: {error}"))
}

fn split_index(payload: &[u8]) -> Option<(u64, &[u8])> {
    let (index, rest) = payload.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*index), rest))
}
