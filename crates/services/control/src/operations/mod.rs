//! Long changes: what faces do with them, the loop that carries them out, and the kinds there are.
//!
//! An operation is one record in the store. The pure core `univrs_saga` says what comes next; a kind says what a
//! step does, how its effect is seen and how it is taken back. Steps are idempotent, so any control node may go on
//! where another was stopped.

mod begin;
mod drain;
mod faces;
mod runner;
mod upgrade;

use async_trait::async_trait;
use univrs_model::operation::Operation;

pub(crate) use begin::{operation, waiting};
pub(crate) use drain::KIND as DRAIN;
pub use drain::NodeDrain;
pub use faces::view;
pub use runner::OperationRunner;
pub use upgrade::{ClusterUpgrade, UpgradeSpec};

/// Why a step could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// What went wrong, in a sentence that a person can act on.
    pub error: String,
    /// Whether trying again may help.
    pub temporary: bool,
}

impl StepError {
    /// A failure that another try may get over.
    pub fn temporary(error: impl Into<String>) -> Self {
        Self { error: error.into(), temporary: true }
    }

    /// A failure that ends the operation.
    pub fn lasting(error: impl Into<String>) -> Self {
        Self { error: error.into(), temporary: false }
    }
}

impl From<crate::Error> for StepError {
    fn from(error: crate::Error) -> Self {
        Self::temporary(error.to_string())
    }
}

/// One kind of long change. Every step may be done again, undone again, and undone without having been done.
#[async_trait]
pub trait OperationKind: Send + Sync {
    /// The name in [`Operation::kind`].
    fn name(&self) -> &'static str;

    /// Does a step; dropped when someone asks to stop.
    ///
    /// # Errors
    /// When the step could not be done.
    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError>;

    /// Looks whether the whole effect of a step is there.
    ///
    /// # Errors
    /// When it is not.
    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError>;

    /// Takes the effect of a step back, if it had any.
    ///
    /// # Errors
    /// When something of it is left.
    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError>;
}
