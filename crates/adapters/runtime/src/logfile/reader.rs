//! Reading a log, once or following it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use univrs_ports::runtime::{LogLine, LogQuery, LogStream};

use super::{file, index, numbers};

/// A line of which only parts were read yet.
struct Open {
    at: Timestamp,
    text: Vec<u8>,
}

/// Yields lines in the order in which they ended.
pub(crate) struct Reader {
    dir: PathBuf,
    since: Option<Timestamp>,
    /// The file being read.
    current: Option<(u64, BufReader<File>)>,
    /// A record whose end has not been written yet.
    record: Vec<u8>,
    open: [Option<Open>; 2],
    /// Lines already read, when only the last ones are wanted.
    ready: VecDeque<LogLine>,
}

impl Reader {
    /// Starts reading where the query says.
    pub(crate) fn open(dir: &Path, query: LogQuery) -> io::Result<Self> {
        let mut reader = Self {
            dir: dir.to_owned(),
            since: query.since,
            current: None,
            record: Vec::new(),
            open: [None, None],
            ready: VecDeque::new(),
        };
        if let Some(wanted) = query.tail {
            reader.start_at(first_file_for(dir, wanted)?)?;
            let mut last = VecDeque::new();
            while let Some(line) = reader.next_line()? {
                if last.len() >= wanted {
                    last.pop_front();
                }
                if wanted > 0 {
                    last.push_back(line);
                }
            }
            reader.ready = last;
        }
        Ok(reader)
    }

    /// Whether there may be more lines at some time.
    pub(crate) fn alive(&self) -> bool {
        self.dir.exists()
    }

    /// The next line, or `None` when all that is there has been read.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        if let Some(line) = self.ready.pop_front() {
            return Ok(Some(line));
        }
        loop {
            if self.current.is_none() {
                let first = numbers(&self.dir).first().copied();
                self.start_at(first)?;
            }
            let Some((number, input)) = &mut self.current else { return Ok(None) };
            let number = *number;
            input.read_until(b'\n', &mut self.record)?;
            if self.record.last() != Some(&b'\n') {
                // The end of the file. A later file means that nothing is added here any more: what was written
                // before that one was made has to be read first.
                let Some(next) = numbers(&self.dir).into_iter().find(|later| *later > number) else {
                    return Ok(None);
                };
                if input.read_until(b'\n', &mut self.record)? == 0 {
                    self.record.clear();
                    self.start_at(Some(next))?;
                }
                if self.record.last() != Some(&b'\n') {
                    continue;
                }
            }
            let record = std::mem::take(&mut self.record);
            let line = self.take(&record);
            self.record = record;
            self.record.clear();
            if let Some(line) = line.filter(|line| self.since.is_none_or(|since| line.at >= since)) {
                return Ok(Some(line));
            }
        }
    }

    fn start_at(&mut self, number: Option<u64>) -> io::Result<()> {
        let Some(number) = number else { return Ok(()) };
        self.current = match File::open(file(&self.dir, number)) {
            Ok(file) => Some((number, BufReader::new(file))),
            // Deleted just now: the next look finds the first that is left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Adds a record; answers the line if it is now whole.
    fn take(&mut self, record: &[u8]) -> Option<LogLine> {
        let (at, stream, last, text) = parse(record)?;
        let open = &mut self.open[index(stream)];
        if !last {
            open.get_or_insert_with(|| Open { at, text: Vec::new() }).text.extend_from_slice(text);
            return None;
        }
        let (at, text) = match open.take() {
            Some(mut open) => {
                open.text.extend_from_slice(text);
                (open.at, String::from_utf8_lossy(&open.text).into_owned())
            }
            None => (at, String::from_utf8_lossy(text).into_owned()),
        };
        Some(LogLine { at, stream, text })
    }
}

fn parse(record: &[u8]) -> Option<(Timestamp, LogStream, bool, &[u8])> {
    let mut fields = record.strip_suffix(b"\n")?.splitn(4, |byte| *byte == b' ');
    let at = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let stream = match fields.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let last = fields.next()? == b"F";
    Some((at, stream, last, fields.next()?))
}

/// The newest file from which on there are at least `wanted` lines.
fn first_file_for(dir: &Path, wanted: usize) -> io::Result<Option<u64>> {
    let mut found = 0;
    let numbers = numbers(dir);
    for (place, number) in numbers.iter().enumerate().rev() {
        let mut input = BufReader::new(File::open(file(dir, *number))?);
        let mut record = Vec::new();
        while input.read_until(b'\n', &mut record)? > 0 {
            found += usize::from(parse(&record).is_some_and(|(_, _, last, _)| last));
            record.clear();
        }
        if found > wanted {
            return Ok(Some(numbers[place]));
        }
    }
    Ok(numbers.first().copied())
}
