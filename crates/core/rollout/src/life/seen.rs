//! What a node knows of an instance: the input of [`super::next`].

use std::collections::BTreeMap;

use univrs_model::Timestamp;
use univrs_model::name::Name;
use univrs_model::secret::SecretVersion;

/// Everything that is known of an instance on its node. The default knows nothing and has nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The containers' images.
    pub images: Preparation,
    /// The digest that each container's image resolved to, once they are ready.
    pub image_digests: BTreeMap<String, String>,
    /// Volumes and secrets.
    pub storage: Preparation,
    /// The namespaces.
    pub sandbox: Preparation,
    /// The place in the network.
    pub network: Preparation,
    /// The address there.
    pub address: Option<String>,
    /// The containers, by name; one that is missing is absent.
    pub containers: BTreeMap<Name, ContainerSeen>,
    /// Which value of each secret was delivered to each container.
    pub secrets: BTreeMap<Name, BTreeMap<Name, SecretVersion>>,
    /// The health probes, by container.
    pub probes: BTreeMap<Name, ProbeSeen>,
    /// Since when the node has not heard the control plane, if it does not.
    pub cut_off_since: Option<Timestamp>,
}

/// How far something that containers need is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preparation {
    /// Not begun, or gone.
    #[default]
    Missing,
    /// Under way.
    Doing,
    /// There.
    Ready,
    /// It failed.
    Failed(Trouble),
}

/// Why a preparation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In words.
    pub message: String,
    /// Whether trying again may help.
    pub temporary: bool,
    /// When.
    pub at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
}

/// Where a container stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContainerSeen {
    /// There is none.
    #[default]
    Absent,
    /// It is being started.
    Starting,
    /// It runs.
    Running {
        /// Which start this is.
        attempt: u32,
        /// Since when.
        since: Timestamp,
    },
    /// It has ended.
    Exited {
        /// Which start this was.
        attempt: u32,
        /// When it had started.
        since: Timestamp,
        /// Its exit code, if it can be known.
        code: Option<i32>,
        /// Whether it was killed for want of memory.
        out_of_memory: bool,
        /// When it ended.
        at: Timestamp,
    },
    /// It could not be started.
    NotStarted {
        /// Which start this was.
        attempt: u32,
        /// Why; when not temporary it is not tried again.
        trouble: Trouble,
    },
}

/// The probing of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSeen {
    /// Whether a probe is under way.
    pub in_flight: bool,
    /// The last result for the running attempt.
    pub last: Option<ProbeResult>,
}

/// The result of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// When it was made.
    pub at: Timestamp,
    /// Whether it passed.
    pub passed: bool,
    /// What was wrong, for people.
    pub message: String,
}
