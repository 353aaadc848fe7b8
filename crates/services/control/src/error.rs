//! Why the control plane refuses or fails. Faces map these to HTTP, exit codes and MCP once, at the edge.

use univrs_model::field::FieldError;
use univrs_model::name::Name;
use univrs_ports::authority::AuthorityError;
use univrs_ports::node_access::AccessError;
use univrs_ports::seal::SealError;
use univrs_ports::store;

use crate::plans::{Plan, PlanRefusal};

/// Why the control plane refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody knows who asks.
    #[error("the token is not good: {reason}")]
    Unauthenticated {
        /// What is wrong with it.
        reason: String,
    },
    /// The caller may not do that.
    #[error("{action} on {object} is denied by {rule}: {reason}")]
    Denied {
        /// What was tried.
        action: String,
        /// With what, such as `workload/web`.
        object: String,
        /// The rule that decided.
        rule: String,
        /// What is missing.
        reason: String,
    },
    /// The token has used up what it may do in all.
    #[error("{token} may not do this: {reason}")]
    OverBudget {
        /// The token.
        token: String,
        /// What it would do, and how much it may.
        reason: String,
    },
    /// There is no such object.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What kind of object.
        kind: &'static str,
        /// As asked for.
        name: String,
        /// A name that is close to it, if any.
        near: Option<String>,
    },
    /// The name stands for several objects.
    #[error("`{name}` stands for several {kind}s: {candidates}")]
    Ambiguous {
        /// What kind of object.
        kind: &'static str,
        /// As asked for.
        name: String,
        /// What it may mean.
        candidates: String,
    },
    /// The name is taken.
    #[error("the {kind} `{name}` exists already")]
    Exists {
        /// What kind of object.
        kind: &'static str,
        /// Its name.
        name: Name,
    },
    /// The object changed since the caller read it.
    #[error("the {kind} `{name}` is at revision {actual}, not at {expected}")]
    Stale {
        /// What kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What the caller's `If-Match` says.
        expected: String,
        /// What it is.
        actual: u64,
    },
    /// The input is wrong.
    #[error("{}", .0.first().map_or_else(|| "the input is not valid".to_owned(), ToString::to_string))]
    Invalid(Vec<FieldError>),
    /// The object's state does not allow that.
    #[error("{what}: {reason}")]
    Conflict {
        /// What was tried.
        what: String,
        /// Why it cannot be.
        reason: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// The same `Idempotency-Key` came with another request.
    #[error("the Idempotency-Key `{key}` was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The write kept losing against others.
    #[error("the {kind} `{name}` is being changed by others; try again")]
    Contended {
        /// What kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A plan cannot be applied, approved or rejected.
    #[error("the plan `{plan}` {refusal}")]
    PlanRefused {
        /// Its id.
        plan: String,
        /// Why.
        refusal: PlanRefusal,
    },
    /// Not a failure: what a write that was only to be planned would do. See [`crate::Control::planning`].
    #[error("the write was planned, not done")]
    Planned(Box<Plan>),
    /// A stored object cannot be read by this version.
    #[error("the object under `{key}` cannot be read by this version")]
    Unreadable {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No certificate can be issued.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A secret cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A node failed.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl Error {
    /// A refusal of one field.
    pub fn field(fault: FieldError) -> Self {
        Self::Invalid(vec![fault])
    }
}
