//! Telling people: where notices of alerts go.

use async_trait::async_trait;
use univrs_model::alert::{AlertChannel, Notice};
use univrs_model::field::FieldError;
use univrs_model::secret::SecretValue;

/// Why a notice did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotifyError {
    /// What happened.
    pub reason: String,
    /// Whether trying again may help.
    pub temporary: bool,
}

/// Delivers notices. A notice may be delivered again; its id is the same then.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Whether a channel can be used at all.
    ///
    /// # Errors
    /// Names the field that is wrong.
    fn check(&self, channel: &AlertChannel) -> Result<(), FieldError>;

    /// Delivers a notice within bounded time. The password is that of the channel's login, if it has one; it is in no
    /// error.
    ///
    /// # Errors
    /// See [`NotifyError`].
    async fn deliver(
        &self,
        channel: &AlertChannel,
        notice: &Notice,
        password: Option<&SecretValue>,
    ) -> Result<(), NotifyError>;
}
