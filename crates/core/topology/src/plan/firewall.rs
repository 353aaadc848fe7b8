//! Security rules of a role's machines: what the file opens, and what Univrs and the mesh need.

use std::collections::BTreeSet;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::build::{Context, NODE_PORT};
use super::machines::applies;
use super::seat::Seat;
use super::{Direction, Rule, RuleReason, SecurityGroup};
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{Host, PortFrom, Protocol};

/// Port of libp2p.
const P2P_PORT: u16 = 9000;
/// Ports that `admin_cidrs` may reach on machines with Univrs: SSH and the API.
const ADMIN_PORTS: [(u16, &str); 2] = [(22, "admin-ssh"), (8080, "admin-api")];

/// Security groups of the region with that index, one for each role.
pub(super) fn groups(context: &Context<'_>, index: usize, findings: &mut Findings) -> Vec<SecurityGroup> {
    let first_of_role = |seat: &Seat<'_>| seat.role.placements.first().is_some_and(|p| p.region == index);
    let groups = context.seats[index].iter().map(|seat| {
        if first_of_role(seat) {
            unguarded(seat, findings);
        }
        group(context, seat)
    });
    groups.collect()
}

/// Whether nothing can stand in front of the ports: a container group with a public address.
fn is_unguarded(seat: &Seat<'_>) -> bool {
    seat.role.spec.host == Host::ContainerGroup && seat.public_ip
}

/// Says which of the stated rules cannot be enforced.
fn unguarded(seat: &Seat<'_>, findings: &mut Findings) {
    if !is_unguarded(seat) {
        return;
    }
    let spec = &seat.role.spec;
    for (index, port) in spec.ports.iter().enumerate() {
        let name = port.name.clone().unwrap_or_else(|| format!("port {}", port.port));
        let message = if applies(port, spec.host) {
            format!(
                "{name} cannot guard a container group with a public address: port {} is open to all",
                port.port
            )
        } else {
            format!("{name} needs a machine: port {} is not open on a container group", port.port)
        };
        let finding =
            Finding::new(Code::RuleNotEnforced, format!("role.{}.ports[{index}]", spec.name), message);
        findings.push(finding.hint("write host = \"machine\", or expose = \"private\""));
    }
}

fn sources(context: &Context<'_>, from: &PortFrom) -> Vec<IpNet> {
    match from {
        PortFrom::Internet => vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())],
        PortFrom::Admin => context.topology.network().admin_cidrs.clone(),
        PortFrom::Range(range) => vec![*range],
        PortFrom::Mesh => {
            let regions = context.ranges.iter().map(|(range, _)| IpNet::V4(*range));
            let mesh = context.mesh().then_some(IpNet::V4(context.topology.network().mesh_cidr));
            regions.chain(mesh).collect()
        }
    }
}

fn group(context: &Context<'_>, seat: &Seat<'_>) -> SecurityGroup {
    let spec = &seat.role.spec;
    let enforced = !is_unguarded(seat);
    let mut rules = Rules { context, enforced, rules: Vec::new(), priorities: BTreeSet::new() };
    let stated: Vec<_> = spec.ports.iter().filter(|port| applies(port, spec.host)).collect();
    rules.priorities.extend(stated.iter().filter_map(|port| port.priority));
    for port in stated {
        let from = match &port.from {
            PortFrom::Mesh => "mesh",
            PortFrom::Internet => "internet",
            PortFrom::Admin => "admin",
            PortFrom::Range(_) => "range",
        };
        let protocol = if port.protocol == Protocol::Tcp { "tcp" } else { "udp" };
        let name = port.name.clone().unwrap_or_else(|| format!("{from}-{protocol}-{}", port.port));
        rules.add(name, port.priority, port.protocol, port.port, &port.from, RuleReason::Stated);
    }
    if spec.univrs.is_some() && spec.host == Host::Machine {
        // Nodes in other clouds come from public addresses that are not known beforehand. The ports speak
        // authenticated protocols only.
        let from = if seat.public_ip || seat.gateway { PortFrom::Internet } else { PortFrom::Mesh };
        for (name, protocol, port) in [
            ("univrs-node-tcp", Protocol::Tcp, NODE_PORT),
            ("univrs-node-udp", Protocol::Udp, NODE_PORT),
            ("univrs-p2p-udp", Protocol::Udp, P2P_PORT),
            ("univrs-p2p-tcp", Protocol::Tcp, P2P_PORT),
        ] {
            rules.add(name.into(), None, protocol, port, &from, RuleReason::Univrs);
        }
        for (port, name) in ADMIN_PORTS {
            rules.add(name.into(), None, Protocol::Tcp, port, &PortFrom::Admin, RuleReason::Admin);
        }
    }
    if context.mesh() && spec.host == Host::Machine && (seat.gateway || spec.univrs.is_some()) {
        let from = if seat.public_ip || seat.gateway { PortFrom::Internet } else { PortFrom::Mesh };
        let port = context.topology.network().mesh_port;
        rules.add("mesh-wireguard".into(), None, Protocol::Udp, port, &from, RuleReason::Mesh);
    }
    let mut rules = rules.rules;
    rules.sort_by_key(|rule| rule.priority);
    SecurityGroup { role: spec.name.clone(), rules }
}

struct Rules<'a> {
    context: &'a Context<'a>,
    enforced: bool,
    rules: Vec<Rule>,
    priorities: BTreeSet<u16>,
}

impl Rules<'_> {
    /// Adds a rule, unless it lets nobody in or is there already.
    fn add(
        &mut self,
        name: String,
        priority: Option<u16>,
        protocol: Protocol,
        port: u16,
        from: &PortFrom,
        reason: RuleReason,
    ) {
        let sources = sources(self.context, from);
        let same = |rule: &Rule| (rule.protocol, rule.port) == (protocol, port) && rule.sources == sources;
        if sources.is_empty() || self.rules.iter().any(same) {
            return;
        }
        let priority =
            priority.or_else(|| (100..4096).step_by(10).find(|number| !self.priorities.contains(number)));
        let priority = priority.unwrap_or(4096);
        self.priorities.insert(priority);
        let named = self.rules.iter().filter(|rule| rule.name == name).count();
        let name = if named == 0 { name } else { format!("{name}-{priority}") };
        let (direction, enforced) = (Direction::In, self.enforced);
        self.rules.push(Rule { name, priority, direction, protocol, port, sources, reason, enforced });
    }
}
