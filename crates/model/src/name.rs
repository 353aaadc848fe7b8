//! Names that people give: DNS labels, so that a workload's name is also its address.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A DNS label (RFC 1123): 1 to 63 of `a-z`, `0-9` and `-`, starting and ending with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", example = "web")]
pub struct Name(Arc<str>);

/// Why a text is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a DNS label: {reason}; use 1 to 63 of a-z, 0-9 and `-`, not at the ends")]
pub struct InvalidName {
    text: String,
    reason: &'static str,
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The organisation everyone has.
    pub fn default_org() -> Self {
        Self("default".into())
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fail = |reason| Err(InvalidName { text: text.chars().take(80).collect(), reason });
        match text.as_bytes() {
            [] => fail("it is empty"),
            bytes if bytes.len() > 63 => fail("it is longer than 63 characters"),
            bytes if bytes.iter().any(u8::is_ascii_uppercase) => fail("it has upper-case letters"),
            bytes if !bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-') => {
                fail("it has other characters")
            }
            [b'-', ..] | [.., b'-'] => fail("it starts or ends with `-`"),
            _ => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn only_dns_labels_are_names() {
        for good in ["a", "web", "web-1", "0", &"a".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "Web", "-a", "a-", "a_b", "a.b", "ä", &"a".repeat(64), "a b", "<b>"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
