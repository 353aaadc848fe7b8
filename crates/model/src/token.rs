//! API tokens: a secret that stands for a caller with a grant. Only the digest of the secret is stored.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::caller::Grant;
use crate::ids::TokenId;
use crate::name::Name;
use crate::span::Span;

/// How much a token's holder may do in all, whatever its grant. What is absent is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Most objects that one write may touch: those it changes, and instances that it starts or stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_per_plan: Option<u32>,
    /// Most removals in one day (UTC): objects that are removed, nodes that are drained, data that is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroys_per_day: Option<u32>,
}

impl Budget {
    /// Whether nothing is bounded.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may agree to a plan of this token that needs a person's approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// A person with another access: in the dashboard or on the command line.
    #[default]
    Person,
    /// Also the person in front of the token's own client, whom the client asks (MCP's elicitation). Whoever makes such
    /// a token trusts the client to ask.
    Elicitation,
}

impl Approval {
    /// Whether only somebody with another access may agree.
    pub fn is_person(&self) -> bool {
        *self == Self::Person
    }
}

/// How much of its budget a token has used on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// The day, as `2026-01-31` in UTC.
    pub day: String,
    /// Removals on that day.
    pub destroys: u32,
}

/// A token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id, which the text of the token names.
    pub id: TokenId,
    /// What people call it; several tokens may have one name, so that a new one can take over from an old one.
    pub name: Name,
    /// What its holder may do.
    pub grant: Grant,
    /// Whether its holder may change workloads without showing a plan first.
    #[serde(default)]
    pub direct: bool,
    /// The organisation it is confined to; none for a token of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<Name>,
    /// How much its holder may do in all.
    #[serde(default, skip_serializing_if = "Budget::is_open")]
    pub budget: Budget,
    /// Who may agree to its plans.
    #[serde(default, skip_serializing_if = "Approval::is_person")]
    pub approval: Approval,
    /// SHA-256 of its secret, in lower-case hex. The secret is 256 random bits, so nothing slower is needed.
    pub secret_sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was ended, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It is good.
    Active,
    /// Its time is over.
    Expired,
    /// Someone ended it.
    Revoked,
}

impl Token {
    /// Whether it is good at `now`.
    pub fn state(&self, now: Timestamp) -> TokenState {
        if self.revoked_at.is_some() {
            TokenState::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            TokenState::Expired
        } else {
            TokenState::Active
        }
    }

    /// Since when it has not been good; none while it is.
    pub fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        let expired = self.expires_at.filter(|at| *at <= now);
        match (self.revoked_at, expired) {
            (Some(revoked), Some(expired)) => Some(revoked.min(expired)),
            (revoked, expired) => revoked.or(expired),
        }
    }
}

/// What a user says of a new token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// What to call it.
    pub name: Name,
    /// What its holder may do.
    #[serde(default = "observe")]
    pub grant: Grant,
    /// Whether its holder may change workloads without showing a plan first (for pipelines).
    #[serde(default)]
    pub direct: bool,
    /// Whether it is of the cluster instead of the caller's organisation: it acts in every organisation, and its
    /// grant covers nodes, images and organisations.
    #[serde(default)]
    pub cluster_wide: bool,
    /// How much its holder may do in all.
    #[serde(default, skip_serializing_if = "Budget::is_open")]
    pub budget: Budget,
    /// Who may agree to its plans that need a person's approval.
    #[serde(default, skip_serializing_if = "Approval::is_person")]
    pub approval: Approval,
    /// How long it is good for; without an end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
}

fn observe() -> Grant {
    Grant::Observe
}

/// A token as people see it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: Name,
    /// What its holder may do.
    pub grant: Grant,
    /// Whether its holder may change workloads without showing a plan first.
    pub direct: bool,
    /// The organisation it is confined to; absent for a token of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<Name>,
    /// How much its holder may do in all.
    #[serde(default, skip_serializing_if = "Budget::is_open")]
    pub budget: Budget,
    /// Who may agree to its plans that need a person's approval.
    #[serde(default, skip_serializing_if = "Approval::is_person")]
    pub approval: Approval,
    /// Whether it is good.
    pub state: TokenState,
    /// Revision of its last change.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was ended, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// When this server last saw it in a request, since the server started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// A token that was just made, with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token without its text.
    #[serde(flatten)]
    pub view: TokenView,
    /// The text to send as `Authorization: Bearer`. It is shown this once and stored nowhere.
    pub token: String,
}

#[cfg(test)]
mod tests {
    use super::{Approval, Budget, Token, TokenState};
    use crate::Timestamp;
    use crate::caller::Grant;
    use crate::ids::TokenId;

    #[test]
    fn a_token_is_good_until_it_expires_or_is_revoked() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let token = |expires: Option<i64>, revoked: Option<i64>| Token {
            id: TokenId::from_bits(1),
            name: "ci".parse().unwrap(),
            grant: Grant::Observe,
            direct: false,
            org: None,
            budget: Budget::default(),
            approval: Approval::Person,
            secret_sha256: String::new(),
            created_at: at(0),
            expires_at: expires.map(at),
            revoked_at: revoked.map(at),
        };
        for (expires, revoked, state, ended) in [
            (None, None, TokenState::Active, None),
            (Some(11), None, TokenState::Active, None),
            (Some(10), None, TokenState::Expired, Some(10)),
            (None, Some(5), TokenState::Revoked, Some(5)),
            (Some(3), Some(5), TokenState::Revoked, Some(3)),
            (Some(20), Some(5), TokenState::Revoked, Some(5)),
        ] {
            let token = token(expires, revoked);
            assert_eq!((token.state(at(10)), token.ended_at(at(10))), (state, ended.map(at)));
        }
    }
}
