//! Money in whole numbers of 10^-12 of a currency: sums are exact, and only what is shown to people is rounded.

use std::fmt;

use serde::{Deserialize, Serialize};
use univrs_model::resource::Amount;
use univrs_model::usage::Meter;
use utoipa::ToSchema;

use crate::tiers::Tier;

/// How many hours a month has in a quote.
pub const HOURS_PER_MONTH: u64 = 730;
/// Parts of one unit of the currency.
const PARTS: u128 = 1_000_000_000_000;
/// Parts of a hundredth of it.
const CENT: u128 = PARTS / 100;

/// An amount of money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(u128);

impl Money {
    /// What an amount of a meter costs in a tier.
    pub fn of(tier: &Tier, meter: Meter, amount: u64) -> Self {
        Self(u128::from(amount) * u128::from(tier.prices.get(&meter).copied().unwrap_or(0)))
    }

    /// From whole units of the currency.
    pub fn whole(units: u64) -> Self {
        Self(u128::from(units) * PARTS)
    }

    /// In 10^-12 of the currency.
    pub const fn parts(self) -> u128 {
        self.0
    }

    /// To the hundredth, a half up, such as `12.35`.
    pub fn rounded(self) -> String {
        let cents = (self.0 + CENT / 2) / CENT;
        format!("{}.{:02}", cents / 100, cents % 100)
    }
}

impl std::ops::Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| sum + one)
    }
}

/// All of it, such as `12.345000000000`.
impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:012}", self.0 / PARTS, self.0 % PARTS)
    }
}

/// What a size costs in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// For 730 hours, to the hundredth, without what is counted by use.
    #[schema(example = "45.12")]
    pub monthly: String,
    /// As three letters.
    pub currency: String,
    /// Id of the tier whose prices these are.
    pub tier: String,
    /// What it is made of.
    pub lines: Vec<QuoteLine>,
}

/// One line of a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuoteLine {
    /// What is counted.
    pub meter: Meter,
    /// How much of it there will be, for people: `2` cores, `4Gi`; `by use` where that is not known.
    pub quantity: String,
    /// What one unit costs: a core for an hour, a GiB for an hour, a GB.
    pub unit: String,
    /// Its price.
    pub unit_price: String,
    /// What that makes in a month, to the hundredth; absent where it is counted by use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<String>,
}

/// What these limits cost in a month of a tier.
pub fn quote(id: &str, tier: &Tier, currency: &str, limits: &Amount) -> Quote {
    let seconds = HOURS_PER_MONTH * 3600;
    let price = |meter: Meter| tier.prices.get(&meter).copied().unwrap_or(0);
    let sized = [
        (
            Meter::CpuLimit,
            limits.cpu.as_millicores(),
            limits.cpu.to_string(),
            "core for an hour",
            1000 * 3600,
        ),
        (
            Meter::MemoryLimit,
            mebibytes(limits.memory.get()),
            limits.memory.to_string(),
            "GiB for an hour",
            1024 * 3600,
        ),
        (
            Meter::StorageLimit,
            mebibytes(limits.storage.get()),
            limits.storage.to_string(),
            "GiB for an hour",
            1024 * 3600,
        ),
    ];
    let mut lines = Vec::new();
    let mut sum = Money::default();
    for (meter, size, quantity, unit, units) in sized {
        let monthly = Money::of(tier, meter, size.saturating_mul(seconds));
        sum = sum + monthly;
        lines.push(QuoteLine {
            meter,
            quantity,
            unit: unit.to_owned(),
            unit_price: short(Money(u128::from(price(meter)) * units)),
            monthly: Some(monthly.rounded()),
        });
    }
    lines.push(QuoteLine {
        meter: Meter::NetworkOut,
        quantity: "by use".to_owned(),
        unit: "GB".to_owned(),
        unit_price: short(Money(u128::from(price(Meter::NetworkOut)) * 1_000_000_000)),
        monthly: None,
    });
    Quote { monthly: sum.rounded(), currency: currency.to_owned(), tier: id.to_owned(), lines }
}

/// Without zeros at the end.
fn short(money: Money) -> String {
    let text = money.to_string();
    let short = text.trim_end_matches('0');
    short.strip_suffix('.').unwrap_or(short).to_owned()
}

/// Whole MiB; a begun one counts.
pub fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}

#[cfg(test)]
mod tests {
    use univrs_model::quantity::{Bytes, Cpu};
    use univrs_model::resource::Amount;

    use super::{Money, quote};
    use crate::tiers::Tiers;

    #[test]
    fn money_is_shown_rounded_and_whole() {
        for (parts, rounded, whole) in [
            (0, "0.00", "0.000000000000"),
            (4_999_999_999, "0.00", "0.004999999999"),
            (5_000_000_000, "0.01", "0.005000000000"),
            (12_345_000_000_000, "12.35", "12.345000000000"),
        ] {
            assert_eq!((&*Money(parts).rounded(), &*Money(parts).to_string()), (rounded, whole));
        }
    }

    /// 2 cores, 4 GiB, 10 GiB in tier basic, by hand: 2 × 0.01296 × 730 + 4 × 0.00442368 × 730 + 10 × 0.0001216512 × 730.
    #[test]
    fn a_quote_is_what_a_calculator_says() {
        let tiers = Tiers::builtin();
        let limits = Amount {
            cpu: Cpu::millicores(2000),
            memory: Bytes::mebibytes(4096),
            storage: Bytes::mebibytes(10_240),
        };
        let said = quote("basic", tiers.tier("basic").unwrap(), &tiers.currency, &limits);
        let prices: Vec<_> = said.lines.iter().map(|line| line.unit_price.as_str()).collect();
        assert_eq!(prices, ["0.01296", "0.00442368", "0.0001216512", "0.02"]);
        // 18.9216 + 12.9171456 + 0.88805376
        assert_eq!(said.monthly, "32.73");
        assert_eq!(quote("free", tiers.tier("free").unwrap(), "USD", &limits).monthly, "0.00");
    }
}
