//! `[network]`, `[[region]]` and `[[link]]`.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use univrs_model::decode::nearest;
use univrs_model::name::Name;

use super::reader::Reader;
use crate::cloud::{Cloud, RegionId, UnknownCloud};
use crate::codes::Code;
use crate::finding::Finding;
use crate::source::Value;

/// How regions reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeshKind {
    /// Every region reaches every other through WireGuard.
    WireGuard,
    /// They do not, but for stated links.
    None,
}

/// How machines without a public address reach the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NatKind {
    /// Not at all.
    None,
    /// Through one gateway of their region.
    Region,
    /// Through one gateway in each zone.
    Zone,
}

/// A kind of subnet: every zone of every region has one of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Its name: `public`, `private` and `database` have their usual meaning, others are free.
    pub name: String,
    /// Prefix length of each subnet.
    pub prefix: u8,
}

/// `[network]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// How regions reach each other.
    pub mesh: MeshKind,
    /// Range of the addresses inside the mesh; 100.64.0.0/10 when not stated.
    pub mesh_cidr: Ipv4Net,
    /// UDP port of WireGuard.
    pub mesh_port: u16,
    /// Kinds of subnets in the order of the file; empty when the file leaves them to the planner.
    pub subnets: Vec<Tier>,
    /// Who may reach SSH and the API.
    pub admin_cidrs: Vec<IpNet>,
    /// Ranges in use elsewhere that must stay free.
    pub reserved: Vec<Ipv4Net>,
    /// Where ranges for regions without one are taken from; 10.0.0.0/8 when not stated.
    pub range: Ipv4Net,
    /// Prefix length of a region's range when it states none; 16 when not stated.
    pub region_prefix: u8,
    /// How machines without a public address reach the internet.
    pub nat: NatKind,
}

/// Which zones of a region are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ZoneChoice {
    /// The first so many.
    Count(u32),
    /// These.
    Named(Vec<String>),
}

/// One `[[region]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionSpec {
    /// Cloud and name.
    pub id: RegionId,
    /// Its address range, if stated.
    pub cidr: Option<Ipv4Net>,
    /// Its zones, if stated.
    pub zones: Option<ZoneChoice>,
    /// Names of things at the provider, such as `resource_group`, with `{name}` and `{environment}` filled in.
    pub names: BTreeMap<String, String>,
    /// Whose account, subscription or project, if not the default one.
    pub account: Option<String>,
    /// Where it stands in the file.
    pub path: String,
}

/// The kind of a stated connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// Two networks of one cloud, joined by the provider.
    Peering,
    /// IPsec between the gateways of two providers or regions.
    Vpn,
}

/// One `[[link]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// What it is.
    pub kind: LinkKind,
    /// Its two ends.
    pub between: (RegionId, RegionId),
    /// Tunnels of a VPN; 2 when not stated.
    pub tunnels: u8,
    /// Where it stands in the file.
    pub path: String,
}

impl LinkSpec {
    /// Whether both ends are of one cloud.
    pub fn same_cloud(&self) -> Option<Cloud> {
        (self.between.0.cloud == self.between.1.cloud).then_some(self.between.0.cloud)
    }
}

const MESH_RANGE: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(100, 64, 0, 0), 10);
const RANGE: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8);

