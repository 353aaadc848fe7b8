//! Tables for people, and the same rows as names or ids.

use std::time::Duration;

use univrs_model::Timestamp;

use crate::args::Format;
use crate::context::Context;
use crate::fault::Fault;

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    /// Whether it appears in wide tables only.
    wide: bool,
}

/// A column of every table.
pub(crate) const fn column(title: &'static str) -> Column {
    Column { title, wide: false }
}

/// A column of wide tables.
pub(crate) const fn wide(title: &'static str) -> Column {
    Column { title, wide: true }
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// A state, coloured by how good it is.
    State(String),
    /// A time: its age, or itself in wide tables.
    Time(Option<Timestamp>),
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// One object of a list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    /// One per column.
    pub(crate) cells: Vec<Cell>,
}

/// A list of objects for people.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Prints the list in the form that was asked for; `body` is the server's own form of it.
    pub(crate) fn print(&self, context: &mut Context<'_>, body: &[u8]) -> Result<(), Fault> {
        if context.quiet {
            return self.print_each(context, |row| &row.id);
        }
        match context.format {
            Format::Json | Format::Yaml => print_body(context, body),
            Format::Name => self.print_each(context, |row| &row.name),
            Format::Table | Format::Wide => self.print_lines(context),
        }
    }

    fn print_each(&self, context: &mut Context<'_>, of: impl Fn(&Row) -> &String) -> Result<(), Fault> {
        for row in &self.rows {
            context.io.data(of(row))?;
        }
        Ok(())
    }

    fn print_lines(&self, context: &mut Context<'_>) -> Result<(), Fault> {
        let now = (context.io.now)();
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|&i| context.format == Format::Wide || !self.columns[i].wide)
            .collect();
        let exact = context.format == Format::Wide;
        let texts: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                shown
                    .iter()
                    .map(|&i| row.cells.get(i).map_or(String::new(), |cell| text(cell, exact, now)))
                    .collect()
            })
            .collect();
        let width = |at: usize, i: usize| {
            texts
                .iter()
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or(0)
                .max(self.columns[i].title.len())
        };
        let widths: Vec<usize> = shown.iter().enumerate().map(|(at, &i)| width(at, i)).collect();
        let titles: Vec<String> = shown.iter().map(|&i| self.columns[i].title.to_owned()).collect();
        context.io.data(&line(&titles, &widths, |_, text| text.to_owned()))?;
        for (row, texts) in self.rows.iter().zip(&texts) {
            let colour = context.io.colour;
            let paint = |at: usize, padded: &str| match row.cells.get(shown[at]) {
                Some(Cell::State(state)) if colour => painted(state, padded),
                Some(_) | None => padded.to_owned(),
            };
            context.io.data(&line(texts, &widths, paint))?;
        }
        Ok(())
    }
}

/// Prints the server's own form of something, as JSON or YAML.
pub(crate) fn print_body(context: &mut Context<'_>, body: &[u8]) -> Result<(), Fault> {
    if context.format == Format::Yaml {
        return Ok(context.io.raw(yaml(body)?.as_bytes())?);
    }
    context.io.raw(body)?;
    if !body.ends_with(b"\n") {
        context.io.raw(b"\n")?;
    }
    Ok(())
}

/// JSON as YAML, keys in the same order.
pub(crate) fn yaml(body: &[u8]) -> Result<String, Fault> {
    let odd = |detail: String| Fault::failed(format!("the reply cannot be written as YAML: {detail}"), None);
    let value: serde_norway::Value = serde_json::from_slice(body).map_err(|error| odd(error.to_string()))?;
    serde_norway::to_string(&value).map_err(|error| odd(error.to_string()))
}

fn line(texts: &[String], widths: &[usize], paint: impl Fn(usize, &str) -> String) -> String {
    let last = texts.len().saturating_sub(1);
    let mut line = String::new();
    for (at, (text, width)) in texts.iter().zip(widths).enumerate() {
        line.push_str(&paint(at, text));
        if at < last {
            let gap = width + 3 - text.chars().count();
            line.extend(std::iter::repeat_n(' ', gap));
        }
    }
    line.trim_end().to_owned()
}

fn text(cell: &Cell, exact: bool, now: Timestamp) -> String {
    match cell {
        Cell::Text(text) | Cell::State(text) if text.is_empty() => "-".to_owned(),
        Cell::Text(text) | Cell::State(text) => text.clone(),
        Cell::Time(None) => "-".to_owned(),
        Cell::Time(Some(time)) if exact => time.to_string(),
        Cell::Time(Some(time)) => age(now, *time),
    }
}

fn painted(state: &str, padded: &str) -> String {
    let word = state.split([' ', ',']).next().unwrap_or_default();
    let colour = match word {
        "running" | "ready" | "passing" | "completed" | "succeeded" | "info" => 32,
        "failed" | "lost" | "failing" | "error" => 31,
        "stopped" | "none" | "-" => return padded.to_owned(),
        _ => 33,
    };
    format!("\x1b[{colour}m{padded}\x1b[0m")
}

/// How long ago something was, in its largest unit (two for young things).
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=599 if seconds % 60 != 0 => format!("{}m{}s", seconds / 60, seconds % 60),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A length of time for people.
pub(crate) fn span(length: Duration) -> String {
    univrs_model::span::Span::millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)).to_string()
}

/// Bytes for people: three digits or so, binary units.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    let whole = unit == 0 || number >= 99.95 || (number - number.round()).abs() < 0.05;
    if whole { format!("{number:.0}{}", UNITS[unit]) } else { format!("{number:.1}{}", UNITS[unit]) }
}

/// The word that a value has on the wire, such as `running`.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::Timestamp;

    use super::{age, line, painted, size};

    #[test]
    fn ages_have_one_or_two_units() {
        let then = Timestamp::UNIX_EPOCH;
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (3600, "60m"),
            (7200, "2h"),
            (172_800, "2d"),
            (31_536_000, "365d"),
        ] {
            let now = Timestamp::from_second(seconds).unwrap();
            assert_eq!(age(now, then), text);
        }
    }

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1Ki"),
            (1536, "1.5Ki"),
            (128 << 20, "128Mi"),
            (u64::MAX, "16Ei"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn lines_are_aligned_and_not_padded_at_the_end() {
        let texts = ["a".to_owned(), "bb".to_owned()];
        assert_eq!(line(&texts, &[3, 9], |_, text| text.to_owned()), "a     bb");
    }

    #[test]
    fn colours_follow_the_first_word() {
        assert_eq!(painted("running, cordoned", "x"), "\x1b[32mx\x1b[0m");
        assert_eq!(painted("failed", "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(painted("none", "x"), "x");
    }
}
