//! What a simulated container does.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use univrs_model::quantity::Bytes;
use univrs_model::span::Span;
use univrs_ports::runtime::LogStream;

/// Labels with this prefix script a container.
const PREFIX: &str = "simulate.";

/// What a simulated container does. It comes from its image's reference, then the image's labels, then its own;
/// later ones win.
///
/// A reference is `sim/<verb>[:<value>][?<key>=<value>&…]`, such as `sim/exit:3?after=2s` or `sim/run?delay=1s`; any
/// other image runs until it is stopped. A label is `simulate.<key>`; a variable `SIMULATE_<KEY>` counts as one.
///
/// | key | meaning |
/// |---|---|
/// | `start_delay`, `delay` | how long a start takes |
/// | `fail_start`, verb `fail` | the start is refused for this reason |
/// | `fail_first` | this many attempts fail before one starts |
/// | `exit_after`, `after` | it ends by itself so long after its start |
/// | `exit_code`, verb `exit` | its exit code, by itself or when asked to end |
/// | `out_of_memory` | its own end is one for want of memory |
/// | `stop_delay` | how long it takes to end when asked |
/// | `ignore_signals`, verb `stubborn` | it does not end when asked |
/// | `says` | lines it writes, `!` before those to standard error |
/// | `says_every` | the time between two lines; a `{n}` makes the last line come again and again, counted |
/// | `memory` | memory in use |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// How long a start takes.
    pub start_delay: Duration,
    /// Why the start is refused.
    pub fail_start: Option<String>,
    /// How many attempts fail.
    pub fail_first: u32,
    /// When it ends by itself.
    pub exit_after: Option<Duration>,
    /// Its exit code.
    pub exit_code: i32,
    /// Whether its own end is one for want of memory.
    pub out_of_memory: bool,
    /// How long it takes to end when asked.
    pub stop_delay: Duration,
    /// Whether it ends when asked.
    pub ignore_signals: bool,
    /// What it writes.
    pub says: Vec<(LogStream, String)>,
    /// The time between two lines.
    pub says_every: Duration,
    /// Memory in use.
    pub memory: Bytes,
}

/// Why a script cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` cannot be simulated as `{value}`: {expected}")]
pub struct InvalidScript {
    key: String,
    value: String,
    expected: &'static str,
}

impl Script {
    /// Reads what the reference and the labels say.
    ///
    /// # Errors
    /// When a key is unknown or a value does not fit its key.
    pub fn read(reference: &str, labels: [&BTreeMap<String, String>; 2]) -> Result<Self, InvalidScript> {
        let mut script = Self { memory: Bytes::mebibytes(8), ..Self::default() };
        if let Some(words) = reference.strip_prefix("sim/") {
            let (verb, settings) = words.split_once('?').unwrap_or((words, ""));
            let (verb, value) = verb.split_once(':').unwrap_or((verb, ""));
            match verb {
                "exit" => {
                    script.set("exit_code", value)?;
                    script.exit_after = Some(Duration::ZERO);
                }
                "fail" => script.set("fail_start", value)?,
                "stubborn" => script.ignore_signals = true,
                _ => {}
            }
            for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
                let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
                script.set(key, value)?;
            }
        }
        for (key, value) in labels.into_iter().flatten() {
            if let Some(key) = key.strip_prefix(PREFIX) {
                script.set(key, value)?;
            }
        }
        Ok(script)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidScript> {
        let fail = |expected| InvalidScript { key: key.to_owned(), value: value.to_owned(), expected };
        let span =
            || Span::from_str(value).map(Span::duration).map_err(|_| fail("a duration such as `250ms`"));
        let flag = || value.parse::<bool>().map_err(|_| fail("`true` or `false`"));
        match key {
            "start_delay" | "delay" => self.start_delay = span()?,
            "fail_start" => {
                self.fail_start =
                    Some(if value.is_empty() { "it fails as scripted".to_owned() } else { value.to_owned() });
            }
            "fail_first" => self.fail_first = value.parse().map_err(|_| fail("a number of attempts"))?,
            "exit_after" | "after" => self.exit_after = Some(span()?),
            "exit_code" => self.exit_code = value.parse().map_err(|_| fail("an exit code"))?,
            "out_of_memory" => self.out_of_memory = flag()?,
            "stop_delay" => self.stop_delay = span()?,
            "ignore_signals" => self.ignore_signals = flag()?,
            "says" => {
                self.says = value
                    .lines()
                    .map(|line| match line.strip_prefix('!') {
                        Some(line) => (LogStream::Stderr, line.to_owned()),
                        None => (LogStream::Stdout, line.to_owned()),
                    })
                    .collect();
            }
            "says_every" => self.says_every = span()?,
            "memory" => self.memory = value.parse().map_err(|_| fail("a size such as `64Mi`"))?,
            _ => return Err(fail("there is no such setting")),
        }
        Ok(())
    }

    /// The line of this number and how long after the start it is written; `None` when it is silent by then.
    pub(super) fn line(&self, number: usize) -> Option<(Duration, LogStream, String)> {
        let repeats =
            !self.says_every.is_zero() && self.says.last().is_some_and(|(_, text)| text.contains("{n}"));
        let place = if repeats { number.min(self.says.len() - 1) } else { number };
        let (stream, text) = self.says.get(place)?;
        let at = self.says_every.checked_mul(u32::try_from(number).ok()?)?;
        Some((at, *stream, text.replace("{n}", &(number - (place.min(self.says.len() - 1))).to_string())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use univrs_ports::runtime::LogStream;

    use super::Script;

    fn read(reference: &str, labels: &[(&str, &str)]) -> Result<Script, String> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Script::read(reference, [&BTreeMap::new(), &labels]).map_err(|error| error.to_string())
    }

    #[test]
    fn references_and_labels_are_read() {
        let script = read("sim/exit:3?after=2s&delay=50ms", &[]).unwrap();
        assert_eq!((script.exit_code, script.exit_after), (3, Some(Duration::from_secs(2))));
        assert_eq!(script.start_delay, Duration::from_millis(50));
        let script = read("sim/exit:3", &[("simulate.exit_code", "4"), ("other", "x")]).unwrap();
        assert_eq!((script.exit_code, script.exit_after), (4, Some(Duration::ZERO)));
        let script = read("web:1", &[]).unwrap();
        assert_eq!((script.exit_after, script.ignore_signals), (None, false));
        assert_eq!(
            read("sim/fail:no such program", &[]).unwrap().fail_start.as_deref(),
            Some("no such program")
        );
        assert!(read("sim/stubborn", &[]).unwrap().ignore_signals);
    }

    #[test]
    fn slips_are_told() {
        assert!(read("sim/exit:x", &[]).unwrap_err().contains("`exit_code`"));
        assert!(read("sim/run?color=red", &[]).unwrap_err().contains("no such setting"));
        assert!(read("web", &[("simulate.exit_after", "soon")]).unwrap_err().contains("duration"));
    }

    #[test]
    fn lines_come_once_or_again_and_again() {
        let script = read("web", &[("simulate.says", "a\n!b")]).unwrap();
        assert_eq!(script.line(1), Some((Duration::ZERO, LogStream::Stderr, "b".to_owned())));
        assert_eq!(script.line(2), None);
        let script =
            read("web", &[("simulate.says", "first\ntick {n}"), ("simulate.says_every", "1s")]).unwrap();
        assert_eq!(script.line(0).unwrap().2, "first");
        assert_eq!(script.line(1).unwrap().2, "tick 0");
        assert_eq!(script.line(11), Some((Duration::from_secs(11), LogStream::Stdout, "tick 10".to_owned())));
    }
}
