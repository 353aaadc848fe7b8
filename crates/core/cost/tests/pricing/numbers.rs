//! Decimals, money, quantities and dates: exact, and strict about what they read.

use proptest::prelude::*;
use univrs_cost::table::{DecimalFault, parse_decimal, print_decimal};
use univrs_cost::{Money, PriceDate, Quantity, Ratio};

use crate::build::usd;

#[test]
fn decimals_are_read_exactly_or_not_at_all() {
    let cases = [
        ("0", Ok(0)),
        ("0.045", Ok(45_000_000)),
        ("6.", Ok(6_000_000_000)),
        ("-3.5", Ok(-3_500_000_000)),
        ("0.000000001", Ok(1)),
        ("1.10", Ok(1_100_000_000)),
        ("0.0000000001", Err(DecimalFault::TooFine(9))),
        ("NaN", Err(DecimalFault::NotDecimal)),
        ("inf", Err(DecimalFault::NotDecimal)),
        ("1e3", Err(DecimalFault::NotDecimal)),
        ("", Err(DecimalFault::NotDecimal)),
        (".5", Err(DecimalFault::NotDecimal)),
        ("1.2.3", Err(DecimalFault::NotDecimal)),
        ("+1", Err(DecimalFault::NotDecimal)),
        ("1,000", Err(DecimalFault::NotDecimal)),
        ("99999999999999999999999999999999999999999", Err(DecimalFault::TooLarge)),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_decimal(text, 9), expected, "{text}");
    }
}

#[test]
fn money_is_rounded_to_even_and_printed_for_people() {
    assert_eq!(Money::from_nanos(5).times(Quantity::parse("0.5").unwrap()), Money::from_nanos(2));
    assert_eq!(Money::from_nanos(7).times(Quantity::parse("0.5").unwrap()), Money::from_nanos(4));
    assert_eq!(Money::from_nanos(-5).times(Quantity::parse("0.5").unwrap()), Money::from_nanos(-2));
    assert_eq!(usd("1234567.891").rounded(), "1,234,567.89");
    assert_eq!(usd("-0.5").rounded(), "-0.50");
    assert_eq!(usd("999.999").rounded(), "1,000.00");
    assert_eq!(Ratio::parse("0.3727").unwrap().as_percent(), "37.3");
}

#[test]
fn dates_may_be_partial_and_are_never_younger_than_they_are() {
    let today = PriceDate::new(2026, 11, 21).unwrap();
    let ages = [("2026-11-20", 1), ("2026-11", 20), ("2026", 324), ("2024-02-29", 996), ("2026-11-22", -1)];
    for (text, days) in ages {
        let date = PriceDate::parse(text).unwrap();
        assert_eq!(date.days_until(today), days, "{text}");
        assert_eq!(date.to_string(), text);
    }
    for text in ["2026-13", "2026-02-30", "2025-02-29", "26-01-01", "2026-1-1", "2026-00-01", "soon", ""] {
        assert_eq!(PriceDate::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(value in any::<i64>(), scale in 0_u32..12) {
        let text = print_decimal(i128::from(value), scale);
        prop_assert_eq!(parse_decimal(&text, scale), Ok(i128::from(value)));
    }

    #[test]
    fn parts_of_money_never_exceed_it(nanos in 0_i64.., ratio in 0_u64..=1_000_000_000) {
        let whole = Money::from_nanos(i128::from(nanos));
        let ratio = Ratio::from_nanos(ratio);
        let (part, rest) = (whole.part(ratio), whole.part(ratio.rest()));
        prop_assert!(part <= whole);
        // Each is rounded by at most half a billionth.
        prop_assert!((part + rest - whole).nanos().abs() <= 1);
    }

    #[test]
    fn days_between_dates_follow_the_calendar(a in 0_i64..40_000, b in 0_i64..40_000) {
        // Days since 1970-01-01, walked naively.
        let date = |mut days: i64| {
            let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            let mut year = 1970;
            while days >= 365 + i64::from(leap(year)) {
                days -= 365 + i64::from(leap(year));
                year += 1;
            }
            let months = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let mut month = 0;
            while days >= months[month] {
                days -= months[month];
                month += 1;
            }
            PriceDate::new(year as u16, month as u8 + 1, days as u8 + 1).unwrap()
        };
        prop_assert_eq!(date(a).days_until(date(b)), b - a);
        prop_assert_eq!(date(a) < date(b), a < b);
    }
}
