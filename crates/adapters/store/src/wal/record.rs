//! The bytes of the log: segment header, records, and reading a segment back (WAL-1, WAL-2).
//!
//! ```text
//! segment = header (64 bytes), records
//! header  = magic "UNIVRSWL", version u32, 0 u32, cluster u128, member u64, sequence u64, 0…, crc32c u32
//! record  = mark u32 (0x55525600 | kind), length u32, durable u64, crc32c u32, 0 u32, payload, padding to 8
//! ```
//!
//! All numbers are little endian. A record's checksum also covers the segment's sequence and the record's
//! offset, so bytes that were copied from elsewhere never pass for a record. `durable` says up to where
//! the segment was known to be on disk when the record was written. That tells an unfinished write from
//! damage: a broken record with a later record that claims to have been written after the broken one was
//! safe on disk is damage; a broken record without such a witness is a write that was never acknowledged.

use univrs_ports::store::{ClusterId, MemberId};

pub(crate) const FORMAT_VERSION: u32 = 1;
pub(crate) const SEGMENT_HEADER: usize = 64;
pub(crate) const RECORD_HEADER: usize = 24;
const MAGIC: &[u8; 8] = b"UNIVRSWL";
const MARK: u32 = 0x5552_5600;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A log entry: its index, then the entry.
    Entry = 1,
    /// The vote.
    Vote = 2,
    /// The last log id known to be committed.
    Committed = 3,
    /// Entries from this index on are gone.
    Truncate = 4,
    /// Entries up to this log id are gone.
    Purge = 5,
    /// Vote, committed and purged at the start of a segment, so that older segments can be deleted.
    Checkpoint = 6,
}

impl Kind {
    fn from_mark(mark: u32) -> Option<Self> {
        [Kind::Entry, Kind::Vote, Kind::Committed, Kind::Truncate, Kind::Purge, Kind::Checkpoint]
            .into_iter()
            .find(|kind| mark == MARK | *kind as u32)
    }
}

/// Who writes which segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub(crate) cluster: ClusterId,
    pub(crate) member: MemberId,
    pub(crate) sequence: u32,
}

/// Why a segment header was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Damaged,
    Newer(u32),
}

pub(crate) fn encode_header(id: SegmentId) -> [u8; SEGMENT_HEADER] {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&id.cluster.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&id.member.0.to_le_bytes());
    bytes[40..48].copy_from_slice(&u64::from(id.sequence).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<SegmentId, HeaderError> {
    if bytes.len() < SEGMENT_HEADER
        || &bytes[..8] != MAGIC
        || crc32c::crc32c(&bytes[..60]) != read_u32(bytes, 60)
    {
        return Err(HeaderError::Damaged);
    }
    let version = read_u32(bytes, 8);
    if version > FORMAT_VERSION {
        return Err(HeaderError::Newer(version));
    }
    let mut cluster = [0; 16];
    cluster.copy_from_slice(&bytes[16..32]);
    let sequence = u32::try_from(read_u64(bytes, 40)).map_err(|_| HeaderError::Damaged)?;
    Ok(SegmentId {
        cluster: ClusterId(u128::from_le_bytes(cluster)),
        member: MemberId(read_u64(bytes, 32)),
        sequence,
    })
}

/// Appends one record to `out`; `offset` is where the record will start in its segment.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    sequence: u32,
    offset: u64,
    durable: u64,
    kind: Kind,
    payload: &[u8],
) {
    let mark = MARK | kind as u32;
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let crc = checksum(sequence, offset, mark, length, durable, payload);
    out.extend_from_slice(&mark.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&durable.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(8), 0);
}

/// A record as found in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    pub(crate) durable: u64,
    /// Where the next record starts.
    pub(crate) end: usize,
}

/// Reads the record at `offset` of a whole segment; `None` when there is no sound record.
pub(crate) fn decode(segment: &[u8], sequence: u32, offset: usize) -> Option<Record<'_>> {
    decode_at(segment.get(offset..)?, sequence, offset)
}

/// Reads a record from bytes that start with it; `offset` is where they were in the segment.
pub(crate) fn decode_at(bytes: &[u8], sequence: u32, offset: usize) -> Option<Record<'_>> {
    let header = bytes.get(..RECORD_HEADER)?;
    let mark = read_u32(header, 0);
    let kind = Kind::from_mark(mark)?;
    let length = read_u32(header, 4);
    let durable = read_u64(header, 8);
    let padded = RECORD_HEADER + (length as usize).next_multiple_of(8);
    let payload = &bytes.get(..padded)?[RECORD_HEADER..RECORD_HEADER + length as usize];
    let crc = checksum(sequence, offset as u64, mark, length, durable, payload);
    (crc == read_u32(header, 16)).then_some(Record { kind, payload, durable, end: offset + padded })
}

/// The length of the record whose header starts `bytes`, padding included.
pub(crate) fn record_length(bytes: &[u8]) -> usize {
    RECORD_HEADER + (read_u32(bytes, 4) as usize).next_multiple_of(8)
}

/// Whether a later record proves that the bytes at `damage` were once safe on disk (WAL-2).
pub(crate) fn is_damage(segment: &[u8], sequence: u32, damage: usize) -> bool {
    let mut offset = damage + 8;
    while offset + RECORD_HEADER <= segment.len() {
        if decode(segment, sequence, offset).is_some_and(|record| record.durable > damage as u64) {
            return true;
        }
        offset += 8;
    }
    false
}

fn checksum(sequence: u32, offset: u64, mark: u32, length: u32, durable: u64, payload: &[u8]) -> u32 {
    let mut place = [0; 28];
    place[..4].copy_from_slice(&sequence.to_le_bytes());
    place[4..12].copy_from_slice(&offset.to_le_bytes());
    place[12..16].copy_from_slice(&mark.to_le_bytes());
    place[16..20].copy_from_slice(&length.to_le_bytes());
    place[20..].copy_from_slice(&durable.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), payload)
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
