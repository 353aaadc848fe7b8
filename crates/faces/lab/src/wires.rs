//! The wires of a lab: a router with a bridge for each region, a link to each node, and the rules that cut.
//!
//! In the router, packets from one region to another are routed, and packets within a region are bridged; the rules
//! are in both places.

use std::fmt::Write;

use crate::error::LabError;
use crate::layout::{Nat, Region, Seat};
use crate::namespace;
use crate::state::Lab;
use crate::tool;

/// The interface of the relay in the router.
pub(crate) const RELAY: &str = "relay";
/// The link of a hidden node's router to the underlay.
const OUTSIDE: &str = "wan";
/// The routing table of packets that come from a region.
const RELAY_TABLE: u32 = 100;
/// The largest packet of the underlay.
pub(crate) const MTU: u16 = 1500;

/// Makes the router and a namespace with a link for each node.
pub(crate) fn make(lab: &Lab) -> Result<(), LabError> {
    let router = lab.router();
    namespace::create(&router)?;
    for seat in &lab.layout.seats {
        namespace::create(&lab.namespace(&seat.name))?;
        if seat.nat.is_some() {
            namespace::create(&lab.hiding(seat))?;
        }
    }
    let mut commands = String::from("link set dev lo up\n");
    for region in &lab.layout.regions {
        let (bridge, gateway) = (bridge(region), region.gateway());
        // Writing to a string cannot fail.
        let _ = writeln!(commands, "link add name {bridge} type bridge\naddr add {gateway}/24 dev {bridge}");
        let _ = writeln!(commands, "link set dev {bridge} up");
    }
    for seat in &lab.layout.seats {
        let (link, (outside, namespace)) = (link(seat), outermost(lab, seat));
        let _ = writeln!(commands, "link add name {link} type veth peer name {outside} netns {namespace}");
        let _ = writeln!(commands, "link set dev {link} master r{} up", seat.region);
    }
    tool::ip_in(&router, &commands)?;
    for seat in &lab.layout.seats {
        let gateway = lab.layout.region(seat).map(Region::gateway);
        let (outside, namespace) = outermost(lab, seat);
        let mut commands = format!(
            "link set dev lo up\naddr add {}/24 dev {outside}\nlink set dev {outside} up\n",
            seat.address
        );
        if let Some(gateway) = gateway {
            let _ = writeln!(commands, "route add default via {gateway}");
        }
        tool::ip_in(&namespace, &commands)?;
        if let Some(nat) = seat.nat {
            hide(lab, seat, nat)?;
        }
    }
    namespace::inside(&router, || {
        for (setting, value) in
            [("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/all/send_redirects", "0")]
        {
            let path = format!("/proc/sys/net/ipv4/{setting}");
            std::fs::write(&path, value).map_err(LabError::file("write", path))?;
        }
        Ok(())
    })??;
    cut(lab)
}

/// The namespace that has a seat's address on the underlay, and the name of its link there.
fn outermost(lab: &Lab, seat: &Seat) -> (&'static str, String) {
    match seat.nat {
        None => ("eth0", lab.namespace(&seat.name)),
        Some(_) => (OUTSIDE, lab.hiding(seat)),
    }
}

/// Puts a node behind its router.
fn hide(lab: &Lab, seat: &Seat, nat: Nat) -> Result<(), LabError> {
    let (hiding, node, (router, own)) = (lab.hiding(seat), lab.namespace(&seat.name), seat.behind());
    let commands = format!(
        "link add name lan type veth peer name eth0 netns {node}\naddr add {router}/24 dev lan\nlink set dev lan up\n"
    );
    tool::ip_in(&hiding, &commands)?;
    let commands = format!(
        "link set dev lo up\naddr add {own}/24 dev eth0\nlink set dev eth0 up\nroute add default via {router}\n"
    );
    tool::ip_in(&node, &commands)?;
    namespace::inside(&hiding, || {
        let path = "/proc/sys/net/ipv4/ip_forward";
        std::fs::write(path, "1").map_err(LabError::file("write", path))
    })??;
    tool::nft_in(&hiding, &hiding_rules(nat))
}

/// The rules of a router that hides a node. What nobody asked for is dropped before the kernel remembers it: else its
/// place would be taken when the node speaks with whoever sent it, and no hole could be made.
fn hiding_rules(nat: Nat) -> String {
    let how = match nat {
        Nat::Plain => "masquerade",
        Nat::Symmetric => "masquerade fully-random",
    };
    format!(
        "table ip nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        oifname \"{OUTSIDE}\" {how}
    }}
    chain input {{
        type filter hook input priority 0
        iifname \"{OUTSIDE}\" ct state new drop
    }}
    chain forward {{
        type filter hook forward priority 0
        iifname \"{OUTSIDE}\" ct state new drop
    }}
}}
"
    )
}

/// Leads packets from one region to another through the relay, whose interface is there by now.
pub(crate) fn through_relay(lab: &Lab) -> Result<(), LabError> {
    let mut commands =
        format!("link set dev {RELAY} mtu {MTU} up\nroute replace default dev {RELAY} table {RELAY_TABLE}\n");
    for region in &lab.layout.regions {
        let _ = writeln!(commands, "rule add iif {} lookup {RELAY_TABLE}", bridge(region));
    }
    tool::ip_in(&lab.router(), &commands)
}

/// Connects a node to the world, or pulls its plug.
pub(crate) fn plug(lab: &Lab, seat: &Seat, connected: bool) -> Result<(), LabError> {
    let state = if connected { "up" } else { "down" };
    tool::ip_in(&lab.router(), &format!("link set dev {} {state}\n", link(seat)))
}

/// Makes the rules what the lab says is cut.
pub(crate) fn cut(lab: &Lab) -> Result<(), LabError> {
    let address =
        |node: &String| lab.layout.seats.iter().find(|seat| seat.name == *node).map(|seat| seat.address);
    let pairs: Vec<String> = (lab.cuts.iter())
        .filter_map(|(from, to)| Some(format!("{} . {}", address(from)?, address(to)?)))
        .collect();
    tool::nft_in(&lab.router(), &rules(&pairs))
}

/// The rules as nft reads them: pairs of source and destination that are dropped.
fn rules(pairs: &[String]) -> String {
    let elements =
        if pairs.is_empty() { String::new() } else { format!("elements = {{ {} }}\n", pairs.join(", ")) };
    let mut script = String::new();
    for family in ["ip", "bridge"] {
        let _ = write!(
            script,
            "table {family} lab
delete table {family} lab
table {family} lab {{
    set cut {{
        type ipv4_addr . ipv4_addr
        {elements}
    }}
    chain forward {{
        type filter hook forward priority 0
        ip saddr . ip daddr @cut drop
    }}
}}
"
        );
    }
    script
}

fn bridge(region: &Region) -> String {
    format!("r{}", region.number)
}

fn link(seat: &Seat) -> String {
    format!("v{}", seat.number)
}
