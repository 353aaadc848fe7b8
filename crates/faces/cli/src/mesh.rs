//! `univrs mesh`: the other nodes as the node that is asked hears and reaches them.

use clap::Subcommand;
use univrs_model::peer::PeerStatus;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::table::{Cell, Row, Table, column, word};

/// The mesh of nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum MeshVerb {
    /// List the other nodes: heard of by gossip, connected as peers
    Peers,
}

impl MeshVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Peers => {
                let listing = whole(None, async |page| context.client.peers(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(peers: &[PeerStatus]) -> Table {
    let columns = ["NAME", "NODE", "HEARD", "PEER", "RTT", "CLOUD", "REGION", "VERSION"].map(column).to_vec();
    let row = |peer: &PeerStatus| {
        let said = |text: &Option<String>| Cell::from(text.clone().unwrap_or_else(|| "-".to_owned()));
        let path = match (peer.connected, peer.path) {
            (true, Some(path)) => word(&path),
            _ => "-".to_owned(),
        };
        let rtt = peer.rtt_us.map_or("-".to_owned(), |rtt| format!("{}.{} ms", rtt / 1000, rtt % 1000 / 100));
        Row {
            id: peer.node.to_string(),
            name: peer.name.clone().unwrap_or_else(|| peer.node.to_string()),
            cells: vec![
                said(&peer.name),
                peer.node.as_str().into(),
                Cell::State(peer.standing.as_ref().map_or("-".to_owned(), word)),
                path.into(),
                rtt.into(),
                said(&peer.cloud),
                said(&peer.region),
                said(&peer.version),
            ],
        }
    };
    Table { columns, rows: peers.iter().map(row).collect() }
}