/// Reads `[network]`.
pub(super) fn read(reader: Reader<'_>) -> NetworkSpec {
    let mesh = reader.word("mesh", &[("wireguard", MeshKind::WireGuard), ("none", MeshKind::None)]);
    let mesh_cidr = range(&reader, "mesh_cidr");
    let mesh_port = reader.number("mesh_port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    let mut subnets: Vec<Tier> = Vec::new();
    for (name, prefix) in reader.numbers::<Name>("subnets", 8..=29) {
        subnets.push(Tier { name: name.to_string(), prefix: u8::try_from(prefix).unwrap_or(29) });
    }
    if subnets.len() > 16 {
        reader.fault(Code::OutOfRange, "subnets", "there are at most 16 kinds of subnets");
        subnets.truncate(16);
    }
    let admin = reader.listed::<IpNet>("admin_cidrs");
    for (range, path) in &admin {
        let widest = if range.addr().is_ipv4() { 8 } else { 16 };
        if range.prefix_len() < widest {
            let message = format!("{range} lets a large part of the world reach SSH and the API");
            let hint = "name the addresses of your own networks, such as 203.0.113.0/24";
            reader.shared.note(Finding::new(Code::AdminOpen, path.clone(), message).hint(hint));
        }
    }
    let reserved = reader.list::<Ipv4Net>("reserved").iter().map(Ipv4Net::trunc).collect();
    let pool = range(&reader, "range");
    let region_prefix = reader.number("region_prefix", 9..=28).and_then(|prefix| u8::try_from(prefix).ok());
    let nat =
        reader.word("nat", &[("none", NatKind::None), ("region", NatKind::Region), ("zone", NatKind::Zone)]);
    let spec = NetworkSpec {
        mesh: mesh.unwrap_or(MeshKind::None),
        mesh_cidr: mesh_cidr.unwrap_or(MESH_RANGE),
        mesh_port: mesh_port.unwrap_or(51_820),
        subnets,
        admin_cidrs: admin.into_iter().map(|(range, _)| range.trunc()).collect(),
        reserved,
        range: pool.unwrap_or(RANGE),
        region_prefix: region_prefix.unwrap_or(16),
        nat: nat.unwrap_or(NatKind::Region),
    };
    if spec.region_prefix <= spec.range.prefix_len() {
        let message = format!("a region of /{} does not fit into {}", spec.region_prefix, spec.range);
        reader.fault(Code::OutOfRange, "region_prefix", message);
    }
    reader.finish();
    spec
}

/// A range that is written by its first address.
fn range(reader: &Reader<'_>, key: &'static str) -> Option<Ipv4Net> {
    let (text, path) = reader.text_at(key)?;
    let Ok(range) = text.parse::<Ipv4Net>() else {
        let message = format!("`{}` is not an IPv4 range", text.chars().take(80).collect::<String>());
        reader.shared.note(Finding::new(Code::BadValue, path, message).hint("write 10.0.0.0/16"));
        return None;
    };
    if range.addr() != range.network() {
        let message = format!("{range} does not begin a range of that size");
        reader
            .shared
            .note(Finding::new(Code::BadValue, path, message).hint(format!("write {}", range.trunc())));
        return None;
    }
    Some(range)
}

/// Reads one `[[region]]`.
pub(super) fn read_region(reader: Reader<'_>) -> Option<RegionSpec> {
    for key in ["cloud", "name"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    let cloud = reader.text_at("cloud").and_then(|(text, path)| {
        let near = nearest(&text, Cloud::ALL.iter().map(|cloud| cloud.as_str()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        let note = |error: UnknownCloud| {
            reader.shared.note(Finding::new(Code::UnknownCloud, path, error.to_string()).maybe_hint(hint));
        };
        text.parse::<Cloud>().map_err(note).ok()
    });
    let name = reader.text("name");
    let cidr = range(&reader, "cidr");
    let zones = match reader.raw("zones").map(|node| &node.value) {
        Some(Value::List(_)) => Some(ZoneChoice::Named(reader.list("zones"))),
        _ => reader.number("zones", 1..=6).map(ZoneChoice::Count),
    };
    let (names, account) = (reader.texts("names"), reader.text("account"));
    let path = reader.own_path().to_owned();
    reader.finish();
    Some(RegionSpec { id: RegionId::new(cloud?, name?), cidr, zones, names, account, path })
}

/// Reads one `[[link]]`.
pub(super) fn read_link(reader: Reader<'_>) -> Option<LinkSpec> {
    for key in ["kind", "between"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    let kind = reader.word("kind", &[("peering", LinkKind::Peering), ("vpn", LinkKind::Vpn)]);
    let ends: Vec<RegionId> = reader.list("between");
    let tunnels = reader.number("tunnels", 1..=8).and_then(|tunnels| u8::try_from(tunnels).ok());
    let between = <[RegionId; 2]>::try_from(ends);
    if between.is_err() && reader.raw("between").is_some() {
        let message = "a link is between two regions; write [\"aws:us-east-1\", \"gcp:us-west1\"]";
        reader.fault(Code::BadLink, "between", message);
    }
    let path = reader.own_path().to_owned();
    reader.finish();
    let [first, second] = between.ok()?;
    Some(LinkSpec { kind: kind?, between: (first, second), tunnels: tunnels.unwrap_or(2), path })
}
