//! What a caller can ask to do. Each action has the same name here, in the policies and in the audit log.

use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What is to be done with an object. The list only grows: the audit log keeps these names for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name, such as `workload_write`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// Read the state of the cluster as a whole.
    ClusterRead = "cluster_read",
    /// Read nodes.
    NodeRead = "node_read",
    /// Cordon, drain, label, add and remove nodes.
    NodeWrite = "node_write",
    /// Read workloads and their revisions.
    WorkloadRead = "workload_read",
    /// Create, change, scale, roll back and delete workloads.
    WorkloadWrite = "workload_write",
    /// Run commands in instances and forward ports to them.
    WorkloadExec = "workload_exec",
    /// Read what instances print.
    WorkloadLogs = "workload_logs",
    /// Read instances.
    InstanceRead = "instance_read",
    /// Read images.
    ImageRead = "image_read",
    /// Build, pull, push, tag and delete images.
    ImageWrite = "image_write",
    /// Read the event log.
    EventRead = "event_read",
    /// Read the audit log.
    AuditRead = "audit_read",
    /// Read the names of secrets, never their values.
    SecretRead = "secret_read",
    /// Set and delete secrets.
    SecretWrite = "secret_write",
    /// Read tokens, never their secrets.
    TokenRead = "token_read",
    /// Make and revoke tokens.
    TokenWrite = "token_write",
    /// Read organisations.
    OrgRead = "org_read",
    /// Create, change and delete organisations.
    OrgWrite = "org_write",
    /// Read long changes.
    OperationRead = "operation_read",
    /// Begin and cancel long changes.
    OperationWrite = "operation_write",
    /// Approve plans that wait to be applied.
    PlanApprove = "plan_approve",
    /// Read volumes.
    VolumeRead = "volume_read",
    /// Create, change and delete volumes.
    VolumeWrite = "volume_write",
    /// Bind directories of a node into instances.
    VolumeBind = "volume_bind",
    /// Read measurements.
    MetricsRead = "metrics_read",
    /// Read backups.
    BackupRead = "backup_read",
    /// Make, restore and delete backups.
    BackupWrite = "backup_write",
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}
