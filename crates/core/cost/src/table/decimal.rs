//! Decimal numbers as scaled integers, exactly: nothing is rounded and no floating point is used.

/// Why a text is not a decimal number of the wanted precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalFault {
    /// Something else than digits with at most one point.
    #[error("not a plain decimal number")]
    NotDecimal,
    /// More digits after the point than are kept.
    #[error("more than {0} digits after the point")]
    TooFine(u32),
    /// Beyond what fits.
    #[error("too large")]
    TooLarge,
}

/// `text` times ten to the power of `scale`, for `text` such as `12`, `-3.5`, `0.0765` or `6.`.
///
/// # Errors
///
/// See [`DecimalFault`]. Exponents, signs other than a leading minus, infinities and NaN are not decimal.
pub fn parse(text: &str, scale: u32) -> Result<i128, DecimalFault> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits_only(whole) || !digits_only(fraction) {
        return Err(DecimalFault::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = u32::try_from(fraction.len())
        .ok()
        .and_then(|kept| scale.checked_sub(kept))
        .ok_or(DecimalFault::TooFine(scale))?;
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit - b'0')))
            .ok_or(DecimalFault::TooLarge)?;
    }
    let value = 10_i128
        .checked_pow(missing)
        .and_then(|power| value.checked_mul(power))
        .ok_or(DecimalFault::TooLarge)?;
    Ok(if negative { -value } else { value })
}

/// `value` divided by ten to the power of `scale`, with no more digits than it needs.
#[must_use]
pub fn print(value: i128, scale: u32) -> String {
    let power = 10_u128.pow(scale);
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    let (whole, fraction) = (magnitude / power, magnitude % power);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{fraction:0width$}", width = scale as usize);
    format!("{sign}{whole}.{}", digits.trim_end_matches('0'))
}
