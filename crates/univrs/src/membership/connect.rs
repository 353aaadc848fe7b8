//! From the address of a peer to the address where machines join.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use univrs_mesh::discovery::{Options, PeerKey, Peers};
use univrs_model::ids::NodeId;
use univrs_ports::discovery::{Admission, Discovery};

use crate::failure::Failure;

/// How long to wait before asking again.
const RETRY: Duration = Duration::from_secs(2);

/// A machine that has not joined believes nobody, and needs to: the join token names the authority.
struct Nobody;

impl Admission for Nobody {
    fn admit(&self, _: &str, _: &NodeId) -> Result<(), String> {
        Err("this machine has not joined".to_owned())
    }
}

/// Where to join, as the first peer says that answers; asks until one does. An address that is none fails at once.
pub(crate) async fn where_to_join(key: PeerKey, addresses: &[String]) -> Result<String, Failure> {
    let start = |reason: String| Failure::Connect { reason };
    let visitor = Options::visitor(key, &crate::program::release::own().version);
    let peers = Peers::start(visitor, Arc::new(Nobody)).await.map_err(|error| start(error.to_string()))?;
    let mut told = false;
    loop {
        for address in addresses {
            match peers.ask(address).await {
                Ok(record) => match record.join {
                    Some(join) => {
                        tracing::info!(address, join, cluster = ?record.cluster, "a peer says where to join");
                        peers.stop().await;
                        return Ok(join);
                    }
                    None => tracing::warn!(address, "the peer there belongs to no cluster; asking again"),
                },
                Err(reason) if reason.contains("is not a multiaddress") => return Err(start(reason)),
                Err(reason) if !told => {
                    told = true;
                    tracing::warn!(reason, "no peer has answered yet; asking again");
                }
                Err(_) => {}
            }
        }
        sleep(RETRY).await;
    }
}

/// Dials the peers that were named at the start until each has answered once; the bridge keeps up what comes of it.
pub(super) async fn greet(discovery: Arc<dyn Discovery>, mut addresses: Vec<String>) {
    while !addresses.is_empty() {
        let mut silent = Vec::new();
        for address in addresses {
            if let Err(reason) = discovery.ask(&address).await {
                tracing::debug!(address, reason, "a peer has not answered yet");
                silent.push(address);
            }
        }
        addresses = silent;
        if !addresses.is_empty() {
            sleep(RETRY).await;
        }
    }
}
