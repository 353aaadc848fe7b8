//! A range of IPv4 addresses, and how a node finds one that nobody on its machine uses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use univrs_ports::network::NetworkError;

use crate::links::Links;

/// Why a text is not a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a range such as 100.64.0.0/24")]
pub struct InvalidRange {
    text: String,
}

/// A range of IPv4 addresses, such as `100.64.0.0/24`. The address has no bits beyond the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    base: u32,
    prefix: u8,
}

impl Range {
    /// The range that holds `address`, cut to `prefix` bits; `None` when `prefix` is above 32.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self { base: u32::from(address) & mask(prefix), prefix })
    }

    /// The first address.
    pub fn base(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base)
    }

    /// How many leading bits are fixed.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The last address.
    pub fn last(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base | !mask(self.prefix))
    }

    /// The address `offset` places after the first one, if it is still inside.
    pub fn nth(&self, offset: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from(self.base.checked_add(offset)?);
        self.contains(address).then_some(address)
    }

    /// How far `address` is from the first one, if it is inside.
    pub fn offset(&self, address: Ipv4Addr) -> Option<u32> {
        self.contains(address).then(|| u32::from(address) - self.base)
    }

    /// Whether the address is inside.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base()) || other.contains(self.base())
    }

    /// The ranges of `prefix` bits inside this one, in order; none when `prefix` is shorter than its own.
    pub fn subdivide(self, prefix: u8) -> impl Iterator<Item = Self> {
        let fits = prefix >= self.prefix && prefix <= 32;
        let count = if fits { 1_u64 << (prefix - self.prefix) } else { 0 };
        (0..count).filter_map(move |index| {
            let base = u64::from(self.base) + (index << (32 - u32::from(prefix)));
            u32::try_from(base).ok().map(|base| Self { base, prefix })
        })
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.base(), self.prefix)
    }
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let address: Ipv4Addr = address.parse().ok()?;
            Self::new(address, prefix.parse().ok()?).filter(|range| range.base() == address)
        };
        parse().ok_or_else(|| InvalidRange { text: text.chars().take(60).collect() })
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The first range of `prefix` bits inside `cluster` that overlaps no address and no route of this machine,
/// the default route aside. Looks at the network namespace of the calling thread.
///
/// # Errors
/// [`NetworkError::RangeExhausted`] when every range is in use, [`NetworkError::Kernel`] when the kernel does
/// not tell.
pub async fn pick_free_range(cluster: Range, prefix: u8) -> Result<Range, NetworkError> {
    let (links, connection) = Links::open()?;
    let listening = tokio::spawn(connection);
    let used = links.used_ranges().await;
    listening.abort();
    first_free(cluster, prefix, &used?)
}

fn first_free(cluster: Range, prefix: u8, used: &[Range]) -> Result<Range, NetworkError> {
    cluster.subdivide(prefix).find(|range| !used.iter().any(|other| other.overlaps(range))).ok_or_else(|| {
        NetworkError::RangeExhausted {
            range: cluster.to_string(),
            size: u32::try_from(cluster.subdivide(prefix).count()).unwrap_or(u32::MAX),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Range, first_free};

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_back() {
        for text in ["100.64.0.0/24", "0.0.0.0/0", "10.1.2.3/32", "255.255.255.255/32"] {
            assert_eq!(range(text).to_string(), text);
        }
        for text in ["", "100.64.0.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "a/8", "::/0"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }

    #[test]
    fn overlap_is_mutual() {
        let (wide, narrow, other) = (range("10.0.0.0/8"), range("10.9.0.0/16"), range("11.0.0.0/8"));
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide));
        assert!(!wide.overlaps(&other) && !other.overlaps(&narrow));
    }

    #[test]
    fn edges_of_the_address_space() {
        assert_eq!(range("255.255.255.0/24").nth(255).unwrap().to_string(), "255.255.255.255");
        assert_eq!(range("255.255.255.0/24").nth(256), None);
        assert_eq!(range("0.0.0.0/0").last().to_string(), "255.255.255.255");
        assert_eq!(range("255.255.254.0/23").subdivide(24).count(), 2);
        assert_eq!(range("10.0.0.0/24").subdivide(16).count(), 0);
    }

    #[test]
    fn the_first_free_range_is_chosen() {
        let used = [range("100.64.0.0/24"), range("100.64.1.128/25"), range("192.168.0.0/16")];
        assert_eq!(first_free(range("100.64.0.0/10"), 24, &used).unwrap(), range("100.64.2.0/24"));
        assert!(first_free(range("100.64.0.0/23"), 24, &used).is_err());
    }
}
