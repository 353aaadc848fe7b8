//! Writing a log: a shim's work.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use univrs_ports::runtime::{LogLimits, LogStream};

use super::{file, index, numbers, stream_name};

/// Longest piece of a line that is kept in memory.
const LONGEST_PART: usize = 16 << 10;

/// Turns bytes into lines on disk.
pub(crate) struct Writer {
    dir: PathBuf,
    limits: LogLimits,
    number: u64,
    file: File,
    size: u64,
    /// What came without a line end yet, by stream.
    open: [Vec<u8>; 2],
    /// Whether a part of the current line was already written, by stream.
    continued: [bool; 2],
    /// Records that wait to be written.
    buffer: Vec<u8>,
}

impl Writer {
    /// Goes on after the last line in `dir`.
    pub(crate) fn open(dir: &Path, limits: LogLimits) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let number = numbers(dir).last().copied().unwrap_or(1);
        let mut file = open(dir, number)?;
        let size = file.metadata()?.len();
        if size > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(size - 1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            limits,
            number,
            file,
            size,
            open: Default::default(),
            continued: [false; 2],
            buffer: Vec::new(),
        })
    }

    /// Takes what the container wrote. A full disk loses lines; it does not stop the container.
    pub(crate) fn append(&mut self, stream: LogStream, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.collect(stream, &rest[..end]);
            self.record(stream, true);
            rest = &rest[end + 1..];
        }
        self.collect(stream, rest);
        self.flush();
    }

    /// Ends lines that were not ended.
    pub(crate) fn finish(&mut self) {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            if self.continued[index(stream)] || !self.open[index(stream)].is_empty() {
                self.record(stream, true);
            }
        }
        self.flush();
    }

    /// Keeps `bytes`, which have no line end, writing parts as they become too long.
    fn collect(&mut self, stream: LogStream, mut bytes: &[u8]) {
        loop {
            let open = &mut self.open[index(stream)];
            let room = LONGEST_PART - open.len();
            if bytes.len() <= room {
                open.extend_from_slice(bytes);
                return;
            }
            open.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            self.record(stream, false);
        }
    }

    fn record(&mut self, stream: LogStream, last: bool) {
        let text = std::mem::take(&mut self.open[index(stream)]);
        self.continued[index(stream)] = !last;
        let kind = if last { "F" } else { "P" };
        // Writing to memory does not fail.
        let _ = write!(self.buffer, "{:.9} {} {kind} ", Timestamp::now(), stream_name(stream));
        self.buffer.extend_from_slice(&text);
        self.buffer.push(b'\n');
        if self.size + self.buffer.len() as u64 >= self.limits.max_bytes {
            self.flush();
            self.turn_over();
        }
        let mut text = text;
        text.clear();
        self.open[index(stream)] = text;
    }

    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        if self.file.write_all(&self.buffer).is_ok() {
            self.size += self.buffer.len() as u64;
        }
        self.buffer.clear();
    }

    fn turn_over(&mut self) {
        let Ok(next) = open(&self.dir, self.number + 1) else { return };
        self.number += 1;
        self.file = next;
        self.size = 0;
        let kept = u64::from(self.limits.kept_files);
        for number in numbers(&self.dir) {
            if number + kept < self.number {
                // Tried again at the next turn.
                let _ = std::fs::remove_file(file(&self.dir, number));
            }
        }
    }
}

fn open(dir: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).open(file(dir, number))
}
