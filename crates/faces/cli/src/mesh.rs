//! `univrs mesh`: the other nodes, and the encrypted network to them, as the node that answers sees them.

use clap::Subcommand;
use univrs_model::ids::NodeId;
use univrs_model::mesh::{MeshPath, MeshPeer, MeshView};
use univrs_model::peer::PeerStatus;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::table::{Cell, Row, Table, column, print_body, size, wide, word};

/// The other nodes, and the encrypted network to them.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum MeshVerb {
    /// List the other nodes: heard of by gossip, connected as peers, reached through the encrypted network
    Peers,
    /// Say of each other node how it is reached, and what to do where it is not; fails when something is wrong
    Doctor,
}

impl MeshVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Peers => {
                let listing = whole(None, async |page| context.client.peers(&page).await).await?;
                let body = listing.body.clone();
                peers(&listing.decode()?).print(context, &body)?;
                Ok(Exit::Ok)
            }
            Self::Doctor => doctor(context).await,
        }
    }
}

async fn doctor(context: &mut Context<'_>) -> Result<Exit, Fault> {
    let reply = context.client.mesh().await?;
    let view = reply.value()?;
    if let Some(reason) = &view.absent_because {
        if context.for_programs() {
            print_body(context, reply.body())?;
        }
        context.talk(&format!("this node is not in the encrypted network: {reason}"))?;
        return Ok(Exit::CheckFailed);
    }
    tunnels(&view).print(context, reply.body())?;
    let ill = view.peers.iter().filter(|peer| peer.advice.is_some()).count();
    let (of, mtu) = (view.peers.len(), view.mtu.unwrap_or_default());
    context.talk(&format!("{} of {of} peers are well; packets of up to {mtu} bytes", of - ill))?;
    Ok(if ill == 0 { Exit::Ok } else { Exit::CheckFailed })
}

fn peers(peers: &[PeerStatus]) -> Table {
    let columns = vec![
        column("NODE"),
        column("HEARD"),
        column("PEER"),
        column("RTT"),
        column("OVERLAY"),
        column("CLOUD"),
        column("REGION"),
        column("VERSION"),
        column("LOAD"),
        wide("OVERLAY-RTT"),
        wide("LOSS"),
        wide("PEER-ID"),
        wide("ADDRESS"),
    ];
    Table { columns, rows: peers.iter().map(heard).collect() }
}

fn heard(peer: &PeerStatus) -> Row {
    let said = |text: &Option<String>| Cell::from(text.clone().unwrap_or_default());
    let name = peer.name.clone().unwrap_or_else(|| peer.node.to_string());
    let path = peer.path.as_ref().filter(|_| peer.connected).map(word);
    let overlay = peer.overlay.as_ref();
    let tunnel_rtt = overlay.and_then(|tunnel| tunnel.rtt_us).map(|rtt| millis(rtt.into()));
    let loss = overlay.and_then(|tunnel| tunnel.loss_per_mille).map(percent);
    Row {
        id: peer.node.to_string(),
        name: name.clone(),
        cells: vec![
            name.into(),
            Cell::State(peer.standing.as_ref().map(word).unwrap_or_default()),
            path.unwrap_or_default().into(),
            peer.rtt_us.map(millis).unwrap_or_default().into(),
            Cell::State(overlay.map(|tunnel| word(&tunnel.path)).unwrap_or_default()),
            said(&peer.cloud),
            said(&peer.region),
            said(&peer.version),
            peer.load.map(percent).unwrap_or_default().into(),
            tunnel_rtt.unwrap_or_default().into(),
            loss.unwrap_or_default().into(),
            said(&peer.peer),
            said(&peer.address),
        ],
    }
}

/// Microseconds as milliseconds with one digit behind the point.
fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

/// Thousandths as a percentage.
fn percent(thousandths: u32) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn tunnels(view: &MeshView) -> Table {
    let columns = vec![
        column("NODE"),
        column("PATH"),
        column("RTT"),
        column("MTU"),
        column("HANDSHAKE"),
        column("LOSS"),
        wide("BLOCK"),
        wide("ENDPOINT"),
        wide("RECEIVED"),
        wide("SENT"),
        column("WHAT TO DO"),
    ];
    Table { columns, rows: view.peers.iter().map(|peer| row(peer, view)).collect() }
}

fn row(peer: &MeshPeer, view: &MeshView) -> Row {
    let name = |node: &NodeId| {
        let known = view.peers.iter().find(|peer| peer.node == *node);
        known.map_or_else(|| node.to_string(), |peer| peer.name.clone())
    };

    let path = match peer.path {
        MeshPath::Direct => "direct".to_owned(),
        MeshPath::Punched => "punched".to_owned(),
        MeshPath::Relayed => {
            peer.via.as_ref().map_or("relayed".to_owned(), |via| format!("relayed by {}", name(via)))
        }
        MeshPath::None => "none".to_owned(),
    };
    let rtt = peer.rtt_micros.map(|micros| millis(micros.into()));
    let loss = peer.loss_per_mille.map(percent);
    let handshake = peer.handshake_age.map(|age| format!("{age}s ago"));
    let mtu = peer.mtu.map(|mtu| mtu.to_string());
    Row {
        id: peer.node.to_string(),
        name: peer.name.clone(),
        cells: vec![
            peer.name.as_str().into(),
            Cell::State(path),
            rtt.unwrap_or_default().into(),
            mtu.unwrap_or_default().into(),
            handshake.unwrap_or_default().into(),
            loss.unwrap_or_default().into(),
            peer.block.as_str().into(),
            peer.endpoint.clone().unwrap_or_default().into(),
            size(peer.received).into(),
            size(peer.sent).into(),
            peer.advice.clone().unwrap_or_default().into(),
        ],
    }
}
