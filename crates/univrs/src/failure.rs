//! Why the daemon did not start or stop as asked, with the next step for the person who asked.

use std::net::SocketAddr;
use std::path::PathBuf;

use univrs_model::join::{Fingerprint, InvalidJoinToken};
use univrs_model::node::RuntimeKind;
use univrs_network::ingress::TlsError;
use univrs_ports::images::ImageError;
use univrs_ports::network::NetworkError;
use univrs_ports::runtime::RuntimeError;
use univrs_ports::store;
use univrs_trust::TrustError;

/// Why the daemon did not start or stop as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("failed to {doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is damaged: {reason}", path.display())]
    DataDir { path: PathBuf, reason: String },
    #[error("{} has format {found}, this program knows up to {known}", path.display())]
    NewerDataDir { path: PathBuf, found: u32, known: u32 },
    #[error("another daemon{} uses {}", pid.map_or_else(String::new, |pid| format!(" (process {pid})")), path.display())]
    AlreadyRunning { path: PathBuf, pid: Option<i32> },
    #[error("the daemon (process {pid}) did not stop within {seconds} seconds")]
    DoesNotStop { pid: i32, seconds: u64 },
    #[error("the replicated state that was kept in {} is not there", path.display())]
    StateMissing { path: PathBuf },
    #[error("the key that opens secrets, {}, cannot be used: {reason}", path.display())]
    SecretsKey { path: PathBuf, reason: String },
    #[error("the certificate of the ingress, {}, cannot be used", path.display())]
    Certificate {
        path: PathBuf,
        #[source]
        source: TlsError,
    },
    #[error("the certificate of the API, {}, cannot be used", path.display())]
    ApiCertificate {
        path: PathBuf,
        #[source]
        source: TlsError,
    },
    #[error("`{filter}` does not say what to log")]
    LogFilter {
        filter: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("the authority of --acme-directory cannot be used")]
    Acme(#[from] univrs_acme::AcmeError),
    #[error("the template {} is faulty: {reason}", path.display())]
    Template { path: PathBuf, reason: String },
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot listen on {address} for other nodes")]
    NodePort {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("a machine needs a token to join a cluster")]
    NoJoinToken,
    #[error("the join token cannot be read")]
    JoinToken(#[source] InvalidJoinToken),
    #[error("the join token is of the authority {found}, not of {wanted}")]
    OtherAuthority { wanted: Fingerprint, found: Fingerprint },
    #[error("no peer says where to join: {reason}")]
    Connect { reason: String },
    #[error("the cluster does not let this machine in: {reason}")]
    JoinRefused { reason: String },
    #[error("no trust in the node at {address}: {reason}")]
    JoinTrust { address: String, reason: String },
    #[error("no member lets this machine in; the last one asked, {address}: {reason}")]
    JoinUnreachable { address: String, reason: String },
    #[error("{} belongs to another cluster than the join token", path.display())]
    OtherCluster { path: PathBuf },
    #[error("there is nothing to recover in {}: {reason}", path.display())]
    NothingToRecover { path: PathBuf, reason: String },
    #[error("a backup cannot be restored into {}: {reason}", path.display())]
    NoPlaceToRestore { path: PathBuf, reason: String },
    #[error("no key was given that opens the {secrets} secrets of this backup; nothing was changed")]
    SecretsStaySealed { secrets: usize },
    #[error("nothing was changed")]
    LossNotAccepted,
    #[error("this program does not work here: {reason}")]
    DoesNotWork { reason: String },
    #[error("the daemon cannot go on without {part}: {reason}")]
    Broken { part: &'static str, reason: String },
    #[error("certificates between nodes failed")]
    Trust(#[from] TrustError),
    #[error("this machine cannot run containers: {reason}")]
    NoRuntime { reason: String },
    #[error("the containers of this node are in the {had:?} runtime")]
    OtherRuntime { had: RuntimeKind },
    #[error("DOCKER_HOST is `{value}`: containers have to run on this machine")]
    DockerHost { value: String },
    #[error("`{name}` cannot be the name of a node")]
    NodeName {
        name: String,
        #[source]
        source: univrs_model::name::InvalidName,
    },
    #[error("the state store did not open")]
    Store(#[from] store::Error),
    #[error("the control plane did not start")]
    Control(#[from] univrs_control::Error),
    #[error("the node's network did not start")]
    Network(#[from] NetworkError),
    #[error("the runtime failed")]
    Runtime(#[from] RuntimeError),
    #[error("the image store did not open")]
    Images(#[from] ImageError),
    #[error("the policy is not valid")]
    Policy(#[from] univrs_authz::PolicyError),
    #[error("the asynchronous runtime did not start")]
    Tokio(#[source] std::io::Error),
}

impl Failure {
    /// What to do next, where that can be said.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::AlreadyRunning { .. } => {
                "talk to the running one (`univrs status`), stop it, or give another --data-dir".to_owned()
            }
            Self::NewerDataDir { .. } => "start the version of univrs that wrote it, or give another --data-dir".to_owned(),
            Self::Listen { address, .. } => {
                format!("another program has port {}; stop it or give another --api", address.port())
            }
            Self::NoRuntime { .. } => {
                "run as root, or say --runtime simulated to rehearse without containers, or --role validator to run none"
                    .to_owned()
            }
            Self::OtherRuntime { .. } => {
                "to change it, run `univrs down` first; state, images and volumes stay".to_owned()
            }
            Self::DockerHost { .. } => "give a socket of this machine, such as unix:///var/run/docker.sock".to_owned(),
            Self::StateMissing { .. } => {
                "bring the directory back from a backup; to begin anew, run `univrs down` and give an empty --data-dir".to_owned()
            }
            Self::SecretsKey { .. } => {
                "bring the file back from a backup of the data directory, readable by its owner only".to_owned()
            }
            Self::Certificate { .. } => {
                "give a PEM chain with --ingress-cert and its PEM key with --ingress-key".to_owned()
            }
            Self::ApiCertificate { .. } => {
                "give a PEM chain with --api-cert and its PEM key with --api-key".to_owned()
            }
            Self::LogFilter { .. } => {
                "write a level such as `info` or `debug`, or levels of parts such as `info,univrs_agent=debug`"
                    .to_owned()
            }
            Self::Acme(_) => "give its certificates as PEM with --acme-ca".to_owned(),
            Self::NodePort { address, .. } => {
                format!("another program has port {}; stop it or give another --node-listen", address.port())
            }
            Self::NoJoinToken | Self::JoinToken(_) | Self::OtherAuthority { .. } => {
                "run `univrs join-token create` on a member of the cluster, and give what it prints with --join-token"
                    .to_owned()
            }
            Self::Connect { .. } => {
                "give the address of a peer with --connect, such as /dns/HOST/udp/9000/quic-v1, or of a node with --join".to_owned()
            }
            Self::JoinTrust { .. } => {
                "check the address and the token; a token is good for the cluster that made it".to_owned()
            }
            Self::JoinUnreachable { .. } => {
                "check the address, that the daemon there runs, and that its port (9443) is open".to_owned()
            }
            Self::OtherCluster { .. } => {
                "leave --join and --join-token out to go on there, or give an empty --data-dir".to_owned()
            }
            Self::Template { .. } => "mend the file, or give another --template-dir".to_owned(),
            Self::NoPlaceToRestore { .. } => "name an empty directory with --data-dir".to_owned(),
            Self::SecretsStaySealed { .. } => {
                "give a validator's key file with --secrets-key (`univrs backup inspect` says whose), \
                 or begin --without-secrets and set them anew".to_owned()
            }
            Self::LossNotAccepted => "add --accept-loss to do it".to_owned(),
            Self::NothingToRecover { .. } => "run it on a validator of the cluster that has lost its majority".to_owned(),
            Self::Broken { .. } => {
                "containers run on, and nothing acknowledged is lost; see to what the log says, then start it again".to_owned()
            }
            Self::NodeName { .. } => "give another --name".to_owned(),
            Self::DoesNotStop { pid, .. } => format!("look at its log; `kill -9 {pid}` loses nothing that was acknowledged"),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "run as root or give a --data-dir of your own".to_owned()
            }
            Self::Store(store::Error::NewerFormat { .. }) => {
                "start the version of univrs that wrote it, or give another --data-dir".to_owned()
            }
            Self::Store(store::Error::OtherCluster { .. } | store::Error::OtherMember { .. }) => {
                "bring back the `store` directory that belongs to this data directory, or give an empty --data-dir"
                    .to_owned()
            }
            Self::Store(store::Error::DiskFull) => "free space on the disk of the data directory".to_owned(),
            Self::File { .. }
            | Self::DataDir { .. }
            | Self::Store(_)
            | Self::Control(_)
            | Self::Network(_)
            | Self::Runtime(_)
            | Self::Images(_)
            | Self::Policy(_)
            | Self::Trust(_)
            | Self::JoinRefused { .. }
            | Self::DoesNotWork { .. }
            | Self::Tokio(_) => return None,
        })
    }

    /// The failure and its causes on one line, and the next step on another.
    pub(crate) fn explain(&self) -> String {
        let mut text = format!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            text.push_str(&format!("\nhint: {hint}"));
        }
        text
    }
}
