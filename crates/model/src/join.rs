//! Joining: the one line that lets a machine into a cluster, and what the cluster remembers of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::caller::Caller;
use crate::ids::JoinTokenId;
use crate::node::Role;
use crate::span::Span;

/// The first word of every token; a later format has another.
const FORMAT: &str = "univrs1";
/// Letters of the secret: 32 bytes as hex.
const SECRET: usize = 64;

/// SHA-256 of the certificate of the cluster's authority, in DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(InvalidJoinToken::Authority);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InvalidJoinToken::Authority)?;
            let value = u8::from_str_radix(pair, 16).map_err(|_| InvalidJoinToken::Authority)?;
            // Only one way to write each: lower case, no signs.
            if format!("{value:02x}") != pair {
                return Err(InvalidJoinToken::Authority);
            }
            *byte = value;
        }
        Ok(Self(bytes))
    }
}

/// What a machine needs to join: `univrs1.<roles>.<ca-sha256>.<id>.<secret>`, roles joined by `+`.
///
/// The machine checks the authority before it shows the secret, so a token cannot be stolen by whoever answers at the
/// address. [`fmt::Debug`] hides the secret; [`JoinToken::reveal`] does not.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What the machine may become, in order and without repetition.
    pub roles: Vec<Role>,
    /// The authority of the cluster.
    pub authority: Fingerprint,
    /// Which token it is.
    pub id: JoinTokenId,
    /// What proves that the machine was given it.
    pub secret: String,
}

/// Why a text is not a [`JoinToken`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoinToken {
    /// It has another shape.
    #[error("a join token has five parts, as `univrs join-token create` prints it; is it cut off?")]
    Shape,
    /// It was made by another version.
    #[error("the join token has the format `{0}`, which this version does not know")]
    Format(String),
    /// A role is unknown.
    #[error("the join token names the role `{0}`, which does not exist")]
    Role(String),
    /// The fingerprint is malformed.
    #[error("the third part of the join token is not a SHA-256 fingerprint")]
    Authority,
    /// The id is malformed.
    #[error("the fourth part of the join token is not the id of a token")]
    Id,
    /// The secret is malformed.
    #[error("the last part of the join token is not a secret; is it cut off?")]
    Secret,
}

impl JoinToken {
    /// The whole token, with its secret.
    pub fn reveal(&self) -> String {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.as_str()).collect();
        format!("{FORMAT}.{}.{}.{}.{}", roles.join("+"), self.authority, self.id, self.secret)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { roles, authority, id, secret: _ } = self;
        write!(out, "JoinToken {{ roles: {roles:?}, authority: {authority:?}, id: {id}, secret: hidden }}")
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        if parts.len() > 1 && parts[0] != FORMAT && parts[0].starts_with("univrs") {
            return Err(InvalidJoinToken::Format(parts[0].to_owned()));
        }
        let [FORMAT, roles, authority, id, secret] = parts.as_slice() else {
            return Err(InvalidJoinToken::Shape);
        };
        let mut roles = roles
            .split('+')
            .map(|role| role.parse::<Role>().map_err(|_| InvalidJoinToken::Role(role.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        roles.sort_unstable();
        roles.dedup();
        if secret.len() != SECRET
            || !secret.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            return Err(InvalidJoinToken::Secret);
        }
        Ok(Self {
            roles,
            authority: authority.parse()?,
            id: id.parse().map_err(|_| InvalidJoinToken::Id)?,
            secret: (*secret).to_owned(),
        })
    }
}

/// What the cluster remembers of a join token: never its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinGrant {
    /// Which token.
    pub id: JoinTokenId,
    /// SHA-256 of the secret, as hex. The secret is 256 random bits, so a plain hash cannot be searched.
    pub secret_sha256: String,
    /// What a machine may become with it.
    pub roles: Vec<Role>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many machines may still join with it.
    pub uses_left: u32,
    /// Who made it.
    pub created_by: Caller,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a join token is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenSpec {
    /// What a machine may become with it; everything when left out.
    #[serde(default = "every_role")]
    #[schema(min_items = 1)]
    pub roles: Vec<Role>,
    /// How long it is good for.
    #[serde(default = "quarter_of_an_hour")]
    pub ttl: Span,
    /// How many machines may join with it.
    #[serde(default = "one")]
    #[schema(minimum = 1)]
    pub uses: u32,
}

fn every_role() -> Vec<Role> {
    Role::ALL.to_vec()
}

const fn quarter_of_an_hour() -> Span {
    Span::seconds(15 * 60)
}

const fn one() -> u32 {
    1
}

/// A join token as people see it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenView {
    /// Its id.
    pub id: JoinTokenId,
    /// What a machine may become with it.
    pub roles: Vec<Role>,
    /// Whether a machine can still join with it.
    pub usable: bool,
    /// How many machines may still join with it.
    pub uses_left: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Revision of its last change.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A join token that was just made, with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewJoinToken {
    /// The token without its text.
    #[serde(flatten)]
    pub view: JoinTokenView,
    /// The text to give to `univrs up --join-token`. It is shown this once and stored nowhere.
    pub token: String,
}

/// Why a token does not let a machine in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// The id is unknown, or the secret is wrong: which of the two is nobody's business.
    #[error(
        "the join token is not valid here; make one with `univrs join-token create` on a member of this cluster"
    )]
    Unknown,
    /// Its time is over.
    #[error("the join token ended at {0}; make another with `univrs join-token create`")]
    Expired(Timestamp),
    /// All machines it was made for have joined.
    #[error("the join token has been used; make another with `univrs join-token create`")]
    Used,
    /// It was made for other roles.
    #[error(
        "the join token lets a machine become {allowed}, not {wanted}; start it with that role or make another token"
    )]
    Role {
        /// What it allows.
        allowed: String,
        /// What was asked for.
        wanted: String,
    },
}

