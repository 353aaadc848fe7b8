//! Money, quantities and ratios as integers. Nothing here is floating point, so sums are exact and order-free.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Serialize, Serializer};

use crate::table::{DecimalFault, parse_decimal, print_decimal};

/// Hours in a month, everywhere.
pub const HOURS_PER_MONTH: u32 = 730;

const MONEY_DIGITS: u32 = 9;
const QUANTITY_DIGITS: u32 = 6;
const RATIO_DIGITS: u32 = 9;

/// The currencies there are. Closed with one member: other currencies would need a dated rate, and a rate that is not
/// asked for hides in every sum. Prices listed in others were converted where the data was made (`data/SOURCES.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Currency {
    /// United States dollar.
    #[default]
    Usd,
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Currency::Usd => f.write_str("USD"),
        }
    }
}

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyFault {
    /// The number cannot be read.
    #[error("`{text}` is not an amount of money: {why}")]
    Amount {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: DecimalFault,
    },
}

/// An amount in [`Currency::Usd`], in billionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money {
    nanos: i128,
    currency: Currency,
}

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money::from_nanos(0);

    /// That many billionths of a dollar.
    #[must_use]
    pub const fn from_nanos(nanos: i128) -> Money {
        Money { nanos, currency: Currency::Usd }
    }

    /// The amount in billionths of a dollar.
    #[must_use]
    pub const fn nanos(self) -> i128 {
        self.nanos
    }

    /// The currency it is in.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Reads `0.0765`, in dollars.
    ///
    /// # Errors
    ///
    /// [`MoneyFault::Amount`] when the text is not a decimal number of at most nine digits after the point.
    pub fn parse(text: &str) -> Result<Money, MoneyFault> {
        let why = |why| MoneyFault::Amount { text: text.to_owned(), why };
        parse_decimal(text, MONEY_DIGITS).map(Money::from_nanos).map_err(why)
    }

    /// The price of `quantity` units at this price each, rounded to the nearest billionth, halves to even.
    #[must_use]
    pub fn times(self, quantity: Quantity) -> Money {
        Money::from_nanos(divide(self.nanos.saturating_mul(quantity.micros), 10_i128.pow(QUANTITY_DIGITS)))
    }

    /// This part of the amount, rounded like [`Money::times`].
    #[must_use]
    pub fn part(self, ratio: Ratio) -> Money {
        Money::from_nanos(divide(self.nanos.saturating_mul(ratio.nanos), 10_i128.pow(RATIO_DIGITS)))
    }

    /// A month's amount per hour, rounded like [`Money::times`].
    #[must_use]
    pub fn per_hour(self) -> Money {
        Money::from_nanos(divide(self.nanos, i128::from(HOURS_PER_MONTH)))
    }

    /// This amount as a part of `whole`; none when `whole` is not above zero or the part is negative.
    #[must_use]
    pub fn ratio_of(self, whole: Money) -> Option<Ratio> {
        let scaled = self.nanos.checked_mul(10_i128.pow(RATIO_DIGITS))?;
        (whole.nanos > 0 && self.nanos >= 0).then(|| Ratio { nanos: divide(scaled, whole.nanos) })
    }

    /// The amount with two digits and groups of three, for people: `12,345.68`.
    #[must_use]
    pub fn rounded(self) -> String {
        let cents = divide(self.nanos, 10_000_000);
        let sign = if cents < 0 { "-" } else { "" };
        let (whole, cents) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
        let digits = whole.to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped}.{cents:02}")
    }
}

/// `value / by` for positive `by`, to the nearest integer, halves to even.
fn divide(value: i128, by: i128) -> i128 {
    let (quotient, rest) = (value.div_euclid(by), value.rem_euclid(by));
    let up = match (rest * 2).cmp(&by) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    quotient + i128::from(up)
}

impl Add for Money {
    type Output = Money;
    fn add(self, other: Money) -> Money {
        Money::from_nanos(self.nanos.saturating_add(other.nanos))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        *self = *self + other;
    }
}

