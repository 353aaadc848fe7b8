//! openraft's own tests of log and state machine, and tests of the log's file format.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::{RaftLogReader, StorageError};
use tempfile::TempDir;
use univrs_ports::store::{ClusterId, Error, MemberId, Result};

use crate::directory::Directory;
use crate::disk::FileSystemSpace;
use crate::machine::{Applied, StateMachine};
use crate::types::{Entry, LogId, Proposal, Types, Vote};
use crate::wal::{Wal, WalOptions};

const CLUSTER: ClusterId = ClusterId(0x5eed);

/// A directory that is locked once, so that a test can open its log many times at little cost.
struct Home {
    dir: TempDir,
    directory: Arc<Directory>,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), MemberId(1), Some(CLUSTER), true).unwrap();
        Self { dir, directory: Arc::new(directory) }
    }

    fn open(&self) -> Result<Wal> {
        self.open_with(Duration::MAX)
    }

    /// With syncs beside each other when one takes as long as `slow`.
    fn open_with(&self, slow: Duration) -> Result<Wal> {
        Wal::open(WalOptions { slow, ..options(&self.directory) })
    }

    fn segments(&self) -> Vec<PathBuf> {
        let log = fs::read_dir(self.dir.path().join("log")).unwrap();
        let mut paths: Vec<_> = log.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

fn options(directory: &Arc<Directory>) -> WalOptions {
    WalOptions {
        directory: Arc::clone(directory),
        segment_bytes: 2048,
        // No cache: every read comes from the files.
        cache_bytes: 0,
        reserve_bytes: 4096,
        snapshot_bytes: u64::MAX,
        space: Arc::new(FileSystemSpace),
        slow: Duration::MAX,
    }
}

/// From how long a sync on syncs run beside each other.
struct Builder(Duration);

impl StoreBuilder<Types, Wal, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Wal, StateMachine), StorageError<Types>> {
        let home = Home::new();
        let log = home.open_with(self.0).unwrap();
        let machine = StateMachine::open(home.directory, Applied::new(1 << 20), log.shared()).unwrap();
        Ok((home.dir, log, machine))
    }
}

#[tokio::test]
async fn passes_the_suite_of_openraft() {
    Suite::test_all(Builder(Duration::MAX)).await.unwrap();
}

#[tokio::test]
async fn passes_the_suite_with_syncs_beside_each_other() {
    Suite::test_all(Builder(Duration::ZERO)).await.unwrap();
}

fn log_id(index: u64) -> LogId {
    openraft::testing::log_id::<Types>(1, 1, index)
}

fn entry(index: u64, size: usize) -> Entry {
    let filler = u8::try_from(index % 251).unwrap();
    Entry::new(log_id(index), openraft::EntryPayload::Normal(Proposal(Bytes::from(vec![filler; size]))))
}

async fn append(log: &mut Wal, entries: Vec<Entry>) {
    let (done, stored) = Types::oneshot();
    log.append(entries, IOFlushed::signal(done)).await.unwrap();
    stored.await.unwrap().unwrap();
}

async fn indexes(log: &mut Wal) -> Vec<u64> {
    let entries = log.get_log_reader().await.try_get_log_entries(..).await.unwrap();
    entries.into_iter().map(|entry| entry.log_id.index).collect()
}

/// One segment with five entries of different sizes, each synced on its own.
async fn five_entries(home: &Home) -> PathBuf {
    let mut log = home.open().unwrap();
    log.save_vote(&Vote::new(1, 1)).await.unwrap();
    for index in 0..5 {
        append(&mut log, vec![entry(index, 20 + 7 * index as usize)]).await;
    }
    drop(log);
    let paths = home.segments();
    assert_eq!(paths.len(), 1);
    paths[0].clone()
}

#[tokio::test]
async fn a_torn_tail_is_cut_wherever_it_tears() {
    let home = Home::new();
    let path = five_entries(&home).await;
    let whole = fs::read(&path).unwrap();
    let last = whole.len() - (24_usize + 8 + 20 + 28).next_multiple_of(8);
    for cut in last - 100..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut log = home.open().unwrap();
        let found = indexes(&mut log).await;
        assert!(found.len() < 5 && found == (0..found.len() as u64).collect::<Vec<_>>(), "cut at {cut}");
        // The log goes on where it was cut.
        append(&mut log, vec![entry(found.len() as u64, 10)]).await;
        drop(log);
        let mut log = home.open().unwrap();
        assert_eq!(indexes(&mut log).await.len(), found.len() + 1);
    }
}

