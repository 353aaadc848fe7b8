//! Dates of prices. A source may say only the year or the month; then its first day counts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// When a price was read: `2026`, `2026-07` or `2026-07-30`. Ordered by the first day it may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PriceDate {
    year: u16,
    /// 1 to 12, or 0 when only the year is known.
    month: u8,
    /// 1 to 31, or 0 when only the month is known.
    day: u8,
}

impl PriceDate {
    /// A full date; none when the calendar has no such day.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<PriceDate> {
        let valid = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        valid.then_some(PriceDate { year, month, day })
    }

    /// Reads `2026`, `2026-07` or `2026-07-30`.
    #[must_use]
    pub fn parse(text: &str) -> Option<PriceDate> {
        let number = |part: Option<&str>, digits: usize| match part {
            None => Some(0),
            Some(part) if part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()) => {
                part.parse::<u16>().ok().filter(|number| *number > 0)
            }
            Some(_) => None,
        };
        let mut parts = text.splitn(3, '-');
        let year = number(parts.next(), 4)?;
        let month = u8::try_from(number(parts.next(), 2)?).ok()?;
        let day = u8::try_from(number(parts.next(), 2)?).ok()?;
        let valid = month <= 12 && (day == 0 || day <= days_in(year, month));
        valid.then_some(PriceDate { year, month, day })
    }

    /// Whole days from this date to `later`; negative when `later` is earlier. An unknown day or month counts as the
    /// first, so an age is never understated.
    #[must_use]
    pub fn days_until(self, later: PriceDate) -> i64 {
        later.day_number() - self.day_number()
    }

    /// Days since 0000-03-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    fn day_number(self) -> i64 {
        let month = i64::from(self.month.max(1));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let shifted = (month + 9) % 12;
        let day_of_year = (153 * shifted + 2) / 5 + i64::from(self.day.max(1)) - 1;
        year * 365 + year / 4 - year / 100 + year / 400 + day_of_year
    }
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for PriceDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.month > 0 {
            write!(f, "-{:02}", self.month)?;
        }
        if self.day > 0 {
            write!(f, "-{:02}", self.day)?;
        }
        Ok(())
    }
}
