//! What is wrong with one field of an input: the shape every refusal of bad input takes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One fault in an input, naming the field and, where one exists, the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct FieldError {
    /// Path of the field in the caller's own words, such as `containers[0].resources.cpu`; empty for the whole.
    pub field: String,
    /// What is wrong, in one sentence without a final period.
    pub detail: String,
    /// What to write instead, when that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl FieldError {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into(), hint: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
