//! Who asks: every request and every loop carries a caller, and every decision names one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{NodeId, RequestId, TokenId};
use crate::name::Name;

/// How much a caller may do. Later grants contain earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Read everything but secret values.
    Observe,
    /// Also change workloads and what belongs to them.
    Operate,
    /// Also change nodes, tokens, organisations and policy.
    Admin,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Principal {
    /// Someone on this machine, through the loopback API.
    LocalAdmin,
    /// The holder of an API token.
    Token {
        /// Which token.
        id: TokenId,
        /// What it may do.
        grant: Grant,
        /// Whether it may change workloads without showing a plan first.
        #[serde(default)]
        direct: bool,
        /// The organisation it is confined to; none for a token of the cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        org: Option<Name>,
    },
    /// An AI operator on this machine, through the loopback API and held to a grant. It never approves anything.
    Assistant {
        /// What it may do.
        grant: Grant,
    },
    /// A loop of the control plane.
    Control {
        /// Which loop.
        r#loop: String,
    },
    /// A node.
    Node {
        /// Which node.
        id: NodeId,
    },
}

/// Who asks, and for which organisation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// The organisation whose objects are meant.
    pub org: Name,
    /// The request it asks in, if it came through a face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

impl Principal {
    /// Whether both are the same asker, however much each may do at the moment.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token { id, .. }, Self::Token { id: other, .. }) => id == other,
            (Self::Assistant { .. }, Self::Assistant { .. }) => true,
            _ => self == other,
        }
    }

    /// Whether it may change a workload without showing a plan first, as a pipeline does.
    pub const fn is_direct(&self) -> bool {
        matches!(self, Self::Token { direct: true, .. })
    }

    /// The same asker held to `most`: never more than it may do by itself.
    #[must_use]
    pub fn held_to(mut self, most: Grant) -> Self {
        match &mut self {
            Self::LocalAdmin => return Self::Assistant { grant: most },
            Self::Assistant { grant } | Self::Token { grant, .. } => *grant = most.min(*grant),
            Self::Control { .. } | Self::Node { .. } => {}
        }
        self
    }
}

impl Caller {
    /// Someone on this machine, acting in the default organisation.
    pub fn local_admin() -> Self {
        Self { principal: Principal::LocalAdmin, org: Name::default_org(), request: None }
    }

    /// A loop of the control plane.
    pub fn control(name: &str, org: Name) -> Self {
        Self { principal: Principal::Control { r#loop: name.to_owned() }, org, request: None }
    }
}
