//! Alerts: what is wrong for long enough that someone should be told, whom to tell, and what must be told yet.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::event::Severity;
use crate::name::Name;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertRule {
    /// A resource does not serve.
    ResourceDown,
    /// A volume is nearly full: 80 % is a warning, 95 % an error.
    StorageFull,
    /// The cluster has little room left.
    Capacity,
    /// This month's usage costs more than the organisation said.
    Cost,
    /// A resource was not backed up as its template says.
    BackupOld,
}

impl AlertRule {
    /// Its name, such as `resource_down`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResourceDown => "resource_down",
            Self::StorageFull => "storage_full",
            Self::Capacity => "capacity",
            Self::Cost => "cost",
            Self::BackupOld => "backup_old",
        }
    }
}

/// Whether it is still so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It is.
    Firing,
    /// It is over.
    Resolved,
}

/// An alert as stored; its key is its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Stable for the same rule and subject, such as `storage_full-rs_3f9k2m`.
    pub id: String,
    /// Which rule.
    pub rule: AlertRule,
    /// What it is about, such as `resource/maindb`.
    pub subject: String,
    /// How much it matters.
    pub severity: Severity,
    /// Whether it is still so.
    pub state: AlertState,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Since when it is so, or was.
    pub since: Timestamp,
    /// When state or severity last changed.
    pub changed_at: Timestamp,
    /// Counts its changes from 1; with the id it names one notice.
    pub number: u64,
    /// Nobody is told until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<Timestamp>,
}

/// What someone says of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceSpec {
    /// How long nobody is told.
    #[serde(rename = "for")]
    pub lasts: crate::span::Span,
}

/// Where an organisation wants to be told, and from what cost on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertSettings {
    /// Where to.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub channels: Vec<AlertChannel>,
    /// From what cost of a month on, in whole units of the currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000_000_i64)]
    pub monthly_cost: Option<u64>,
}

/// One way to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AlertChannel {
    /// A POST of the notice as JSON.
    Webhook {
        /// Unique in the organisation.
        name: Name,
        /// `https://…` or `http://…`.
        #[schema(pattern = "^[hH][tT][tT][pP][sS]?://.")]
        url: String,
    },
    /// A message by SMTP.
    Email {
        /// Unique in the organisation.
        name: Name,
        /// The mail server.
        #[schema(pattern = "^[A-Za-z0-9._:-]{1,253}$")]
        server: String,
        /// Its port; 587 with `starttls`, 465 with `tls`, 25 with `none` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(maximum = 65535)]
        port: Option<u16>,
        /// How it is encrypted.
        #[serde(default)]
        encryption: MailEncryption,
        /// The sender.
        from: String,
        /// Who gets it.
        #[schema(min_items = 1)]
        to: Vec<String>,
        /// Who sends, where the server wants to know.
        #[serde(
            default,
            deserialize_with = "crate::decode::objects",
            skip_serializing_if = "Option::is_none"
        )]
        login: Option<MailLogin>,
        /// The certificate (PEM) of an authority that the server's is from, where that is no public one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority: Option<String>,
    },
}

/// A login at a mail server. It is sent through an encrypted connection only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailLogin {
    /// The name.
    pub username: String,
    /// The organisation's secret that holds the password.
    pub secret: Name,
}

impl AlertChannel {
    /// Its name.
    pub const fn name(&self) -> &Name {
        match self {
            Self::Webhook { name, .. } | Self::Email { name, .. } => name,
        }
    }

    /// Its login, if it has one.
    pub const fn login(&self) -> Option<&MailLogin> {
        match self {
            Self::Webhook { .. } => None,
            Self::Email { login, .. } => login.as_ref(),
        }
    }
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailEncryption {
    /// Begun in the clear, then encrypted; a server that cannot is refused.
    #[default]
    Starttls,
    /// From the first byte on.
    Tls,
    /// Not at all.
    None,
}

/// What is told of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// The same each time it is tried: whoever gets it twice can see that.
    pub id: String,
    /// The organisation.
    pub org: Name,
    /// The alert as it was then.
    pub alert: Alert,
}

/// A notice that has not been delivered to a channel yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What is told.
    pub notice: Notice,
    /// Name of the channel.
    pub channel: Name,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub due: Timestamp,
    /// Why it failed last.
    #[serde(default)]
    pub last_error: String,
}
