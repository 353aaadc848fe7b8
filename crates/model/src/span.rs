//! Lengths of time as people write them: `"250ms" "5s" "5m" "24h"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A length of time in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, pattern = "^(([0-9]{1,10}|[12][0-9]{10})(\\.[0-9]{1,3})?ms|([0-9]{1,7}|[12][0-9]{7})(\\.[0-9]{1,3})?s|([0-9]{1,5}|[1-4][0-9]{5})(\\.[0-9]{1,3})?m|([0-9]{1,3}|[1-7][0-9]{3}|8[0-6][0-9]{2})(\\.[0-9]{1,3})?h|([0-9]{1,2}|[12][0-9]{2}|3[0-5][0-9])(\\.[0-9]{1,3})?d)$", example = "5s")]
pub struct Span(u64);

/// Why a text is not a [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration; write a number and a unit, such as `250ms`, `5s`, `5m` or `24h`")]
pub struct InvalidSpan {
    text: String,
}

/// The longest span that is accepted: one year. Longer values are slips of the unit.
const LONGEST_MILLIS: u64 = 366 * 24 * 3600 * 1000;

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// The length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The length as the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Span> for jiff::SignedDuration {
    fn from(span: Span) -> Self {
        // Bounded by LONGEST_MILLIS when parsed, and by u64 halves of centuries otherwise.
        Self::from_millis(i64::try_from(span.0).unwrap_or(i64::MAX))
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let fail = || InvalidSpan { text: text.chars().take(80).collect() };
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fail)?;
        let (number, unit) = text.split_at(digits);
        let unit_millis = match unit {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return Err(fail()),
        };
        let millis = number.parse::<f64>().map_err(|_| fail())? * unit_millis;
        if !(0.0..=LONGEST_MILLIS as f64).contains(&millis) {
            return Err(fail());
        }
        Ok(Self(millis.round() as u64))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => out.write_str("0s"),
            millis if millis.is_multiple_of(3_600_000) => write!(out, "{}h", millis / 3_600_000),
            millis if millis.is_multiple_of(60_000) => write!(out, "{}m", millis / 60_000),
            millis if millis.is_multiple_of(1000) => write!(out, "{}s", millis / 1000),
            millis => write!(out, "{millis}ms"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn spans_read_and_write() {
        for (text, millis, canonical) in [
            ("250ms", 250, "250ms"),
            ("5s", 5000, "5s"),
            ("1.5s", 1500, "1500ms"),
            ("60s", 60_000, "1m"),
            ("24h", 86_400_000, "24h"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.as_millis(), span.to_string().as_str()), (millis, canonical));
        }
        for bad in ["", "5", "s", "-1s", "5 s", "1w", "1.2.3s", "9999999h", "infs", "NaNs"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
