//! `[role.NAME]`: a group of like machines.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use univrs_model::name::{InvalidName, Name};
use univrs_model::node;
use univrs_model::quantity::{Bytes, Cpu};

use super::reader::Reader;
use crate::cloud::{Cloud, RegionId, UnknownCloud};
use crate::codes::Code;
use crate::finding::Finding;

/// What a count is counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// That many in each cloud, spread evenly over its regions.
    Cloud,
    /// That many in each region.
    Region,
    /// That many over all regions.
    Total,
}

/// What a machine runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// A virtual machine.
    Machine,
    /// The provider's container service, without a machine of one's own.
    ContainerGroup,
}

/// How a machine is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Purchase {
    /// By the hour.
    #[serde(rename = "on-demand")]
    OnDemand,
    /// One year committed.
    #[serde(rename = "reserved-1y")]
    Reserved1y,
    /// Three years committed.
    #[serde(rename = "reserved-3y")]
    Reserved3y,
    /// Cheap and taken away at any time.
    #[serde(rename = "spot")]
    Spot,
}

/// Whether a role has addresses on the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    /// Every machine has a public address.
    Public,
    /// None has.
    Private,
}

/// Where a container keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Persistence {
    /// Nowhere: it is gone with the container.
    None,
    /// On a network file share.
    Files,
    /// In object storage.
    Blob,
    /// On a disk of its own.
    Disk,
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Who may reach a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortFrom {
    /// Every region of this topology.
    Mesh,
    /// Everyone.
    Internet,
    /// `network.admin_cidrs`.
    Admin,
    /// One range.
    Range(IpNet),
}

/// One entry of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Who may reach it.
    pub from: PortFrom,
    /// Name of the rule, where the provider has names.
    pub name: Option<String>,
    /// Priority of the rule, where the provider has priorities; lower goes first.
    pub priority: Option<u16>,
    /// Only on hosts of this kind.
    pub only: Option<Host>,
}

/// `autoscale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Autoscale {
    /// At least so many, counted as the role's count is.
    pub min: u32,
    /// At most so many.
    pub max: u32,
    /// Share of the processors in use at which machines are added, 0 to 1.
    pub target_cpu: f64,
}

/// Processors and memory asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Virtual processors.
    pub vcpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Bytes>,
}

/// `univrs`: machines of the role install Univrs and join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnivrsRole {
    /// The roles of the node.
    pub roles: Vec<node::Role>,
    /// The first machine of the role starts the cluster; everybody else joins it.
    pub bootstrap: bool,
}

/// `container`: what runs on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Image reference.
    pub image: String,
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// `always`, `on-failure` or `never`.
    pub restart: String,
    /// Command instead of the image's own.
    pub command: Vec<String>,
}

/// A cloud or one region of it, as in `at` and `except`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Selector {
    /// All regions of a cloud.
    Cloud(Cloud),
    /// One region.
    Region(RegionId),
}

impl Selector {
    /// Whether `region` is meant.
    pub fn takes(&self, region: &RegionId) -> bool {
        match self {
            Self::Cloud(cloud) => region.cloud == *cloud,
            Self::Region(id) => region == id,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cloud(cloud) => cloud.fmt(out),
            Self::Region(id) => id.fmt(out),
        }
    }
}

