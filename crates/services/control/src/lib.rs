//! The control plane: what faces call, and the loops that move the cluster towards what is wanted.
//!
//! - [`Control`] answers faces. Every call names a caller, asks the policy and leaves one audit entry per write.
//! - [`Mirror`] keeps a decoded picture of the replicated state in memory; all reads come from it.
//! - [`Reconciler`] decides with the pure cores and commits with compare-and-set.
//! - [`OperationRunner`] carries out long changes step by step, through crashes.
//! - [`Watching`] takes usage into its log, raises alerts and delivers them.
//! - [`LocalControlPlane`] serves the node on the same machine.
//!
//! Absent by design: adapters, HTTP, and any decision that is not in a core.

mod audit;
mod authority;
mod backup;
mod budgets;
mod certificates;
mod delivery;
mod error;
mod explain;
mod fence;
mod guarded;
mod handle;
mod history;
mod join_tokens;
mod joining;
mod local;
mod mesh;
mod mirror;
mod nodes;
mod operations;
mod orders;
mod orgs;
mod placement;
mod plans;
mod preemption;
mod problems;
mod reach;
mod reconcile;
mod record;
mod resources;
mod secrets;
mod silence;
mod state;
mod tokens;
pub mod view;
mod volumes;
mod voting;
mod watching;
mod workloads;

pub use audit::{AuditEntry, AuditResult, AuditView};
pub use authority::Founding;
pub use backup::BackupStream;
pub use certificates::{CertificateUpkeep, LocalCertificates};
pub use delivery::LocalSecrets;
pub use error::Error;
pub use explain::Explanation;
pub use guarded::GuardedStore;
pub use handle::{Control, Idempotency, WriteOptions};
pub use history::LogPage;
pub use local::{LocalControlPlane, NODE_LEASE};
pub use mirror::{Inbox, Mirror};
pub use nodes::{ClusterHealth, ClusterRecord, ClusterView};
pub use operations::{ClusterUpgrade, NodeDrain, OperationKind, OperationRunner, StepError, UpgradeSpec};
pub use plans::{BlastRadius, Change, ChangeAction, Plan, PlanRefusal, PlanStatus};
pub use reach::{ContainerLogs, Selection};
pub use reconcile::Reconciler;
pub use resources::{
    Begun, CountedRequests, Credentials, MeshProvider, ResourceMeter, ResourceUpkeep, ResourceWatcher,
    Resources, RestoreSpec, ScaleSpec, TakenPorts, TemplateView, resource_kinds,
};
pub use silence::{Ask, ask_the_silent};
pub use state::{OrgName, State, Touched, WorkloadKey};
pub use voting::Voting;
pub use watching::{UsagePage, UsagePeriod, Watching};
