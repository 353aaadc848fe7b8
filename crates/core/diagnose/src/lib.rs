//! What is wrong with a cluster, why, and what mends it: a pure function over one picture.
//!
//! ```
//! use univrs_diagnose::{Snapshot, find};
//!
//! let quiet = Snapshot { now: "2026-01-01T00:00:00Z".parse()?, nodes: vec![], workloads: vec![], secrets: None };
//! assert!(find(&quiet).is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A finding names the cause nearest to the root that the picture shows: a rollout that is stuck because its image
//! does not exist is a missing image, not a stuck rollout. Every finding says what it rests on (`evidence`), what to
//! change (`fix`) and which question or change comes next (`next`).

mod certificates;
mod instances;
mod limits;
mod mesh;
mod nodes;
mod placement;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};

pub use certificates::certificate_problems;
pub use limits::{ExpiredToken, quota_problem, token_problems};
pub use mesh::mesh_advice;
use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;
use univrs_model::event::Severity;
use univrs_model::instance::InstanceView;
use univrs_model::name::Name;
use univrs_model::node::NodeView;
use univrs_model::rollout::WorkloadView;

/// The picture.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time it was taken.
    pub now: Timestamp,
    /// All nodes.
    pub nodes: Vec<NodeView>,
    /// The workloads of one organisation.
    pub workloads: Vec<WorkloadFacts>,
    /// Names of the organisation's secrets; nothing when they are not known.
    pub secrets: Option<BTreeSet<Name>>,
}

/// A workload with what is known of it.
#[derive(Clone, Debug)]
pub struct WorkloadFacts {
    /// The workload.
    pub view: WorkloadView,
    /// Its instances, ended ones included, the newest first.
    pub instances: Vec<InstanceView>,
    /// How the nodes stand towards one more instance of it.
    pub placement: Placement,
    /// When its rollout last moved, if it ever did.
    pub progressed_at: Option<Timestamp>,
    /// For cron: its next two runs, as far as there are any.
    pub next_runs: Vec<Timestamp>,
}

/// How the nodes stand towards a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// How many nodes there are.
    pub nodes: u32,
    /// How many of them could take it.
    pub feasible: u32,
    /// How many fail each filter first, by the scheduler's own words.
    pub filtered: BTreeMap<String, u32>,
    /// How many nodes each constraint excludes.
    pub constraints: BTreeMap<String, u32>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// What kind of thing is wrong.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about, such as `workload/web` or `node/n1`.
    pub subject: String,
    /// The cause, in a sentence.
    pub cause: String,
    /// What that rests on.
    pub evidence: Vec<String>,
    /// What mends it, in a sentence.
    pub fix: String,
    /// The next call of an operator, as a tool and its arguments.
    pub next: String,
}

/// What kind of thing is wrong; the list only grows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A node cannot be heard.
    NodeCutOff,
    /// A disk is nearly or wholly full.
    DiskPressure,
    /// An image does not exist or cannot be fetched.
    ImageMissing,
    /// A secret does not exist.
    SecretMissing,
    /// A container is killed for want of memory, again and again.
    OutOfMemory,
    /// A container ends and is started again and again.
    CrashLoop,
    /// A container cannot be started.
    CannotStart,
    /// A container runs and fails its check.
    FailingHealth,
    /// No node matches the constraints.
    WrongConstraint,
    /// Every node that matches is full.
    NoRoom,
    /// A port of the host is taken.
    PortClash,
    /// Rules keep the instances apart on more nodes than there are.
    KeptApart,
    /// Every node that matches is cordoned, draining, or cannot run containers.
    NodesClosed,
    /// A workload waits for another that does not come.
    DependencyUnmet,
    /// A schedule names no time to come.
    CronNeverFires,
    /// Runs are skipped because one does not end.
    CronBlocked,
    /// A new version failed and was taken back.
    RolloutReverted,
    /// A change does not move.
    RolloutStuck,
    /// It failed, for a reason of its own.
    Failed,
    /// A host has no certificate, or one that is not renewed.
    CertificateMissing,
    /// An organisation has used up its quota of resources.
    QuotaReached,
    /// A token is used after its end.
    TokenExpired,
}

/// What is wrong, the worst first.
pub fn find(snapshot: &Snapshot) -> Vec<Problem> {
    let mut problems = nodes::find(snapshot);
    for workload in &snapshot.workloads {
        problems.extend(workloads::find(snapshot, workload));
    }
    sort(&mut problems);
    problems
}

/// The worst first.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then_with(|| a.code.cmp(&b.code)).then_with(|| a.subject.cmp(&b.subject))
    });
}

impl Problem {
    /// A problem of a workload.
    fn of(code: Code, facts: &WorkloadFacts, cause: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            subject: format!("workload/{}", facts.view.name),
            cause: cause.into(),
            evidence: Vec::new(),
            fix: String::new(),
            next: String::new(),
        }
    }

    fn evidence(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence.into_iter().filter(|one| !one.is_empty()));
        self
    }

    fn fix(mut self, fix: impl Into<String>, next: impl Into<String>) -> Self {
        self.fix = fix.into();
        self.next = next.into();
        self
    }

    fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

/// A call of a tool about a workload.
fn call(tool: &str, workload: &Name) -> String {
    format!("{tool} {{\"name\":\"{workload}\"}}")
}

fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