#[tokio::test]
async fn garbage_after_the_end_is_cut() {
    let home = Home::new();
    let path = five_entries(&home).await;
    for garbage in [vec![0; 4096], vec![0xff; 100], b"UVRS".repeat(33)] {
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(garbage);
        fs::write(&path, &bytes).unwrap();
        let mut log = home.open().unwrap();
        assert_eq!(indexes(&mut log).await, [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_flipped_bit_before_the_last_write_refuses_to_start() {
    let home = Home::new();
    let path = five_entries(&home).await;
    let whole = fs::read(&path).unwrap();
    let header = 64;
    let last_record =
        (0..whole.len()).step_by(8).rfind(|at| whole[*at..].starts_with(&[1, b'V', b'R', b'U'])).unwrap();
    let mut refused = 0;
    for at in 0..last_record {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        match home.open() {
            Err(Error::Corrupt { offset, path: named, .. }) => {
                assert!(offset as usize <= at, "bit {at}, said {offset}");
                assert_eq!(named, path);
                refused += 1;
            }
            Err(other) => panic!("bit {at}: {other}"),
            Ok(_) => assert!(is_padding(&whole, at, header), "bit {at} went unnoticed"),
        }
    }
    assert!(refused > 300, "{refused}");
}

/// Whether a byte is one that says nothing: reserved in a record header, or padding behind a payload.
fn is_padding(segment: &[u8], at: usize, mut offset: usize) -> bool {
    loop {
        let length = u32::from_le_bytes(segment[offset + 4..offset + 8].try_into().unwrap()) as usize;
        let end = offset + (24 + length).next_multiple_of(8);
        if at < end {
            return (offset + 20..offset + 24).contains(&at) || at >= offset + 24 + length;
        }
        offset = end;
    }
}

#[tokio::test]
async fn segments_roll_and_are_deleted_when_purged() {
    for slow in [Duration::MAX, Duration::ZERO] {
        roll_and_purge(slow).await;
    }
}

/// With syncs beside each other when one takes as long as `slow`.
async fn roll_and_purge(slow: Duration) {
    let home = Home::new();
    let mut log = home.open_with(slow).unwrap();
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    for index in 0..40 {
        append(&mut log, vec![entry(index, 300)]).await;
    }
    assert!(home.segments().len() > 5);
    log.truncate_after(Some(log_id(34))).await.unwrap();
    append(&mut log, (35..38).map(|index| entry(index, 10)).collect()).await;
    log.purge(log_id(30)).await.unwrap();
    append(&mut log, vec![entry(38, 10)]).await;
    let left = home.segments();
    assert!(left.len() <= 3, "{left:?}");
    drop(log);

    let mut log = home.open().unwrap();
    assert_eq!(indexes(&mut log).await, (31..=38).collect::<Vec<_>>());
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(30)), Some(log_id(38))));
    assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), Some(Vote::new(3, 1)));
    drop(log);

    let mut log = home.open_with(slow).unwrap();
    for index in 39..60 {
        append(&mut log, vec![entry(index, 300)]).await;
    }
    drop(log);
    fs::remove_file(&home.segments()[1]).unwrap();
    assert!(matches!(home.open(), Err(Error::Corrupt { .. })), "a segment is missing");
}

#[tokio::test]
async fn zeros_behind_an_older_segment_are_no_damage_and_hide_none() {
    let home = Home::new();
    let mut log = home.open().unwrap();
    for index in 0..12 {
        append(&mut log, vec![entry(index, 300)]).await;
    }
    drop(log);
    let first = home.segments()[0].clone();
    assert!(home.segments().len() > 1);
    // As after a crash between the making of the next segment and the cut of this one.
    let whole = fs::read(&first).unwrap();
    fs::write(&first, [&whole[..], &[0; 4096]].concat()).unwrap();
    let mut log = home.open().unwrap();
    assert_eq!(indexes(&mut log).await, (0..12).collect::<Vec<_>>());
    drop(log);
    let last_record =
        (0..whole.len()).step_by(8).rfind(|at| whole[*at..].starts_with(&[1, b'V', b'R', b'U'])).unwrap();
    let mut lost = whole.clone();
    lost[last_record..].fill(0);
    fs::write(&first, &lost).unwrap();
    assert!(matches!(home.open(), Err(Error::Corrupt { .. })), "an entry is missing");
}

#[tokio::test]
async fn an_unfinished_new_segment_is_made_again() {
    let home = Home::new();
    let first = five_entries(&home).await;
    for content in [&b""[..], &[0; 64], b"UNIVRSWL"] {
        fs::write(first.with_file_name("0000000002.log"), content).unwrap();
        let mut log = home.open().unwrap();
        assert_eq!(indexes(&mut log).await, [0, 1, 2, 3, 4]);
        drop(log);
        fs::remove_file(first.with_file_name("0000000002.log")).ok();
    }
}

#[test]
fn another_owner_or_version_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let home = Home::new();
    let path = runtime.block_on(five_entries(&home));
    let whole = fs::read(&path).unwrap();
    let rewrite = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        home.open().err().unwrap()
    };
    assert!(matches!(rewrite(8, 2), Error::NewerFormat { found: 2, supported: 1, .. }));
    assert!(matches!(rewrite(16, 9), Error::OtherCluster { .. }));
    assert!(matches!(rewrite(32, 9), Error::OtherMember { .. }));
    assert!(matches!(rewrite(40, 9), Error::Corrupt { .. }));
}