/// One `[role.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleSpec {
    /// Its name.
    pub name: Name,
    /// How many.
    pub count: u32,
    /// Counted over what.
    pub per: Per,
    /// Only there; everywhere when empty.
    pub at: Vec<Selector>,
    /// Not there.
    pub except: Vec<Selector>,
    /// Machine type by cloud.
    pub machine: BTreeMap<Cloud, String>,
    /// Size of a flexible machine type, or what a machine must have at least where no type is named.
    pub size: Option<Size>,
    /// What the programs on it need, for right-sizing.
    pub needs: Option<Size>,
    /// Size of the disk; the provider's smallest sensible one when absent.
    pub disk: Option<Bytes>,
    /// How it is paid for.
    pub purchase: Purchase,
    /// Whether it may be interrupted, so that spot machines may be proposed.
    pub interruptible: bool,
    /// Installs Univrs and joins.
    pub univrs: Option<UnivrsRole>,
    /// Ports that may be reached.
    pub ports: Vec<PortSpec>,
    /// Number of machines follows the load.
    pub autoscale: Option<Autoscale>,
    /// What it runs as.
    pub host: Host,
    /// What runs on it.
    pub container: Option<ContainerSpec>,
    /// Whether it has public addresses; the planner decides when absent.
    pub expose: Option<Expose>,
    /// Kind of subnet; the planner decides when absent.
    pub tier: Option<String>,
    /// Environment of the container, placeholders not yet filled in.
    pub env: BTreeMap<String, String>,
    /// Where the container keeps its data.
    pub persistence: Persistence,
    /// Labels of the node.
    pub labels: BTreeMap<String, String>,
}

impl RoleSpec {
    /// Whether its machines can be chosen as voters of the replicated state.
    pub fn votes(&self) -> bool {
        self.univrs.as_ref().is_some_and(|univrs| univrs.roles.contains(&node::Role::Validator))
    }
}

impl FromStr for Selector {
    type Err = UnknownCloud;

    fn from_str(text: &str) -> Result<Self, UnknownCloud> {
        if text.contains(':') { text.parse().map(Self::Region) } else { text.parse().map(Self::Cloud) }
    }
}

impl FromStr for PortFrom {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        match text {
            "mesh" => Ok(Self::Mesh),
            "internet" => Ok(Self::Internet),
            "admin" => Ok(Self::Admin),
            _ => text
                .parse::<IpNet>()
                .map(|range| Self::Range(range.trunc()))
                .map_err(|_| BadSource(text.chars().take(80).collect())),
        }
    }
}

/// The text does not say who may come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not say who may come; use mesh, internet, admin or a range such as 198.51.100.0/24")]
pub struct BadSource(String);

/// Counts over what, as written.
pub(super) const PER: [(&str, Per); 3] =
    [("cloud", Per::Cloud), ("region", Per::Region), ("total", Per::Total)];
const HOSTS: [(&str, Host); 2] = [("machine", Host::Machine), ("container-group", Host::ContainerGroup)];
const PURCHASES: [(&str, Purchase); 4] = [
    ("on-demand", Purchase::OnDemand),
    ("reserved-1y", Purchase::Reserved1y),
    ("reserved-3y", Purchase::Reserved3y),
    ("spot", Purchase::Spot),
];

/// Reads one `[role.NAME]`.
pub(super) fn read(name: &str, reader: Reader<'_>) -> Option<RoleSpec> {
    let note = |error: InvalidName| {
        reader.shared.note(Finding::new(Code::BadName, reader.own_path(), error.to_string()));
    };
    let name = name.parse().map_err(note).ok();
    let count = reader.number("count", 0..=100_000);
    if count.is_none() {
        reader.missing("count");
    }
    let machine = reader.keyed("machine", &Cloud::ALL).into_iter().map(|(cloud, (text, _))| (cloud, text));
    let machine = machine.collect();
    let univrs = reader.table("univrs").and_then(read_univrs);
    let ports = reader.tables("ports").into_iter().filter_map(read_port).collect();
    let spec = RoleSpec {
        name: name?,
        count: count.unwrap_or(0),
        per: reader.word("per", &PER).unwrap_or(Per::Total),
        at: reader.list("at"),
        except: reader.list("except"),
        machine,
        size: reader.table("size").map(read_size),
        needs: reader.table("needs").map(read_size),
        disk: reader.quantity("disk"),
        purchase: reader.word("purchase", &PURCHASES).unwrap_or(Purchase::OnDemand),
        interruptible: reader.truth("interruptible").unwrap_or(false),
        univrs,
        ports,
        autoscale: reader.table("autoscale").and_then(read_autoscale),
        host: reader.word("host", &HOSTS).unwrap_or(Host::Machine),
        container: reader.table("container").and_then(read_container),
        expose: reader.word("expose", &[("public", Expose::Public), ("private", Expose::Private)]),
        tier: reader.text("tier"),
        env: reader.texts("env"),
        persistence: reader
            .word(
                "persistence",
                &[
                    ("none", Persistence::None),
                    ("files", Persistence::Files),
                    ("blob", Persistence::Blob),
                    ("disk", Persistence::Disk),
                ],
            )
            .unwrap_or(Persistence::None),
        labels: reader.texts("labels"),
    };
    if spec.disk.is_some_and(|disk| disk < Bytes::mebibytes(1024)) {
        reader.fault(Code::OutOfRange, "disk", "a disk of a machine has at least 1Gi");
    }
    reader.finish();
    Some(spec)
}