impl JoinGrant {
    /// Whether a machine with this secret may become `roles` at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, secret_sha256: &str, roles: &[Role], now: Timestamp) -> Result<(), JoinRefusal> {
        // Both are digests of random secrets: comparing them tells nothing that helps to guess either.
        if secret_sha256 != self.secret_sha256 {
            return Err(JoinRefusal::Unknown);
        }
        if now >= self.expires_at {
            return Err(JoinRefusal::Expired(self.expires_at));
        }
        if self.uses_left == 0 {
            return Err(JoinRefusal::Used);
        }
        let named = |roles: &[Role]| roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
        match roles.iter().find(|role| !self.roles.contains(role)) {
            Some(role) => {
                Err(JoinRefusal::Role { allowed: named(&self.roles), wanted: role.as_str().to_owned() })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, InvalidJoinToken, JoinGrant, JoinRefusal, JoinToken};
    use crate::Timestamp;
    use crate::caller::Caller;
    use crate::ids::JoinTokenId;
    use crate::node::Role;

    fn token() -> JoinToken {
        JoinToken {
            roles: vec![Role::Validator, Role::Slim],
            authority: Fingerprint([0xab; 32]),
            id: JoinTokenId::from_bits(5),
            secret: "0f".repeat(32),
        }
    }

    #[test]
    fn a_token_survives_being_written_down() {
        let mut token = token();
        token.roles.sort_unstable();
        assert_eq!(token.reveal().parse::<JoinToken>().unwrap(), token);
        assert_eq!(format!(" {}\n", token.reveal()).parse::<JoinToken>().unwrap(), token);
        assert!(!format!("{token:?}").contains("0f0f"));
    }

    #[test]
    fn tampered_tokens_say_which_part_is_wrong() {
        let good = token().reveal();
        let parts: Vec<&str> = good.split('.').collect();
        let with = |at: usize, text: &str| {
            let mut parts = parts.clone();
            parts[at] = text;
            parts.join(".").parse::<JoinToken>().unwrap_err()
        };
        assert_eq!("".parse::<JoinToken>().unwrap_err(), InvalidJoinToken::Shape);
        assert_eq!(
            good.rsplit_once('.').unwrap().0.parse::<JoinToken>().unwrap_err(),
            InvalidJoinToken::Shape
        );
        assert_eq!(with(0, "univrs2"), InvalidJoinToken::Format("univrs2".into()));
        assert_eq!(with(1, "king"), InvalidJoinToken::Role("king".into()));
        assert_eq!(with(2, "ab"), InvalidJoinToken::Authority);
        assert_eq!(with(2, &"+a".repeat(32)), InvalidJoinToken::Authority);
        assert_eq!(with(2, &"AB".repeat(32)), InvalidJoinToken::Authority);
        assert_eq!(with(3, "tk_1"), InvalidJoinToken::Id);
        assert_eq!(with(4, &"0f".repeat(31)), InvalidJoinToken::Secret);
    }

    #[test]
    fn a_grant_admits_only_whom_it_was_made_for() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let grant = JoinGrant {
            id: JoinTokenId::from_bits(5),
            secret_sha256: "good".into(),
            roles: vec![Role::Business, Role::Slim],
            expires_at: at(100),
            uses_left: 1,
            created_by: Caller::local_admin(),
            created_at: at(0),
        };
        let slim = [Role::Slim];
        assert_eq!(grant.admit("good", &slim, at(99)), Ok(()));
        assert_eq!(grant.admit("bad", &slim, at(99)), Err(JoinRefusal::Unknown));
        assert_eq!(grant.admit("good", &slim, at(100)), Err(JoinRefusal::Expired(at(100))));
        assert_eq!(
            JoinGrant { uses_left: 0, ..grant.clone() }.admit("good", &slim, at(1)),
            Err(JoinRefusal::Used)
        );
        let refused = grant.admit("good", &[Role::Slim, Role::Validator], at(1)).unwrap_err();
        assert!(matches!(refused, JoinRefusal::Role { wanted, .. } if wanted == "validator"));
    }
}
