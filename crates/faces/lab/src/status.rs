//! What a lab is like now.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::Serialize;

use crate::layout::Seat;
use crate::processes::{Life, life};
use crate::state::{Fate, Lab};

/// A lab as people and programs see it.
#[derive(Clone, Debug, Serialize)]
pub struct LabView {
    /// Its name.
    pub name: String,
    /// A URL of this machine that leads to the API of a live node; needs no token.
    pub api: Option<String>,
    /// How packets between regions are delayed: `relay` or `none`.
    pub delay: &'static str,
    /// Its nodes.
    pub nodes: Vec<NodeView>,
    /// How far regions are apart.
    pub distances: Vec<DistanceView>,
    /// Lines that are cut.
    pub cuts: Vec<CutView>,
    /// Its directory, with the nodes' logs.
    pub dir: PathBuf,
}

/// A node of a lab.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its id in the cluster, once it has one.
    pub id: Option<String>,
    /// Where it stands.
    pub cloud: String,
    /// Where it stands.
    pub region: String,
    /// Where it stands.
    pub zone: String,
    /// What it is for, separated by commas.
    pub role: String,
    /// The process of its daemon.
    pub pid: Option<i32>,
    /// Its address on the underlay.
    pub address: Ipv4Addr,
    /// `running`, `paused`, `killed`, or `gone` when its daemon ended by itself.
    pub state: &'static str,
}

/// How far two regions are apart.
#[derive(Clone, Debug, Serialize)]
pub struct DistanceView {
    /// `cloud:region`.
    pub from: String,
    /// `cloud:region`.
    pub to: String,
    /// Round trip in milliseconds.
    pub rtt_ms: f64,
    /// How it is known: `measured`, `estimated` or `assumed`.
    pub basis: String,
}

/// A line that is cut in one direction.
#[derive(Clone, Debug, Serialize)]
pub struct CutView {
    /// Packets from here
    pub from: String,
    /// do not come here.
    pub to: String,
}

/// What a lab is like now.
pub fn view(lab: &Lab) -> LabView {
    let place = |number: u8| {
        lab.layout.regions.iter().find(|region| region.number == number).map(|region| region.place())
    };
    let distances = lab.layout.distances.iter().filter(|_| lab.delayed).map(|distance| DistanceView {
        from: place(distance.from).unwrap_or_default(),
        to: place(distance.to).unwrap_or_default(),
        rtt_ms: f64::from(distance.micros) / 1000.0,
        basis: distance.basis.clone(),
    });
    let serves = lab.keeper.is_some_and(|keeper| life(keeper) != Life::Gone);
    LabView {
        name: lab.name.clone(),
        api: lab.api_port.filter(|_| serves).map(|port| format!("http://127.0.0.1:{port}")),
        delay: if lab.delayed && serves { "relay" } else { "none" },
        nodes: lab.layout.seats.iter().map(|seat| node(lab, seat)).collect(),
        distances: distances.collect(),
        cuts: (lab.cuts.iter()).map(|(from, to)| CutView { from: from.clone(), to: to.clone() }).collect(),
        dir: lab.dir.clone(),
    }
}

fn node(lab: &Lab, seat: &Seat) -> NodeView {
    let region = lab.layout.region(seat);
    let pid = lab.pids.get(&seat.name).copied().filter(|pid| life(*pid) != Life::Gone);
    let state = match (pid.map(life), lab.fate(&seat.name)) {
        (_, Fate::Killed) => "killed",
        (None, _) => "gone",
        (Some(Life::Stopped), _) => "paused",
        (Some(_), _) => "running",
    };
    NodeView {
        name: seat.name.clone(),
        id: id(lab, &seat.name),
        cloud: region.map(|region| region.cloud.clone()).unwrap_or_default(),
        region: region.map(|region| region.region.clone()).unwrap_or_default(),
        zone: seat.zone.clone(),
        role: seat.role.clone(),
        pid,
        address: seat.address,
        state,
    }
}

fn id(lab: &Lab, node: &str) -> Option<String> {
    let bytes = std::fs::read(lab.data_dir(node).join("node.json")).ok()?;
    let identity: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    identity["node"].as_str().map(str::to_owned)
}
