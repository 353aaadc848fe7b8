//! The flags of the commands that the daemon itself executes: `up` and `down`.
//!
//! Every flag of `up` can also be given as an environment variable `UNIVRS_*`, so that the image's entrypoint
//! `/univrs up` and a systemd unit need no arguments.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use univrs_model::decode::nearest;
use univrs_model::join::Fingerprint;
use univrs_model::member::{MOST_VOTERS, VOTERS};
use univrs_model::name::Name;
use univrs_model::node::{Role, RuntimeKind};
use univrs_model::quantity::{Bytes, Cpu};

/// Runs this machine as a node.
///
/// On an empty data directory it bootstraps a cluster of its own, or joins another with --join.
#[derive(Args, Clone, Debug)]
pub struct UpArgs {
    /// Make a new cluster; does nothing when the data directory already holds one
    #[arg(long, env = "UNIVRS_BOOTSTRAP", value_parser = FalseyValueParser::new())]
    pub bootstrap: bool,
    /// Join the cluster of this node instead of making one; several to try, separated by commas. Does nothing when the
    /// data directory belongs to a cluster already
    #[arg(
        long,
        env = "UNIVRS_JOIN",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        conflicts_with = "bootstrap"
    )]
    pub join: Vec<String>,
    /// What to join with, as `univrs join-token create` prints it
    #[arg(long, env = "UNIVRS_JOIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub join_token: Option<String>,
    /// File with the join token; it is waited for
    #[arg(long, env = "UNIVRS_JOIN_TOKEN_FILE", value_name = "FILE", conflicts_with = "join_token")]
    pub join_token_file: Option<PathBuf>,
    /// SHA-256 of the authority of the cluster to join, to be sure that the token is of it
    #[arg(long, env = "UNIVRS_CA_SHA256", value_name = "HEX")]
    pub ca_sha256: Option<Fingerprint>,
    /// Address at which other nodes reach this one, over mutual TLS
    #[arg(long, env = "UNIVRS_NODE_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:9443", value_parser = socket_address)]
    pub node_listen: SocketAddr,
    /// Address that other nodes are told to reach this one at; that of the interface to them when absent
    #[arg(long, env = "UNIVRS_ADVERTISE", value_name = "HOST[:PORT]")]
    pub advertise: Option<String>,
    /// Where the encrypted network between containers listens, over UDP
    #[arg(long, env = "UNIVRS_WIREGUARD", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:51820", value_parser = socket_address)]
    pub wireguard: SocketAddr,
    /// Address of a peer, such as /dns/HOST/udp/9000/quic-v1; may be repeated. A machine that belongs to no cluster yet
    /// joins that of the peer
    #[arg(
        long,
        env = "UNIVRS_CONNECT",
        value_name = "MULTIADDR",
        value_delimiter = ',',
        conflicts_with = "bootstrap"
    )]
    pub connect: Vec<String>,
    /// Port of this node's peer, QUIC and TCP, on the address of --node-listen; 0 takes a free one
    #[arg(long, env = "UNIVRS_PORT", value_name = "PORT", default_value_t = 9000)]
    pub port: u16,
    /// How many validators of a new cluster vote, where that many may: an odd number up to 7
    #[arg(long, env = "UNIVRS_VOTERS", value_name = "NUMBER", default_value_t = VOTERS, value_parser = voters)]
    pub voters: u32,
    /// Address of the API
    #[arg(long, env = "UNIVRS_API", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub api: SocketAddr,
    /// Certificate chain of the API as PEM, the server's own first; with it the API speaks HTTPS and nothing else. It is
    /// read again when the file changes
    #[arg(long, env = "UNIVRS_API_CERT", value_name = "FILE", requires = "api_key")]
    pub api_cert: Option<PathBuf>,
    /// Private key of that certificate as PEM
    #[arg(long, env = "UNIVRS_API_KEY", value_name = "FILE", requires = "api_cert")]
    pub api_key: Option<PathBuf>,
    /// Address of the HTTP ingress
    #[arg(long, env = "UNIVRS_INGRESS", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:80", value_parser = socket_address)]
    pub ingress: SocketAddr,
    /// Certificate chain of the ingress as PEM, the server's own first; without it there is no HTTPS
    #[arg(long, env = "UNIVRS_INGRESS_CERT", value_name = "FILE", requires = "ingress_key")]
    pub ingress_cert: Option<PathBuf>,
    /// Private key of that certificate as PEM
    #[arg(long, env = "UNIVRS_INGRESS_KEY", value_name = "FILE", requires = "ingress_cert")]
    pub ingress_key: Option<PathBuf>,
    /// Address of the HTTPS ingress
    #[arg(long, env = "UNIVRS_INGRESS_TLS", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:443", value_parser = socket_address)]
    pub ingress_tls: SocketAddr,
    /// Authority that issues certificates for hosts with `tls = "auto"`, by ACME: letsencrypt, letsencrypt-staging, or the
    /// address of its directory. Naming it agrees to its terms. Give it to every validator
    #[arg(long, env = "UNIVRS_ACME_DIRECTORY", value_name = "URL", value_parser = acme_directory)]
    pub acme_directory: Option<String>,
    /// Mail address that the authority is told
    #[arg(long, env = "UNIVRS_ACME_CONTACT", value_name = "MAIL", requires = "acme_directory")]
    pub acme_contact: Option<String>,
    /// Certificates as PEM that the authority is trusted by, beside those of the machine
    #[arg(long, env = "UNIVRS_ACME_CA", value_name = "FILE", requires = "acme_directory")]
    pub acme_ca: Option<PathBuf>,
    /// Directory of everything this node keeps
    #[arg(long, env = "UNIVRS_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What this node is for, separated by commas: validator, business, slim; all of it when absent, or what the join
    /// token allows. It stays so
    #[arg(long, env = "UNIVRS_ROLE", value_name = "ROLES", value_delimiter = ',', value_parser = role)]
    pub role: Vec<Role>,
    /// Cloud that this machine stands in
    #[arg(long, env = "UNIVRS_CLOUD", default_value = "local")]
    pub cloud: String,
    /// Region of the cloud
    #[arg(long, env = "UNIVRS_REGION", default_value = "local")]
    pub region: String,
    /// Zone of the region
    #[arg(long, env = "UNIVRS_ZONE", default_value = "local")]
    pub zone: String,
    /// Who runs this machine
    #[arg(long, env = "UNIVRS_OPERATOR", default_value = "local")]
    pub operator: String,
    /// Label of this node; may be repeated
    #[arg(long = "label", env = "UNIVRS_LABEL", value_name = "K=V", value_delimiter = ',', value_parser = key_value)]
    pub labels: Vec<(String, String)>,
    /// What containers run on: oci, docker, simulated; chosen by what the machine has when absent
    #[arg(long, env = "UNIVRS_RUNTIME", value_parser = runtime)]
    pub runtime: Option<RuntimeKind>,
    /// How much more than it has this node gives away
    #[arg(long, env = "UNIVRS_OVERCOMMIT", value_name = "cpu=F,memory=F", default_value = "cpu=1,memory=1")]
    pub overcommit: Overcommit,
    /// What this node gives, where it is less than the machine has
    #[arg(long, env = "UNIVRS_CAPACITY", value_name = "cpu=C,memory=M,disk=D", hide = true)]
    pub capacity: Option<Share>,
    /// Directory of this machine that workloads may bind, with all below it; may be repeated, none when absent
    #[arg(long = "allow-bind", env = "UNIVRS_ALLOW_BIND", value_name = "DIR", value_delimiter = ',', value_parser = absolute)]
    pub allow_bind: Vec<PathBuf>,
    /// Let alerts be told at addresses that are not public; organisations could then reach what only this machine can
    #[arg(long, env = "UNIVRS_ALLOW_PRIVATE_WEBHOOKS")]
    pub allow_private_webhooks: bool,
    /// Folder of image archives; one that names an image is taken in when that image is wanted and not here
    #[arg(long, env = "UNIVRS_IMAGE_DIR", value_name = "DIR")]
    pub image_dir: Option<PathBuf>,
    /// Folder of templates beside those that the program has, as TOML files
    #[arg(long, env = "UNIVRS_TEMPLATE_DIR", value_name = "DIR")]
    pub template_dir: Option<PathBuf>,
    /// Address range that the cluster's nodes share out
    #[arg(long, env = "UNIVRS_CLUSTER_CIDR", value_name = "CIDR", default_value = "100.64.0.0/10")]
    pub cluster_cidr: Ipv4Range,
    /// Name of this node; the host's name when absent
    #[arg(long, env = "UNIVRS_NAME")]
    pub name: Option<Name>,
    /// Form of the log on standard error
    #[arg(long, env = "UNIVRS_LOG_FORMAT", value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged, such as `debug`, or `info,univrs_agent=debug`; what matters when absent
    #[arg(long, env = "UNIVRS_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What becomes of the containers when this process is told to stop; asks on a terminal, else keeps
    #[arg(long, env = "UNIVRS_ON_EXIT", value_enum)]
    pub on_exit: Option<OnExit>,
}

