//! From the engine's log messages to lines. Pure.
//!
//! With time stamps asked for, a message is `<time> <text>`. A long line comes in several; only the last one ends
//! with a line end.

use bollard::container::LogOutput;
use jiff::Timestamp;
use univrs_ports::runtime::{LogLine, LogStream};

/// A line of which only parts have come.
struct Open {
    at: Timestamp,
    text: Vec<u8>,
}

/// Joins messages into lines.
#[derive(Default)]
pub(super) struct Joiner {
    open: [Option<Open>; 2],
}

impl Joiner {
    /// Adds a message; answers the line if it is now whole.
    pub(super) fn add(&mut self, message: &LogOutput) -> Option<LogLine> {
        let (stream, bytes) = match message {
            LogOutput::StdErr { message } => (LogStream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => (LogStream::Stdout, message),
            LogOutput::StdIn { .. } => return None,
        };
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let at: Timestamp = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let text = &bytes[space + 1..];
        let open = &mut self.open[usize::from(stream == LogStream::Stderr)];
        let Some(text) = text.strip_suffix(b"\n") else {
            open.get_or_insert_with(|| Open { at, text: Vec::new() }).text.extend_from_slice(text);
            return None;
        };
        let mut line = open.take().unwrap_or(Open { at, text: Vec::new() });
        line.text.extend_from_slice(text);
        Some(LogLine { at: line.at, stream, text: String::from_utf8_lossy(&line.text).into_owned() })
    }

    /// Whether a message ends its line.
    pub(super) fn ends_line(message: &LogOutput) -> bool {
        message.as_ref().ends_with(b"\n")
    }

    /// The lines that were not ended, when nothing more can come.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = LogLine> {
        let streams = [LogStream::Stdout, LogStream::Stderr];
        let open = std::mem::take(&mut self.open);
        streams.into_iter().zip(open).filter_map(|(stream, open)| {
            let Open { at, text } = open?;
            Some(LogLine { at, stream, text: String::from_utf8_lossy(&text).into_owned() })
        })
    }
}

#[cfg(test)]
mod tests {
    use bollard::container::LogOutput;
    use univrs_ports::runtime::LogStream;

    use super::Joiner;

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut { message: format!("2026-01-02T03:04:05.000000006Z {text}").into() }
    }

    fn err(text: &str) -> LogOutput {
        LogOutput::StdErr { message: format!("2026-01-02T03:04:06.000000000Z {text}").into() }
    }

    #[test]
    fn parts_are_joined_for_each_stream() {
        let mut joiner = Joiner::default();
        let messages = [out("a "), err("bad\n"), out(" b\n"), out("\n"), out("no end")];
        let lines: Vec<_> = messages.iter().filter_map(|message| joiner.add(message)).collect();
        let seen: Vec<_> = lines.iter().map(|line| (line.stream, line.text.as_str())).collect();
        let (o, e) = (LogStream::Stdout, LogStream::Stderr);
        assert_eq!(seen, [(e, "bad"), (o, "a  b"), (o, "")]);
        assert_eq!(lines[1].at.to_string(), "2026-01-02T03:04:05.000000006Z");
        assert_eq!(joiner.rest().map(|line| line.text).collect::<Vec<_>>(), ["no end"]);
        assert_eq!(joiner.rest().count(), 0);
    }
}
