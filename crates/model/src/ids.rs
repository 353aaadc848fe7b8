//! Typed ids: a prefix that tells the kind and a short random part, such as `wl_3f9k2m8qxz`.
//!
//! The kinds are listed here and nowhere else; the list only grows. A unique prefix of an id is accepted
//! wherever an id is, which [`matches_prefix`] decides.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The letters of the random part: no vowels, so no words; no `l`, `o`, `0`, `1`, so no misreading.
const ALPHABET: &[u8; 30] = b"23456789abcdefghijkmnpqrstvwxz";
/// How many letters follow the prefix: 30^12 is about 5e17.
const LENGTH: usize = 12;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form `{prefix}` followed by letters and digits")]
pub struct InvalidId {
    text: String,
    prefix: &'static str,
}

/// The random part of an id, made from random bits that the caller supplies.
fn letters(mut bits: u128) -> String {
    let mut text = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let index = (bits % ALPHABET.len() as u128) as usize;
        text.push(char::from(ALPHABET[index]));
        bits /= ALPHABET.len() as u128;
    }
    text
}

/// Whether `wanted`, as typed by a person, names `id` by a unique-able prefix (at least the kind and one letter).
pub fn matches_prefix(id: &str, wanted: &str) -> bool {
    wanted.len() >= 4 && id.starts_with(wanted)
}

macro_rules! id_kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// An id from random bits; the caller owns the source of randomness.
            pub fn from_bits(bits: u128) -> Self {
                Self(format!("{}{}", $prefix, letters(bits)).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let fits = text.strip_prefix($prefix).is_some_and(|rest| {
                    !rest.is_empty() && rest.len() <= 40 && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                });
                if fits { Ok(Self(text.into())) } else { Err(InvalidId { text: text.chars().take(80).collect(), prefix: $prefix }) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

id_kinds! {
    /// The cluster as a whole; data directories carry it.
    ClusterId = "cl_";
    /// A key that an organisation's secrets are sealed with.
    DataKeyId = "dk_";
    /// An entry of the event log.
    EventId = "ev_";
    /// One placed replica of a workload.
    InstanceId = "in_";
    /// A join token (not its secret).
    JoinTokenId = "jt_";
    /// A machine that runs the daemon.
    NodeId = "nd_";
    /// An organisation.
    OrgId = "og_";
    /// A persisted long-running change.
    OperationId = "op_";
    /// A plan that waits to be applied.
    PlanId = "pl_";
    /// One request, for logs and audit.
    RequestId = "rq_";
    /// A named value that only containers see.
    SecretId = "se_";
    /// An API token (not its secret).
    TokenId = "tk_";
    /// A directory of a node that outlives instances.
    VolumeId = "vo_";
    /// A named set of containers to keep running.
    WorkloadId = "wl_";
}

#[cfg(test)]
mod tests {
    use super::{InstanceId, NodeId, matches_prefix};

    #[test]
    fn ids_carry_their_kind() {
        let id = InstanceId::from_bits(123_456_789);
        assert_eq!(id.as_str().parse::<InstanceId>().unwrap(), id);
        assert!(id.as_str().parse::<NodeId>().is_err());
    }

    #[test]
    fn a_prefix_needs_more_than_the_kind() {
        assert!(matches_prefix("in_abc", "in_a"));
        assert!(!matches_prefix("in_abc", "in_"));
    }
}
