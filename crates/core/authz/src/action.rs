//! What a caller can ask to do. Each action has the same name here, in the policies and in the audit log.

use std::fmt;

/// Whose a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It is the cluster's: shared by all organisations, changed by none of them.
    Cluster,
    /// It is an organisation's.
    Organisation,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal of $owner:ident,)*) => {
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

            /// Whose the things are that it is done with.
            pub const fn owner(self) -> Owner {
                match self {
                    $(Self::$name => Owner::$owner,)*
                }
            }
        }
    };
}

actions! {
    /// Read the state of the cluster as a whole.
    ClusterRead = "cluster_read" of Cluster,
    /// Read nodes.
    NodeRead = "node_read" of Cluster,
    /// Cordon, drain, label, add and remove nodes.
    NodeWrite = "node_write" of Cluster,
    /// Read workloads and their revisions.
    WorkloadRead = "workload_read" of Organisation,
    /// Create, change, scale, roll back and delete workloads.
    WorkloadWrite = "workload_write" of Organisation,
    /// Run commands in instances and forward ports to them.
    WorkloadExec = "workload_exec" of Organisation,
    /// Read what instances print.
    WorkloadLogs = "workload_logs" of Organisation,
    /// Read instances.
    InstanceRead = "instance_read" of Organisation,
    /// Read images.
    ImageRead = "image_read" of Cluster,
    /// Build, pull, push, tag and delete images.
    ImageWrite = "image_write" of Cluster,
    /// Read the event log.
    EventRead = "event_read" of Organisation,
    /// Read the audit log.
    AuditRead = "audit_read" of Organisation,
    /// Read the names of secrets, never their values.
    SecretRead = "secret_read" of Organisation,
    /// Set and delete secrets.
    SecretWrite = "secret_write" of Organisation,
    /// Read tokens, never their secrets.
    TokenRead = "token_read" of Organisation,
    /// Make and revoke tokens.
    TokenWrite = "token_write" of Organisation,
    /// Read organisations.
    OrgRead = "org_read" of Organisation,
    /// Create, change and delete organisations.
    OrgWrite = "org_write" of Cluster,
    /// Read long changes.
    OperationRead = "operation_read" of Organisation,
    /// Begin and cancel long changes.
    OperationWrite = "operation_write" of Organisation,
    /// Approve plans that wait to be applied.
    PlanApprove = "plan_approve" of Organisation,
    /// Read volumes.
    VolumeRead = "volume_read" of Organisation,
    /// Create, change and delete volumes.
    VolumeWrite = "volume_write" of Organisation,
    /// Bind directories of a node into instances: they are the node's, and hold what other organisations keep there.
    VolumeBind = "volume_bind" of Cluster,
    /// Read templates, providers and resources, never their credentials.
    ResourceRead = "resource_read" of Organisation,
    /// Create, scale, rotate, back up, restore and delete resources.
    ResourceWrite = "resource_write" of Organisation,
    /// See the credentials of resources.
    ResourceCredentials = "resource_credentials" of Organisation,
    /// Read measurements.
    MetricsRead = "metrics_read" of Cluster,
    /// Read backups.
    BackupRead = "backup_read" of Cluster,
    /// Make, restore and delete backups.
    BackupWrite = "backup_write" of Cluster,
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}
