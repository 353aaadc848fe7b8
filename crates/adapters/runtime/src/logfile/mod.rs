//! A container's log: numbered files of lines `<time> <stdout|stderr> <F|P> <text>`.
//!
//! `P` marks a part of a line, `F` its last part. Files are numbered upwards and never renamed, so that a reader
//! that follows can tell where it stands whatever is deleted behind it.

mod reader;
mod writer;

use std::path::{Path, PathBuf};

use univrs_ports::runtime::LogStream;

pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

const SUFFIX: &str = ".log";

/// The numbers of the files in `dir`, ascending.
fn numbers(dir: &Path) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        crate::layout::names(dir).iter().filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn file(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}{SUFFIX}"))
}

fn stream_name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    }
}

fn index(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use univrs_ports::runtime::{LogLimits, LogQuery, LogStream};

    use super::{Reader, Writer, numbers};

    fn texts(dir: &std::path::Path, query: LogQuery) -> Vec<String> {
        let mut reader = Reader::open(dir, query).unwrap();
        std::iter::from_fn(|| reader.next_line().unwrap()).map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_read_back_by_stream_and_parts_are_joined() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), LogLimits::default()).unwrap();
        writer.append(LogStream::Stdout, b"one\ntw");
        writer.append(LogStream::Stderr, b"bad\n");
        writer.append(LogStream::Stdout, b"o\n\n");
        let long = "x".repeat(40_000);
        writer.append(LogStream::Stdout, long.as_bytes());
        writer.append(LogStream::Stderr, b"worse\n");
        writer.append(LogStream::Stdout, b"y\nno end");
        writer.finish();
        let mut reader = Reader::open(dir.path(), LogQuery::default()).unwrap();
        let lines: Vec<_> = std::iter::from_fn(|| reader.next_line().unwrap()).collect();
        let seen: Vec<_> = lines.iter().map(|line| (line.stream, line.text.len())).collect();
        let (out, err) = (LogStream::Stdout, LogStream::Stderr);
        assert_eq!(seen, [(out, 3), (err, 3), (out, 3), (out, 0), (err, 5), (out, 40_001), (out, 6)]);
        assert_eq!(lines[5].text, format!("{long}y"));
        assert!(lines.windows(2).all(|pair| pair[0].at <= pair[1].at || pair[1].text.len() > 40_000));
    }

    #[test]
    fn files_turn_over_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), LogLimits { max_bytes: 200, kept_files: 2 }).unwrap();
        for number in 0..100 {
            writer.append(LogStream::Stdout, format!("line {number}\n").as_bytes());
        }
        assert_eq!(numbers(dir.path()).len(), 3);
        let lines = texts(dir.path(), LogQuery::default());
        assert!(lines.len() > 5 && lines.len() < 20);
        assert_eq!(lines.last().map(String::as_str), Some("line 99"));
        assert_eq!(
            texts(dir.path(), LogQuery { tail: Some(4), ..LogQuery::default() }),
            ["line 96", "line 97", "line 98", "line 99"]
        );
        assert_eq!(texts(dir.path(), LogQuery { tail: Some(0), ..LogQuery::default() }), [""; 0]);
    }

    #[test]
    fn a_reader_goes_on_where_it_stood() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogLimits { max_bytes: 120, kept_files: 50 };
        let mut writer = Writer::open(dir.path(), limits).unwrap();
        let mut reader = Reader::open(dir.path(), LogQuery { follow: true, ..LogQuery::default() }).unwrap();
        assert_eq!(reader.next_line().unwrap(), None);
        for number in 0..20 {
            writer.append(LogStream::Stdout, format!("{number}\n").as_bytes());
            assert_eq!(reader.next_line().unwrap().unwrap().text, number.to_string());
            assert_eq!(reader.next_line().unwrap(), None);
        }
        drop(writer);
        let mut again = Writer::open(dir.path(), limits).unwrap();
        again.append(LogStream::Stderr, b"next attempt\n");
        assert_eq!(reader.next_line().unwrap().unwrap().text, "next attempt");
        assert!(reader.alive());
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(!reader.alive());
    }

    #[test]
    fn since_leaves_out_what_came_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), LogLimits::default()).unwrap();
        writer.append(LogStream::Stdout, b"before\n");
        std::thread::sleep(std::time::Duration::from_millis(2));
        let now = jiff::Timestamp::now();
        writer.append(LogStream::Stdout, b"after\n");
        assert_eq!(texts(dir.path(), LogQuery { since: Some(now), ..LogQuery::default() }), ["after"]);
    }
}
