//! Names that a provider accepts, and keys inside a configuration.

/// Which characters a provider's names have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Lower-case letters, digits and inner single `-`, a letter first.
    Label,
    /// Lower-case letters and digits, a letter first.
    Compact,
}

/// `text` as a name of at most `longest` characters.
///
/// A name that has to be cut ends in eight hexadecimal digits of the whole, so that two long names that begin alike
/// stay two names.
pub(crate) fn fit(text: &str, longest: usize, charset: Charset) -> String {
    let mut name = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if charset == Charset::Label && !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let mut name = name.trim_end_matches('-').to_owned();
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.insert_str(0, if charset == Charset::Label { "t-" } else { "t" });
    }
    if name.len() <= longest {
        return name;
    }
    let digest = format!("{:08x}", digest(text));
    name.truncate(longest.saturating_sub(digest.len() + usize::from(charset == Charset::Label)));
    match charset {
        Charset::Label => format!("{}-{digest}", name.trim_end_matches('-')),
        Charset::Compact => name + &digest,
    }
}

/// `text` as the name of a resource inside a configuration.
pub(crate) fn key(text: &str) -> String {
    let body: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if body.starts_with(|first: char| first.is_ascii_lowercase()) { body } else { format!("n_{body}") }
}

/// 32 bits of FNV-1a, folded from 64.
fn digest(text: &str) -> u32 {
    let whole = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folded = (whole >> 32) ^ (whole & 0xffff_ffff);
    u32::try_from(folded).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Charset, fit, key};

    #[test]
    fn names_fit_their_provider() {
        for (text, longest, charset, wanted) in [
            ("aurigraph-prod-web", 32, Charset::Label, "aurigraph-prod-web"),
            ("Web_Server..1-", 32, Charset::Label, "web-server-1"),
            ("9lives", 32, Charset::Label, "t-9lives"),
            ("aurigraph-prod", 24, Charset::Compact, "aurigraphprod"),
        ] {
            assert_eq!(fit(text, longest, charset), wanted);
        }
        let (one, two) = (fit(&"a".repeat(40), 32, Charset::Label), fit(&"a".repeat(41), 32, Charset::Label));
        assert!(one.len() <= 32 && two.len() <= 32 && one != two);
        assert_eq!(key("Public-us-east-1a"), "public_us_east_1a");
        assert_eq!(key("1st"), "n_1st");
    }
}
