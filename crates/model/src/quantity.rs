//! CPU and bytes as people write them: `"250m"` or `0.25` cores, `"128Mi"`, `"4Gi"`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Processor time in thousandths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, example = "250m")]
pub struct Cpu(u64);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, example = "128Mi")]
pub struct Bytes(u64);

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// Not a CPU quantity.
    #[error("`{0}` is not a CPU quantity; write `250m` or `0.25` (cores), less than 10^9 cores")]
    Cpu(String),
    /// Not a byte quantity.
    #[error("`{0}` is not a size; write `128Mi` or `4Gi`, less than 10^18 bytes")]
    Bytes(String),
}

/// More cores than all machines of a cluster have: what has twelve digits. The API document says so too.
const MOST_MILLICORES: u64 = 999_999_999_999;
/// Nearly an exabyte: what has eighteen digits. The API document says so too.
const MOST_BYTES: u64 = 999_999_999_999_999_999;

impl Cpu {
    /// Thousandths of a core.
    pub const fn millicores(millicores: u64) -> Self {
        Self(millicores)
    }

    /// The quantity in thousandths of a core.
    pub const fn as_millicores(self) -> u64 {
        self.0
    }
}

impl Bytes {
    /// A number of bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A number of mebibytes.
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// The quantity in bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

impl FromStr for Cpu {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let fail = || InvalidQuantity::Cpu(clip(text));
        let (number, factor) = match text.strip_suffix('m') {
            Some(number) => (number, 1.0),
            None => (text, 1000.0),
        };
        positive(number, factor, MOST_MILLICORES).map(Self).ok_or_else(fail)
    }
}

impl FromStr for Bytes {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        const UNITS: [(&str, f64); 10] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("Pi", 1_125_899_906_842_624.0),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("B", 1.0),
        ];
        let fail = || InvalidQuantity::Bytes(clip(text));
        let (number, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .unwrap_or((text, 1.0));
        positive(number, factor, MOST_BYTES).map(Self).ok_or_else(fail)
    }
}

/// A plain decimal number times `factor`, rounded, if it is zero or at least one unit, and at most `most`.
fn positive(number: &str, factor: f64, most: u64) -> Option<u64> {
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    // Floating point is not exact for the largest.
    if factor == 1.0
        && let Ok(whole) = number.parse::<u64>()
    {
        return (whole <= most).then_some(whole);
    }
    let exact = number.parse::<f64>().ok()? * factor;
    let value = exact.round() as u64;
    (exact == 0.0 || (exact >= 1.0 && value <= most)).then_some(value)
}

impl fmt::Display for Cpu {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(out, "{}", self.0 / 1000)
        } else {
            write!(out, "{}m", self.0)
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)] {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(out, "{}{unit}", self.0 >> shift);
            }
        }
        write!(out, "{}", self.0)
    }
}

/// Quantities are strings on the wire, but a bare number is accepted too: `0.25` cores, `1048576` bytes.
struct QuantityVisitor<T> {
    kind: std::marker::PhantomData<T>,
    expecting: &'static str,
    /// Whether a number must be whole: there is no part of a byte.
    whole: bool,
}

impl<T: FromStr<Err = InvalidQuantity>> Visitor<'_> for QuantityVisitor<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        if self.whole && number.fract() != 0.0 {
            return Err(E::invalid_type(de::Unexpected::Float(number), &self));
        }
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! quantity_serde {
    ($name:ident, $whole:literal, $expecting:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let kind = std::marker::PhantomData;
                input.deserialize_any(QuantityVisitor { kind, expecting: $expecting, whole: $whole })
            }
        }
    };
}

quantity_serde!(Cpu, false, "a CPU quantity such as \"250m\" or 0.25");
quantity_serde!(Bytes, true, "a size such as \"128Mi\"");

#[cfg(test)]
mod tests {
    use super::{Bytes, Cpu};

    #[test]
    fn cpu_reads_millicores_and_cores() {
        for (text, millicores) in [("250m", 250), ("0.25", 250), ("2", 2000), ("50", 50_000), ("0.001", 1)] {
            assert_eq!(text.parse::<Cpu>().unwrap(), Cpu::millicores(millicores), "{text}");
        }
        assert_eq!(serde_json::from_str::<Cpu>("0.25").unwrap(), Cpu::millicores(250));
        for bad in ["-1", "1e9", "1000000000", "", "m", "x", "1.2.3", "NaN", "0.0001", "0.0009"] {
            assert!(bad.parse::<Cpu>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_read_both_unit_families() {
        for (text, bytes) in
            [("128Mi", 128 << 20), ("4Gi", 4 << 30), ("1k", 1000), ("10", 10), ("1.5Gi", 3 << 29)]
        {
            assert_eq!(text.parse::<Bytes>().unwrap(), Bytes::new(bytes), "{text}");
        }
        for bad in ["1000000000000000000", "977000000000000Ki", "-1Mi", "Mi", "9999999Ti", "12XB", ""] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
        assert_eq!(Bytes::new(1 << 30).to_string(), "1Gi");
        for (number, bytes) in
            [("0", Some(0)), ("10", Some(10)), ("999999999999999999", Some(999_999_999_999_999_999))]
        {
            assert_eq!(serde_json::from_str(number).ok(), bytes.map(Bytes::new), "{number}");
        }
        for bad in ["1000000000000000000", "1.5", "-1", "1e30"] {
            assert!(serde_json::from_str::<Bytes>(bad).is_err(), "{bad}");
        }
    }
}
