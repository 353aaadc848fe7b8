//! `univrs mesh`: the encrypted network between nodes, as the node that answers sees it.

use clap::Subcommand;
use univrs_model::mesh::{MeshPath, MeshPeer, MeshView};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::{Cell, Row, Table, column, print_body, size, wide};

/// The encrypted network between nodes.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum MeshVerb {
    /// List the other nodes of the network
    Peers,
    /// Say of each other node how it is reached, and what to do where it is not; fails when something is wrong
    Doctor,
}

impl MeshVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.mesh().await?;
        let view = reply.value()?;
        if let Some(reason) = &view.absent_because {
            if context.for_programs() {
                print_body(context, reply.body())?;
            }
            context.talk(&format!("this node is not in the encrypted network: {reason}"))?;
            return Ok(if matches!(self, Self::Doctor) { Exit::CheckFailed } else { Exit::Ok });
        }
        table(&view, matches!(self, Self::Doctor)).print(context, reply.body())?;
        if matches!(self, Self::Peers) {
            return Ok(Exit::Ok);
        }
        let ill = view.peers.iter().filter(|peer| peer.advice.is_some()).count();
        let (of, mtu) = (view.peers.len(), view.mtu.unwrap_or_default());
        context.talk(&format!("{} of {of} peers are well; packets of up to {mtu} bytes", of - ill))?;
        Ok(if ill == 0 { Exit::Ok } else { Exit::CheckFailed })
    }
}

fn table(view: &MeshView, advise: bool) -> Table {
    let mut columns = vec![
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
    ];
    if advise {
        columns.push(column("WHAT TO DO"));
    }
    Table { columns, rows: view.peers.iter().map(row).collect() }
}

fn row(peer: &MeshPeer) -> Row {
    let path = match peer.path {
        MeshPath::Direct => "direct",
        MeshPath::None => "none",
    };
    let tenths = |value: u32| format!("{}.{}", value / 10, value % 10);
    let rtt = peer.rtt_micros.map(|micros| format!("{} ms", tenths(micros / 100)));
    let loss = peer.loss_per_mille.map(|loss| format!("{} %", tenths(loss)));
    let handshake = peer.handshake_age.map(|age| format!("{age}s ago"));
    let mtu = peer.mtu.map(|mtu| mtu.to_string());
    Row {
        id: peer.node.to_string(),
        name: peer.name.clone(),
        cells: vec![
            peer.name.as_str().into(),
            Cell::State(path.to_owned()),
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
