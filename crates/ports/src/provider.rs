//! Deployment providers: what makes a resource real somewhere, and takes it away again.
//!
//! An [`Order`] is plain objects; a provider needs no template. Everything a provider makes carries the resource's id, so
//! that [`Provider::destroy`] finds all of it, also after a crash in the middle and without any memory of its own.
//!
//! Promises, checked by [`conformance`] on every provider:
//! - PRO-1: [`Provider::deploy`] again with the same order changes nothing and makes nothing twice.
//! - PRO-2: after [`Provider::destroy`] nothing is left that carries the resource's id; it may be asked again, and of a
//!   resource that was never deployed.
//! - PRO-3: a resource never touches what carries another's id.
//! - PRO-4: no error, log line or listing holds the value of a secret.

pub mod conformance;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use univrs_model::ids::{OperationId, ResourceId};
use univrs_model::name::Name;
use univrs_model::resource::Amount;
use univrs_model::secret::SecretValue;
use univrs_model::usage::Reading;
use univrs_model::workload::WorkloadSpec;

use crate::volumes::VolumeUse;

/// Why a provider did not do what it was asked. Never says anything of secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Trying again may help; it may also have acted.
    #[error("{reason}")]
    Temporary {
        /// What happened.
        reason: String,
    },
    /// Trying again does not help.
    #[error("{reason}")]
    Lasting {
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl ProviderError {
    /// A failure that another try may get over.
    pub fn temporary(reason: impl Into<String>) -> Self {
        Self::Temporary { reason: reason.into() }
    }

    /// A failure that stays.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self::Lasting { reason: reason.into() }
    }
}

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRef {
    /// Its id: the owner of everything that is made for it.
    pub id: ResourceId,
    /// Its organisation.
    pub org: Name,
    /// Its name.
    pub name: Name,
    /// Names of all workloads it may have, jobs included.
    pub workloads: Vec<Name>,
}

/// What is to be real.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose it is.
    pub resource: ResourceRef,
    /// The operation that asks; what is made carries its id too.
    pub operation: OperationId,
    /// What runs, with its ports of hosts.
    pub workloads: Vec<WorkloadSpec>,
    /// The values of the secrets that the workloads name.
    pub secrets: BTreeMap<Name, SecretValue>,
}

/// How a deployed resource is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All of it serves.
    Serving {
        /// The machine that its ports of hosts are on, as an address or a name.
        host: String,
    },
    /// It does not serve yet, or for the moment.
    Waiting {
        /// What it waits for.
        reason: String,
    },
    /// It will not serve by itself.
    Failed {
        /// Why.
        reason: String,
    },
    /// There is nothing of it.
    Absent,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOutcome {
    /// Whether it ended with code 0.
    pub succeeded: bool,
    /// The last lines it wrote, oldest first.
    pub last_lines: Vec<String>,
}

/// What a resource uses, as its provider sees it at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceUse {
    /// The counters of its parts, by a name of each that stays.
    pub readings: BTreeMap<String, Reading>,
    /// Bytes of memory in use.
    pub memory: u64,
    /// How full its volumes are, by their names with the provider.
    pub volumes: BTreeMap<String, VolumeUse>,
}

/// What a provider says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProviderView {
    /// Its id.
    pub id: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Whether it can be used now.
    pub available: bool,
    /// Why not, if it cannot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The largest resource that fits now, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Amount>,
    /// How much of processor time or memory is set aside, whichever is more, in percent, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub used: Option<u8>,
    /// The region it is in, if it is in one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

/// How much of what there is is taken, in percent, rounded up.
pub fn percent(taken: u64, of: u64) -> u8 {
    let percent = taken.saturating_mul(100).div_ceil(of.max(1));
    u8::try_from(percent.min(100)).unwrap_or(100)
}

/// Makes resources real.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Its id, such as `mesh`.
    fn id(&self) -> &'static str;

    /// What it says of itself now.
    async fn describe(&self) -> ProviderView;

    /// Makes the order real, or makes what is there like it. Returns when it has been asked for; see
    /// [`Provider::status`] for whether it serves.
    ///
    /// # Errors
    /// See [`ProviderError`]; part of the order may be there then.
    async fn deploy(&self, order: &Order) -> Result<(), ProviderError>;

    /// How it is doing.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn status(&self, resource: &ResourceRef) -> Result<Standing, ProviderError>;

    /// The machines that the ports of its workloads are on, by workload, where that may differ from the host of
    /// [`Standing::Serving`].
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn hosts(&self, _resource: &ResourceRef) -> Result<BTreeMap<Name, String>, ProviderError> {
        Ok(BTreeMap::new())
    }

    /// Makes the running resource like the order, which has another size.
    ///
    /// # Errors
    /// As [`Provider::deploy`].
    async fn scale(&self, order: &Order) -> Result<(), ProviderError> {
        self.deploy(order).await
    }

    /// Gives the running resource the order's values of secrets. Returns when all of it has them.
    ///
    /// # Errors
    /// As [`Provider::deploy`].
    async fn rotate(&self, order: &Order) -> Result<(), ProviderError>;

    /// Runs the order's one workload, a job beside the resource such as a backup or its restoration, to its end, and
    /// removes it; its volumes stay. A job of the same operation that runs already is waited for instead.
    ///
    /// # Errors
    /// When it could not be run; that it failed is an outcome.
    async fn run_job(&self, order: &Order) -> Result<JobOutcome, ProviderError>;

    /// Backs the resource up: runs the order's job, unless the provider has a better way.
    ///
    /// # Errors
    /// As [`Provider::run_job`].
    async fn backup(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        self.run_job(order).await
    }

    /// Puts a backup into a resource: runs the order's job, unless the provider has a better way.
    ///
    /// # Errors
    /// As [`Provider::run_job`].
    async fn restore(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        self.run_job(order).await
    }

    /// Removes everything that carries the resource's id, volumes and what they hold included. Returns when it is gone.
    ///
    /// # Errors
    /// See [`ProviderError`]; part of it may be left then.
    async fn destroy(&self, resource: &ResourceRef) -> Result<(), ProviderError>;

    /// The last lines that it wrote, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn logs(&self, resource: &ResourceRef, lines: usize) -> Result<Vec<String>, ProviderError>;

    /// What it uses now. Absent when nothing of it runs, and where the nodes of the cluster measure it themselves.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn metrics(&self, _resource: &ResourceRef) -> Result<Option<ResourceUse>, ProviderError> {
        Ok(None)
    }

    /// Names of everything that carries the resource's id.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn owned(&self, resource: &ResourceRef) -> Result<Vec<String>, ProviderError>;

    /// Ports of the machine that others have already, of those that resources may be given: they are left out when a
    /// resource is given its own.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn taken_ports(&self) -> Result<BTreeSet<u16>, ProviderError> {
        Ok(BTreeSet::new())
    }

    /// Which of several that are called by this provider's id it is, such as one engine among those of several
    /// machines; empty where there is one only. What was made in one place can be changed there only.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn place(&self) -> Result<String, ProviderError> {
        Ok(String::new())
    }

    /// Whether [`Provider::deploy`] may bring back what stopped serving and does not by itself.
    fn mends(&self) -> bool {
        false
    }
}
