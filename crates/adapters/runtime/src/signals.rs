//! Signals by name, as images and people write them.

use std::str::FromStr as _;

use nix::sys::signal::Signal;

/// The first real-time signal that programs may use; the two before it belong to the C library.
const FIRST_REAL_TIME: i32 = 34;
/// The last one.
const LAST_REAL_TIME: i32 = 64;

/// The number for `SIGTERM`, `TERM`, `15` or `SIGRTMIN+3`; empty means `SIGTERM`.
pub(crate) fn number(name: &str) -> Option<i32> {
    let name = name.trim();
    if name.is_empty() {
        return Some(Signal::SIGTERM as i32);
    }
    if let Ok(number) = name.parse::<i32>() {
        return (1..=LAST_REAL_TIME).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(above) = short.strip_prefix("RTMIN") {
        let above = if above.is_empty() { 0 } else { above.strip_prefix('+')?.parse().ok()? };
        let number = FIRST_REAL_TIME.checked_add(above)?;
        return (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(&number).then_some(number);
    }
    Signal::from_str(&format!("SIG{short}")).ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn signals_have_numbers() {
        for (name, expected) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("", Some(15)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMIN", Some(34)),
            ("SIGRTMIN+99", None),
            ("SIGNOTHING", None),
            ("0", None),
            ("-9", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }
}
