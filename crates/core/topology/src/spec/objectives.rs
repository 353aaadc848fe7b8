//! `[objectives]` and `[budget]`: what must hold and what may be spent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use univrs_model::span::Span;

use super::reader::Reader;

/// `rto`: how long it may take until all is well after a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Of one machine.
    pub node: Option<Span>,
    /// Of a zone.
    pub zone: Option<Span>,
    /// Of a region.
    pub region: Option<Span>,
    /// Of a whole cloud.
    pub cloud: Option<Span>,
}

/// `rpo`: how much of the latest writes may be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataLoss {
    /// Of databases.
    pub database: Option<Span>,
    /// Of the replicated state.
    pub state: Option<Span>,
    /// Of object storage.
    pub objects: Option<Span>,
}

/// `cross_cloud_rtt`: round trips between regions of different clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip {
    /// Half of the pairs are at most this far apart.
    pub p50: Option<Span>,
    /// Nine of ten pairs are.
    pub p90: Option<Span>,
    /// Ninety-nine of a hundred pairs are.
    pub p99: Option<Span>,
}

/// What a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuorumRule {
    /// More than half of the voters.
    Majority,
    /// More than two thirds.
    Bft,
}

impl QuorumRule {
    /// How many of `voters` must agree.
    pub const fn needed(self, voters: u32) -> u32 {
        match self {
            Self::Majority => voters / 2 + 1,
            Self::Bft => voters * 2 / 3 + 1,
        }
    }
}

/// What may fail without the quorum being lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Survive {
    /// One machine.
    Node,
    /// One zone.
    Zone,
    /// One region.
    Region,
    /// One cloud.
    Cloud,
}

/// `quorum`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Whose machines vote.
    pub role: String,
    /// What a decision needs.
    pub rule: QuorumRule,
    /// What may fail.
    pub survive: Survive,
}

/// `[objectives]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objectives {
    /// Share of the time it works, in millionths: 999 900 is 99.99 %.
    pub availability: Option<u32>,
    /// Round trips between clouds.
    pub cross_cloud_rtt: RoundTrip,
    /// Time until all is well again.
    pub rto: Recovery,
    /// Writes that may be lost.
    pub rpo: DataLoss,
    /// Who must agree, and what may fail.
    pub quorum: Option<Quorum>,
}

/// An amount of money: `"21000 USD"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// Millionths of the currency.
    pub micros: u64,
    /// Three letters, ISO 4217.
    pub currency: String,
}

/// The text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount; write a number and a currency, such as `300 USD` or `3.49 EUR`")]
pub struct InvalidMoney(String);

impl FromStr for Money {
    type Err = InvalidMoney;

    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let fail = || InvalidMoney(text.chars().take(80).collect());
        let (number, currency) = text.trim().split_once(' ').ok_or_else(fail)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let plain =
            !whole.is_empty() && whole.len() <= 12 && part.len() <= 6 && digits(whole) && digits(part);
        let known = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
        if !plain || !known {
            return Err(fail());
        }
        let micros = format!("{whole}{part:0<6}").parse().map_err(|_| fail())?;
        Ok(Self { micros, currency: currency.to_owned() })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.micros / 1_000_000, self.micros % 1_000_000);
        if part == 0 {
            return write!(out, "{whole} {}", self.currency);
        }
        let part = format!("{part:06}");
        write!(out, "{whole}.{} {}", part.trim_end_matches('0'), self.currency)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `[budget]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// At most this in a month of 730 hours.
    pub monthly: Money,
    /// Shares of it at which somebody is told.
    pub alert_at: Vec<f64>,
}

/// Reads `[objectives]`.
pub(super) fn read(reader: Reader<'_>) -> Objectives {
    let availability = reader.percent("availability");
    let rtt = reader.table_or_empty("cross_cloud_rtt");
    let cross_cloud_rtt =
        RoundTrip { p50: rtt.parsed("p50"), p90: rtt.parsed("p90"), p99: rtt.parsed("p99") };
    rtt.finish();
    let table = reader.table_or_empty("rto");
    let rto = Recovery {
        node: table.parsed("node"),
        zone: table.parsed("zone"),
        region: table.parsed("region"),
        cloud: table.parsed("cloud"),
    };
    table.finish();
    let table = reader.table_or_empty("rpo");
    let rpo = DataLoss {
        database: table.parsed("database"),
        state: table.parsed("state"),
        objects: table.parsed("objects"),
    };
    table.finish();
    let quorum = reader.table("quorum").and_then(read_quorum);
    reader.finish();
    Objectives { availability, cross_cloud_rtt, rto, rpo, quorum }
}

fn read_quorum(reader: Reader<'_>) -> Option<Quorum> {
    let role = reader.text("role");
    if reader.raw("role").is_none() {
        reader.missing("role");
    }
    let rule = reader.word("rule", &[("majority", QuorumRule::Majority), ("bft", QuorumRule::Bft)]);
    let survive = reader.word(
        "survive",
        &[
            ("node", Survive::Node),
            ("zone", Survive::Zone),
            ("region", Survive::Region),
            ("cloud", Survive::Cloud),
        ],
    );
    reader.finish();
    Some(Quorum {
        role: role?,
        rule: rule.unwrap_or(QuorumRule::Majority),
        survive: survive.unwrap_or(Survive::Node),
    })
}

/// Reads `[budget]`.
pub(super) fn read_budget(reader: Reader<'_>) -> Option<Budget> {
    let monthly = reader.parsed("monthly");
    if monthly.is_none() {
        reader.missing("monthly");
    }
    let alert_at = reader.shares("alert_at");
    reader.finish();
    Some(Budget { monthly: monthly?, alert_at })
}

#[cfg(test)]
mod tests {
    use super::{Money, QuorumRule};

    #[test]
    fn money_reads_and_writes() {
        for (text, micros) in [("21000 USD", 21_000_000_000), ("3.49 EUR", 3_490_000), ("0.000001 USD", 1)] {
            let money: Money = text.parse().unwrap();
            assert_eq!((money.micros, money.to_string().as_str()), (micros, text));
        }
        for bad in
            ["", "3", "USD", "3.49EUR", "-3 USD", "3 usd", "1e3 USD", "3 USD per month", "1.1234567 USD"]
        {
            assert!(bad.parse::<Money>().is_err(), "{bad}");
        }
    }

    #[test]
    fn quorums() {
        for (voters, majority, bft) in [(1, 1, 1), (3, 2, 3), (4, 3, 3), (12, 7, 9)] {
            assert_eq!(QuorumRule::Majority.needed(voters), majority);
            assert_eq!(QuorumRule::Bft.needed(voters), bft);
        }
    }
}
