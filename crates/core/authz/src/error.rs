//! Why the policies cannot be used. All of these are faults of the program, found when it starts.

use std::sync::Arc;

/// Why no [`Authorizer`](crate::Authorizer) could be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PolicyError {
    /// The schema does not parse.
    #[error("the policy schema does not parse")]
    Schema {
        /// What Cedar says.
        #[source]
        source: Arc<cedar_policy::CedarSchemaError>,
    },
    /// The policies do not parse.
    #[error("the policies do not parse")]
    Parse {
        /// What Cedar says.
        #[source]
        source: Arc<cedar_policy::ParseErrors>,
    },
    /// A rule has no `@id`, so no decision could name it.
    #[error("policy {position} has no @id")]
    Unnamed {
        /// Which one, as Cedar counts them.
        position: String,
    },
    /// Two rules have the same `@id`.
    #[error("the policy id `{id}` is used twice")]
    Repeated {
        /// The id.
        id: String,
        /// What Cedar says.
        #[source]
        source: Arc<cedar_policy::PolicySetError>,
    },
    /// The policies do not fit the schema.
    #[error("the policies do not fit their schema: {faults}")]
    Invalid {
        /// What is wrong with which rule.
        faults: String,
    },
    /// An action is not in the schema.
    #[error("the policy schema does not know the action {action}")]
    UnknownAction {
        /// The action.
        action: String,
    },
}