/// Stops and removes everything that the node of a data directory has made.
#[derive(Args, Clone, Debug)]
pub struct DownArgs {
    /// Directory of everything the node keeps
    #[arg(long, env = "UNIVRS_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Make a cluster of one out of this node's copy of the state, when most validators are lost for good
///
/// Without --accept-loss it only says what would be lost. The node must be a validator, and its daemon stopped.
/// Afterwards it is a new cluster with the old state: other machines join anew, with empty data directories.
#[derive(Args, Clone, Debug)]
pub struct RecoverArgs {
    /// Directory of everything the node keeps
    #[arg(long, env = "UNIVRS_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Do it, and lose what this copy does not have
    #[arg(long)]
    pub accept_loss: bool,
}

/// Form of the daemon's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object for each line
    Json,
}

/// What becomes of the containers when `up` is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnExit {
    /// Leave them running
    Keep,
    /// Stop and remove everything
    Down,
}

impl UpArgs {
    /// The directory of everything this node keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }
}

impl RecoverArgs {
    /// The directory of everything the node keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }
}

impl DownArgs {
    /// The directory of everything the node keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }
}

/// `/var/lib/univrs` for root, otherwise a directory of the user's own.
pub(crate) fn default_data_dir() -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let of_user = || {
        let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))
    };
    match (is_root, of_user()) {
        (false, Some(base)) => base.join("univrs"),
        (true, _) | (false, None) => PathBuf::from("/var/lib/univrs"),
    }
}