impl Sub for Money {
    type Output = Money;
    fn sub(self, other: Money) -> Money {
        Money::from_nanos(self.nanos.saturating_sub(other.nanos))
    }
}

impl Neg for Money {
    type Output = Money;
    fn neg(self) -> Money {
        Money::ZERO - self
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_decimal(self.nanos, MONEY_DIGITS))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How much of something, in millionths of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity {
    micros: i128,
}

impl Quantity {
    /// None of it.
    pub const ZERO: Quantity = Quantity { micros: 0 };

    /// Whole units.
    #[must_use]
    pub const fn units(units: u64) -> Quantity {
        Quantity { micros: units as i128 * 1_000_000 }
    }

    /// Millionths of a unit.
    #[must_use]
    pub const fn from_micros(micros: i128) -> Quantity {
        Quantity { micros }
    }

    /// The quantity in millionths of a unit.
    #[must_use]
    pub const fn micros(self) -> i128 {
        self.micros
    }

    /// Reads `12` or `0.25`.
    ///
    /// # Errors
    ///
    /// [`DecimalFault`] when the text is not a decimal number of at most six digits after the point.
    pub fn parse(text: &str) -> Result<Quantity, DecimalFault> {
        parse_decimal(text, QUANTITY_DIGITS).map(|micros| Quantity { micros })
    }

    /// This many times as much.
    #[must_use]
    pub fn times(self, count: u64) -> Quantity {
        Quantity { micros: self.micros.saturating_mul(i128::from(count)) }
    }

    /// This part of it, rounded to the nearest millionth.
    #[must_use]
    pub fn part(self, ratio: Ratio) -> Quantity {
        Quantity { micros: divide(self.micros.saturating_mul(ratio.nanos), 10_i128.pow(RATIO_DIGITS)) }
    }

    /// What is left when `taken` is taken away; zero when it is more.
    #[must_use]
    pub fn less(self, taken: Quantity) -> Quantity {
        Quantity { micros: self.micros.saturating_sub(taken.micros).max(0) }
    }

    /// Per hour, for a quantity per month.
    #[must_use]
    pub fn per_hour(self) -> Quantity {
        Quantity { micros: divide(self.micros, i128::from(HOURS_PER_MONTH)) }
    }
}

impl Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        Quantity { micros: self.micros.saturating_add(other.micros) }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_decimal(self.micros, QUANTITY_DIGITS))
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A part of a whole, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio {
    nanos: i128,
}

impl Ratio {
    /// The whole.
    pub const ONE: Ratio = Ratio { nanos: 1_000_000_000 };
    /// Nothing of it.
    pub const ZERO: Ratio = Ratio { nanos: 0 };

    /// Billionths of the whole.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Ratio {
        Ratio { nanos: nanos as i128 }
    }

    /// Hundredths of the whole.
    #[must_use]
    pub const fn percent(percent: u32) -> Ratio {
        Ratio { nanos: percent as i128 * 10_000_000 }
    }

    /// Reads `0.85`.
    ///
    /// # Errors
    ///
    /// [`DecimalFault`] when the text is not a decimal number of at most nine digits after the point.
    pub fn parse(text: &str) -> Result<Ratio, DecimalFault> {
        parse_decimal(text, RATIO_DIGITS).map(|nanos| Ratio { nanos })
    }

    /// What is missing to the whole; zero when nothing is.
    #[must_use]
    pub fn rest(self) -> Ratio {
        Ratio { nanos: (Ratio::ONE.nanos - self.nanos).max(0) }
    }

    /// The ratio in billionths.
    #[must_use]
    pub const fn nanos(self) -> i128 {
        self.nanos
    }

    /// In percent with one digit after the point, for people: `37.3`.
    #[must_use]
    pub fn as_percent(self) -> String {
        let tenths = divide(self.nanos, 1_000_000);
        format!("{}.{}", tenths / 10, (tenths % 10).abs())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_decimal(self.nanos, RATIO_DIGITS))
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
