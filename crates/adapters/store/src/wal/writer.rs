//! The thread that writes the log: takes everything that waits, writes it at once, syncs once (WAL-1); where that takes
//! long, it lets others sync and goes on with what waits.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use univrs_ports::store::{Error, Result};

use super::beside::{AT_ONCE, Beside, Sync};
use super::create::create_segment;
use super::job::Job;
use super::record::{self, Kind, SegmentId};
use super::state::Place;
use super::{Shared, WalOptions};
use crate::disk::{self, io_error, is_full};

/// How far ahead of the log zeros are written at least, and how many at once. A sync of bytes that lie over others
/// changes nothing about the file, so that a file system with a journal need not write to that as well: measured on
/// ext4, it takes 0.09 ms instead of 0.17, and half of the processor's time.
const ZEROS_AHEAD: u64 = 1 << 20;
/// What they are written from.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The place where the next record goes.
pub(crate) struct Writer {
    options: WalOptions,
    shared: Arc<Shared>,
    id: SegmentId,
    file: Arc<File>,
    path: PathBuf,
    length: u64,
    /// Up to here the segment is known to be on disk.
    durable: u64,
    /// Up to here room is reserved.
    reserved: u64,
    /// Up to here zeros are written, if that is beyond the length.
    zeroed: u64,
    max_index: Option<u64>,
    /// Made when the disk is slow for the first time.
    beside: Option<Beside>,
    /// Whether `beside` syncs this segment.
    turned: bool,
}

impl Writer {
    /// Goes on at the end of the log, or starts it.
    pub(crate) fn open(
        options: WalOptions,
        shared: Arc<Shared>,
        id: SegmentId,
        tail: Option<(u32, u64)>,
    ) -> Result<Self> {
        let existing = tail.and_then(|(sequence, length)| {
            let view = shared.view();
            let segment = view.segments.get(&sequence)?;
            Some((sequence, length, Arc::clone(&segment.file), segment.path.clone(), segment.max_index))
        });
        let (sequence, file, path, length, max_index) = match existing {
            Some((sequence, length, file, path, max_index)) => {
                // What a killed process left in the page cache must be on disk before it counts as durable.
                file.sync_data().map_err(io_error("sync", &path))?;
                (sequence, file, path, length, max_index)
            }
            None => {
                let sequence = shared.view().segments.keys().last().map_or(1, |last| last + 1);
                let (file, path, length) = create_segment(&options, &shared, SegmentId { sequence, ..id })?;
                (sequence, file, path, length, None)
            }
        };
        let mut writer = Self {
            options,
            shared,
            id: SegmentId { sequence, ..id },
            file,
            path,
            length,
            durable: length,
            reserved: length,
            zeroed: length,
            max_index,
            beside: None,
            turned: false,
        };
        writer.reserve_ahead();
        Ok(writer)
    }

    /// Runs until the log is closed and everything is written.
    pub(crate) fn run(mut self) {
        loop {
            let written = self.await_room().and_then(|()| {
                let Some(jobs) = self.next_jobs() else { return self.settle().map(|()| false) };
                self.write(jobs).map(|()| true)
            });
            match written {
                Ok(true) => {}
                Ok(false) => {
                    // Who reads the file need not know of zeros. After a crash they are there.
                    let _best_effort = self.file.set_len(self.length);
                    return;
                }
                Err(error) => {
                    tracing::error!(segment = %self.path.display(), %error, "the log cannot be written; the store stops");
                    self.shared.fail(&error);
                    return;
                }
            }
            self.reserve_ahead();
            self.zero_ahead();
        }
    }