/// Factors by which a node gives away more than it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overcommit {
    /// Factor of processor time.
    pub cpu: f64,
    /// Factor of memory.
    pub memory: f64,
}

impl FromStr for Overcommit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut result = Self { cpu: 1.0, memory: 1.0 };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not KEY=FACTOR"))?;
            let factor = value.parse::<f64>().ok().filter(|factor| (0.01..=100.0).contains(factor));
            let factor = factor.ok_or_else(|| format!("`{value}` is not a factor between 0.01 and 100"))?;
            match key {
                "cpu" => result.cpu = factor,
                "memory" => result.memory = factor,
                other => return Err(format!("`{other}` cannot be overcommitted; write `cpu` or `memory`")),
            }
        }
        Ok(result)
    }
}

/// What a node gives; what is not said is what the machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Processor time.
    pub cpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Disk.
    pub disk: Option<Bytes>,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut result = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not KEY=AMOUNT"))?;
            let bytes = || value.parse::<Bytes>().map(Some).map_err(|error| error.to_string());
            match key {
                "cpu" => result.cpu = Some(value.parse::<Cpu>().map_err(|error| error.to_string())?),
                "memory" => result.memory = bytes()?,
                "disk" => result.disk = bytes()?,
                other => return Err(format!("`{other}` is no capacity; write `cpu`, `memory` or `disk`")),
            }
        }
        Ok(result)
    }
}

