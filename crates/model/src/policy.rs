//! How a workload behaves over time: schedules, updates, restarts, lost connections.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::span::Span;

fn one() -> u32 {
    1
}

fn one_second() -> Span {
    Span::seconds(1)
}

fn two_seconds() -> Span {
    Span::seconds(2)
}

/// When a `cron` workload runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CronSchedule {
    /// Five fields: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// IANA time zone.
    #[serde(default = "utc")]
    pub timezone: String,
    /// What to do when the last run has not ended.
    #[serde(default)]
    pub overlap: Overlap,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What to do when the last run of a cron workload has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Run beside it.
    Allow,
    /// Skip this run.
    #[default]
    Forbid,
    /// Stop it and run.
    Replace,
}

/// How a new version replaces the old one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePolicy {
    /// In what manner.
    #[serde(default)]
    pub strategy: UpdateStrategy,
    /// How many instances above `replicas` may exist meanwhile.
    #[serde(default = "one")]
    pub max_surge: u32,
    /// How many instances below `replicas` may serve meanwhile.
    #[serde(default)]
    pub max_unavailable: u32,
    /// How long a new instance must pass before it counts.
    #[serde(default = "two_seconds")]
    pub min_healthy: Span,
    /// How long without progress until the update has failed.
    #[serde(default = "two_minutes")]
    pub deadline: Span,
    /// Whether a failed update goes back by itself.
    #[serde(default = "yes")]
    pub auto_revert: bool,
}

fn two_minutes() -> Span {
    Span::seconds(120)
}

fn yes() -> bool {
    true
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            strategy: UpdateStrategy::default(),
            max_surge: 1,
            max_unavailable: 0,
            min_healthy: two_seconds(),
            deadline: two_minutes(),
            auto_revert: true,
        }
    }
}

/// In what manner a new version replaces the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateStrategy {
    /// New instances first, as far as surge and unavailability allow.
    #[default]
    Rolling,
    /// All old ones first; for workloads whose volumes cannot be shared.
    Recreate,
}

/// What happens when a container ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartPolicy {
    /// Whether it is started again.
    #[serde(default)]
    pub policy: RestartWhen,
    /// Wait before the second restart in a row (the first is immediate); doubles each time.
    #[serde(default = "one_second")]
    pub initial: Span,
    /// The longest wait.
    #[serde(default = "five_minutes")]
    pub max: Span,
}

fn five_minutes() -> Span {
    Span::seconds(300)
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { policy: RestartWhen::default(), initial: one_second(), max: five_minutes() }
    }
}

/// Whether a container that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartWhen {
    /// Whatever its exit code (for jobs: as `on_failure`).
    #[default]
    Always,
    /// Only after a code other than 0.
    OnFailure,
    /// Never.
    Never,
}

/// What happens on a node that is cut off from the control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisconnectPolicy {
    /// Time after which the node stops the instance by itself; absent keeps it running.
    #[serde(default)]
    pub stop_after: Option<Span>,
    /// What to do with the original when its node returns.
    #[serde(default)]
    pub on_reconnect: OnReconnect,
}

/// What to do with the original when its node returns and a replacement runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReconnect {
    /// Stop the replacement.
    KeepOriginal,
    /// Stop the original.
    #[default]
    KeepReplacement,
    /// Stop the one with the lower score.
    BestScore,
}