fn read_size(reader: Reader<'_>) -> Size {
    let size = Size { vcpu: reader.quantity("vcpu"), memory: reader.quantity("memory") };
    if size.vcpu == Some(Cpu::millicores(0)) {
        reader.fault(Code::OutOfRange, "vcpu", "a machine has more than no processor");
    }
    if size.memory == Some(Bytes::new(0)) {
        reader.fault(Code::OutOfRange, "memory", "a machine has more than no memory");
    }
    reader.finish();
    size
}

fn read_univrs(reader: Reader<'_>) -> Option<UnivrsRole> {
    const ROLES: [(&str, node::Role); 3] = [
        ("validator", node::Role::Validator),
        ("business", node::Role::Business),
        ("slim", node::Role::Slim),
    ];
    let text = reader.text_at("role");
    if reader.raw("role").is_none() {
        reader.missing("role");
    }
    let bootstrap = reader.truth("bootstrap").unwrap_or(false);
    let roles = text.map(|(text, path)| {
        let words = text.split(',').map(str::trim);
        words.filter_map(|word| reader.word_of(word, path.clone(), &ROLES)).collect()
    });
    reader.finish();
    Some(UnivrsRole { roles: roles?, bootstrap })
}

fn read_port(reader: Reader<'_>) -> Option<PortSpec> {
    for key in ["port", "from"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    let port = reader.number("port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    let protocol = reader.word("protocol", &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)]);
    let from = reader.parsed("from");
    let name = reader.text("name");
    let priority = reader.number("priority", 100..=4096).and_then(|priority| u16::try_from(priority).ok());
    let only = reader.word("only", &HOSTS);
    reader.finish();
    Some(PortSpec {
        port: port?,
        protocol: protocol.unwrap_or(Protocol::Tcp),
        from: from?,
        name,
        priority,
        only,
    })
}

fn read_autoscale(reader: Reader<'_>) -> Option<Autoscale> {
    for key in ["min", "max"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    let (min, max) = (reader.number("min", 0..=100_000), reader.number("max", 1..=100_000));
    let target_cpu = reader.share("target_cpu").unwrap_or(0.6);
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        reader.fault(Code::OutOfRange, "max", format!("at most {max} is fewer than at least {min}"));
    }
    reader.finish();
    Some(Autoscale { min: min?, max: max?, target_cpu })
}

fn read_container(reader: Reader<'_>) -> Option<ContainerSpec> {
    if reader.raw("image").is_none() {
        reader.missing("image");
    }
    let image = reader.text("image");
    let cpu = reader.quantity("cpu").unwrap_or(Cpu::millicores(1000));
    let memory = reader.quantity("memory").unwrap_or(Bytes::mebibytes(1024));
    let restart =
        reader.word("restart", &[("always", "always"), ("on-failure", "on-failure"), ("never", "never")]);
    let command = reader.list("command");
    reader.finish();
    Some(ContainerSpec {
        image: image?,
        cpu,
        memory,
        restart: restart.unwrap_or("always").to_owned(),
        command,
    })
}