/// A range of IPv4 addresses, such as `100.64.0.0/10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Range {
    /// The first address.
    pub address: Ipv4Addr,
    /// How many leading bits all addresses share.
    pub prefix: u8,
}

impl FromStr for Ipv4Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || format!("`{text}` is not an IPv4 range such as `100.64.0.0/10`");
        let (address, prefix) = text.split_once('/').ok_or_else(fail)?;
        let address: Ipv4Addr = address.parse().map_err(|_| fail())?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| (1..=30).contains(prefix)).ok_or_else(fail)?;
        let host_bits = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
        if address.to_bits() & host_bits != 0 {
            let first = Ipv4Addr::from_bits(address.to_bits() & !host_bits);
            return Err(format!("`{text}` has host bits; write `{first}/{prefix}`"));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Ipv4Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.prefix)
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let fail = || format!("`{text}` is not ADDRESS:PORT");
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => text.to_socket_addrs().map_err(|_| fail())?.next().ok_or_else(fail),
    }
}

/// A name out of a closed list, with a suggestion when it is not in it.
fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let near = nearest(text, names.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    Err(format!("`{text}` is none of {}{}", names.join(", "), near.unwrap_or_default()))
}

fn voters(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| number % 2 == 1 && *number <= MOST_VOTERS);
    number.ok_or_else(|| format!("`{text}` is not 1, 3, 5 or 7"))
}

pub(crate) fn role(text: &str) -> Result<Role, String> {
    one_of(text, &[("validator", Role::Validator), ("business", Role::Business), ("slim", Role::Slim)])
}

fn runtime(text: &str) -> Result<RuntimeKind, String> {
    let choices =
        [("oci", RuntimeKind::Oci), ("docker", RuntimeKind::Docker), ("simulated", RuntimeKind::Simulated)];
    one_of(text, &choices)
}

/// The directory of an authority, by its address or by a name that everybody knows.
fn acme_directory(text: &str) -> Result<String, String> {
    match text {
        "letsencrypt" => Ok("https://acme-v02.api.letsencrypt.org/directory".to_owned()),
        "letsencrypt-staging" => Ok("https://acme-staging-v02.api.letsencrypt.org/directory".to_owned()),
        url if url.starts_with("https://") && url.len() > "https://".len() => Ok(url.to_owned()),
        _ => Err(format!("`{text}` is neither letsencrypt, letsencrypt-staging, nor an https:// address")),
    }
}

/// A directory that means the same from everywhere.
fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(format!("`{text}` is not an absolute path")) }
}

/// `K=V` as written for labels and environment variables.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Ipv4Range, Overcommit, Share, role};

    #[test]
    fn ranges_start_at_their_first_address() {
        assert_eq!("100.64.0.0/10".parse::<Ipv4Range>().unwrap().to_string(), "100.64.0.0/10");
        let error = "100.64.0.1/10".parse::<Ipv4Range>().unwrap_err();
        assert!(error.contains("100.64.0.0/10"), "{error}");
        assert!("10.0.0.0".parse::<Ipv4Range>().is_err());
    }

    #[test]
    fn overcommit_names_what_it_knows() {
        assert_eq!("cpu=2".parse(), Ok(Overcommit { cpu: 2.0, memory: 1.0 }));
        assert!("disk=2".parse::<Overcommit>().is_err());
        assert!("cpu=0".parse::<Overcommit>().is_err());
    }

    #[test]
    fn a_share_says_what_it_says() {
        let share: Share = "cpu=333m,memory=1Gi".parse().unwrap();
        assert_eq!((share.cpu.unwrap().as_millicores(), share.memory.unwrap().get()), (333, 1 << 30));
        assert_eq!(share.disk, None);
        assert!("gpu=1".parse::<Share>().is_err() && "cpu=x".parse::<Share>().is_err());
    }

    #[test]
    fn a_mistyped_role_gets_a_suggestion() {
        assert!(role("validater").unwrap_err().contains("did you mean `validator`?"));
    }
}