    /// Everything that waits; `None` when the log is closed. While the disk is full, looks for room meanwhile.
    fn next_jobs(&self) -> Option<Vec<Job>> {
        loop {
            let mut queue = self.shared.queue();
            if queue.jobs.is_empty() && !queue.closed {
                queue = if self.shared.full.load(Ordering::Acquire) {
                    self.shared.wake.wait_timeout(queue, RETRY).unwrap_or_else(PoisonError::into_inner).0
                } else {
                    self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner)
                };
            }
            if !queue.jobs.is_empty() {
                return Some(queue.take());
            }
            if queue.closed {
                return None;
            }
            // Out of the lock: the reservation may take a while.
            drop(queue);
            if self.shared.full.load(Ordering::Acquire) {
                self.try_reserve();
            }
        }
    }

    /// Writes, and sees to it that who asked hears how it went.
    fn write(&mut self, jobs: Vec<Job>) -> io::Result<()> {
        match self.put_down(&jobs) {
            Ok(true) => jobs.into_iter().for_each(Job::stored),
            Ok(false) => {
                if let Some(beside) = &self.beside {
                    beside.begin(self.length, jobs);
                }
            }
            Err(error) => {
                jobs.into_iter().for_each(|job| job.fail(&error));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Answers whether all of it is safe, or is to be synced beside what comes next.
    fn put_down(&mut self, jobs: &[Job]) -> io::Result<bool> {
        let rolls = self.length >= self.options.segment_bytes;
        let aside = self.shared.is_slow()
            && jobs.iter().all(|job| matches!(job, Job::Entries { .. } | Job::Committed { .. }));
        if rolls || !aside {
            self.settle()?;
        }
        if rolls {
            self.roll()?;
        }
        if aside {
            self.turn_beside()?;
        }
        let mut buffer = Vec::new();
        let mut places = Vec::new();
        let mut must_sync = false;
        let mut purged = false;
        for job in jobs {
            must_sync |= !matches!(job, Job::Committed { .. });
            match job {
                Job::Entries { entries, .. } => {
                    for (index, ticket, payload) in entries {
                        let place = Place { segment: self.id.sequence, offset: self.offset_after(&buffer)? };
                        self.encode(&mut buffer, Kind::Entry, payload);
                        places.push((*index, *ticket, place));
                    }
                }
                Job::Vote { payload, .. } => self.encode(&mut buffer, Kind::Vote, payload),
                Job::Committed { payload } => self.encode(&mut buffer, Kind::Committed, payload),
                Job::Truncate { from } => self.encode(&mut buffer, Kind::Truncate, &from.to_le_bytes()),
                Job::Purge { upto } => {
                    purged = true;
                    let payload = postcard::to_stdvec(upto).map_err(io::Error::other)?;
                    self.encode(&mut buffer, Kind::Purge, &payload);
                }
            }
        }
        self.write_out(&buffer)?;
        self.length += buffer.len() as u64;
        self.note(&places);
        if must_sync && aside {
            return Ok(false);
        }
        if must_sync {
            let begun = Instant::now();
            self.file.sync_data()?;
            self.shared.synced(begun.elapsed());
            self.durable = self.length;
        }
        if purged {
            self.delete_purged();
        }
        Ok(true)
    }

    /// Has this segment synced beside the writing. Called before the write that is to be synced so, for the files must be
    /// open by then.
    fn turn_beside(&mut self) -> io::Result<()> {
        let beside = match &self.beside {
            Some(beside) => beside,
            None => {
                let shared = Arc::clone(&self.shared);
                self.beside.insert(Beside::start(move |took| shared.synced(took))?)
            }
        };
        if !self.turned {
            let open = || File::open(&self.path).map(|file| Box::new(move || file.sync_data()) as Sync);
            beside.turn_to((0..AT_ONCE).map(|_| open()).collect::<io::Result<_>>()?, self.durable);
            self.turned = true;
        }
        Ok(())
    }

    /// Waits until one more sync may begin.
    fn await_room(&mut self) -> io::Result<()> {
        if let Some(beside) = self.beside.as_ref().filter(|_| self.turned) {
            self.durable = self.durable.max(beside.room()?);
        }
        Ok(())
    }

    /// Waits until all that was left to be synced is.
    fn settle(&mut self) -> io::Result<()> {
        if let Some(beside) = self.beside.as_ref().filter(|_| self.turned) {
            self.durable = self.durable.max(beside.drain()?);
        }
        Ok(())
    }

    fn encode(&self, buffer: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
        let offset = self.length + buffer.len() as u64;
        record::encode(buffer, self.id.sequence, offset, self.durable, kind, payload);
    }

    fn offset_after(&self, buffer: &[u8]) -> io::Result<u32> {
        u32::try_from(self.length + buffer.len() as u64)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "the segment is larger than 4 GiB"))
    }

    /// Writes, and waits for room when the disk is full: what is in the log's hands is never given up.
    fn write_out(&mut self, buffer: &[u8]) -> io::Result<()> {
        loop {
            let end = self.length + buffer.len() as u64;
            let room = if end > self.reserved { self.extend_to(end) } else { Ok(()) };
            match room.and_then(|()| self.file.write_all_at(buffer, self.length)) {
                Err(error) if is_full(&error) => {
                    self.set_full(true);
                    if self.shared.queue().closed {
                        return Err(error);
                    }
                    std::thread::sleep(RETRY);
                }
                other => return other,
            }
        }
    }

    fn note(&mut self, places: &[(u64, u64, Place)]) {
        let mut view = self.shared.view();
        for &(index, ticket, place) in places {
            self.max_index = self.max_index.max(Some(index));
            view.placed(index, ticket, place);
        }
        if let Some(segment) = view.segments.get_mut(&self.id.sequence) {
            segment.max_index = self.max_index;
        }
        view.shrink_cache(self.options.cache_bytes);
    }

    /// Starts the next segment. When the disk is too full for it, the present one goes on.
    fn roll(&mut self) -> io::Result<()> {
        let id = SegmentId { sequence: self.id.sequence + 1, ..self.id };
        // The old segment is complete on disk before the next one exists (WAL-2).
        self.file.sync_data()?;
        match create_segment(&self.options, &self.shared, id) {
            Ok((file, path, length)) => {
                // Not before: where there is no room for the next one, the room reserved in this one is needed.
                let _best_effort = self.file.set_len(self.length);
                (self.id, self.file, self.path) = (id, file, path);
                (self.length, self.durable, self.reserved, self.zeroed) = (length, length, length, length);
                (self.max_index, self.turned) = (None, false);
                Ok(())
            }
            Err(Error::Io { source, .. }) if is_full(&source) => {
                self.set_full(true);
                Ok(())
            }
            Err(Error::Io { source, .. }) => Err(source),
            Err(other) => Err(io::Error::other(other.to_string())),
        }
    }

    /// Deletes the oldest segments that hold nothing but purged entries.
    fn delete_purged(&self) {
        let mut doomed = Vec::new();
        {
            let mut view = self.shared.view();
            let Some(purged) = view.purged.as_ref().map(|log_id| log_id.index) else { return };
            while let Some(oldest) = view.segments.first_entry() {
                if *oldest.key() == self.id.sequence || oldest.get().max_index > Some(purged) {
                    break;
                }
                doomed.push(oldest.remove().path);
            }
        }
        for path in &doomed {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(segment = %path.display(), %error, "an old segment cannot be removed");
                break;
            }
        }
        if let Some(path) = doomed.first()
            && let Err(error) = disk::sync_parent(path)
        {
            tracing::warn!(%error, "the removal of old segments may not be durable");
        }
    }

    /// Keeps room for what may already be on its way to the log, and says so when it cannot.
    fn reserve_ahead(&mut self) {
        let wanted = self.length + self.options.reserve_bytes;
        if self.reserved < wanted {
            // One step further than needed, so that not every write asks the file system.
            let full = match self.extend_to(wanted + self.options.reserve_bytes / 2) {
                Ok(()) => false,
                Err(error) => is_full(&error) && self.extend_to(wanted).is_err(),
            };
            self.set_full(full);
        } else {
            self.set_full(false);
        }
    }

    /// Writes zeros where the log will go on, as far as room is reserved. Fails without harm.
    fn zero_ahead(&mut self) {
        self.zeroed = self.zeroed.max(self.length);
        let wanted = (self.length + 2 * ZEROS_AHEAD).min(self.reserved).min(self.options.segment_bytes);
        if self.zeroed >= self.length + ZEROS_AHEAD {
            return;
        }
        while self.zeroed < wanted {
            let piece =
                usize::try_from(wanted - self.zeroed).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            if self.file.write_all_at(&ZEROS[..piece], self.zeroed).is_err() {
                return;
            }
            self.zeroed += piece as u64;
        }
    }

    fn try_reserve(&self) {
        let wanted = self.options.reserve_bytes;
        if self.options.space.reserve(&self.file, self.length, wanted).is_ok() {
            self.set_full(false);
        }
    }

    fn extend_to(&mut self, end: u64) -> io::Result<()> {
        self.options.space.reserve(&self.file, self.reserved, end - self.reserved)?;
        self.reserved = end;
        Ok(())
    }

    fn set_full(&self, full: bool) {
        if self.shared.full.swap(full, Ordering::AcqRel) != full {
            if full {
                tracing::error!(segment = %self.path.display(), "no space left for the log; writes are refused until there is");
            } else {
                tracing::info!(segment = %self.path.display(), "there is space for the log; writes are accepted");
            }
        }
    }
}
