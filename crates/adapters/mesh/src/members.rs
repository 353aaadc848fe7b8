//! Membership by gossip: every node's facts reach every node, and silence is noticed within seconds.

pub mod channel;
mod exchange;
mod facts;
pub mod quic;
mod stall;
pub mod tiers;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chitchat::transport::Transport;
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion, spawn_chitchat,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use univrs_model::ids::{ClusterId, NodeId};
use univrs_ports::membership::{Facts, Member, Members, Membership};

use channel::{Carried, Channel};
use view::View;

/// Letters of a node's id that gossip calls it by; the whole id is among its facts.
const SHORT: usize = 8;

/// How fast nodes gossip and how patient they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Time between rounds; in each a node talks to three others.
    pub round: Duration,
    /// Silence of this many usual intervals is suspicious.
    pub threshold: f64,
    /// The interval expected before any was seen. It counts as five samples, so that a newcomer is not suspected early.
    pub first_interval: Duration,
    /// Longer intervals are not learnt from: they are outages, not a slow heart. A silence of `threshold` times this is
    /// always noticed, however slow the network was before.
    pub longest_interval: Duration,
    /// How many intervals are remembered. Few, so that the detector follows a network that gets better or worse.
    pub samples: usize,
    /// A suspect is dead after this time.
    pub dead_after: Duration,
    /// The dead are forgotten after this time.
    pub forget_after: Duration,
}

impl Default for Pace {
    /// Measured with 50 nodes by `tests/mesh/detector.rs`: faster rounds would cost more than 15 kB/s for each node.
    fn default() -> Self {
        Self {
            round: Duration::from_millis(270),
            threshold: 7.5,
            first_interval: Duration::from_millis(500),
            longest_interval: Duration::from_millis(1500),
            samples: 200,
            dead_after: Duration::from_secs(10),
            forget_after: Duration::from_secs(3600),
        }
    }
}

/// What is needed to take part.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who this is.
    pub node: NodeId,
    /// Greater at each start of the node, such as the time of the start in milliseconds.
    pub incarnation: u64,
    /// The cluster; messages of another are refused. With more than one domain, the domain's name follows.
    pub cluster: ClusterId,
    /// Which domain of the cluster, see [`crate::domains`]; empty when there is one.
    pub domain: String,
    /// Where others send gossip to.
    pub address: SocketAddr,
    /// Whom to talk to first.
    pub seeds: Vec<SocketAddr>,
    /// What this node says of itself.
    pub facts: Facts,
    /// How fast.
    pub pace: Pace,
}

/// Why gossip did not start.
#[derive(Debug, thiserror::Error)]
#[error("gossip did not start at {address}: {reason}")]
pub struct StartError {
    address: SocketAddr,
    reason: String,
}

/// This node's part in the gossip. Dropping it falls silent without a goodbye.
pub struct Gossip {
    node: NodeId,
    round: Duration,
    handle: ChitchatHandle,
    members: watch::Receiver<Members>,
    others: watch::Receiver<Members>,
    /// This node said something new of itself.
    said: Arc<Notify>,
    watcher: JoinHandle<()>,
}

impl Gossip {
    /// Takes part over an authenticated channel.
    ///
    /// # Errors
    /// When the channel cannot be used.
    pub async fn start(options: Options, channel: Arc<dyn Channel>) -> Result<Self, StartError> {
        Self::start_over(options, &Carried::new(channel)).await
    }

    /// Takes part over a transport of chitchat's own kind; tests bring simulated networks.
    ///
    /// # Errors
    /// When the transport cannot be opened.
    pub async fn start_over(options: Options, transport: &dyn Transport) -> Result<Self, StartError> {
        let Options { node, incarnation, cluster, domain, address, seeds, facts, pace } = options;
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new(short(&node), incarnation, address),
            cluster_id: if domain.is_empty() { cluster.to_string() } else { format!("{cluster}/{domain}") },
            gossip_interval: pace.round,
            listen_addr: address,
            seed_nodes: seeds.iter().map(SocketAddr::to_string).collect(),
            failure_detector_config: FailureDetectorConfig {
                phi_threshold: pace.threshold,
                sampling_window_size: pace.samples,
                max_interval: pace.longest_interval,
                initial_interval: pace.first_interval,
                dead_node_grace_period: pace.forget_after,
            },
            marked_for_deletion_grace_period: Duration::from_secs(600),
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: ProtocolVersion::V1,
        };
        let initial = facts::told(&node, &facts);
        let handle = spawn_chitchat(config, initial, transport)
            .await
            .map_err(|error| StartError { address, reason: format!("{error:#}") })?;
        let (publish, members) = watch::channel(Members::default());
        let (say, others) = watch::channel(Members::default());
        let said = Arc::new(Notify::new());
        let watcher = tokio::spawn(observe(handle.chitchat(), pace, Arc::clone(&said), publish, say));
        Ok(Self { node, round: pace.round, handle, members, others, said, watcher })
    }

    /// Nodes of other domains, as nodes say that belong to both.
    fn others(&self) -> watch::Receiver<Members> {
        self.others.clone()
    }

    /// Says who is in another domain; it replaces what was said before.
    async fn tell_of(&self, others: impl Iterator<Item = &Member>) {
        let said: BTreeMap<String, String> = others.map(facts::of).collect();
        self.handle
            .with_chitchat(|chitchat| {
                let own = chitchat.self_node_state();
                let known = own.key_values().map(|(key, _)| key).filter(|key| facts::is_of(key));
                let gone: Vec<String> =
                    known.filter(|key| !said.contains_key(*key)).map(str::to_owned).collect();
                gone.iter().for_each(|key| own.delete(key));
                said.iter().for_each(|(key, value)| own.set(key, value));
            })
            .await;
        self.said.notify_one();
    }
}

#[async_trait]
impl Membership for Gossip {
    async fn publish(&self, facts: Facts) {
        let told = facts::told(&self.node, &facts);
        self.handle
            .with_chitchat(|chitchat| {
                let own = chitchat.self_node_state();
                told.iter().for_each(|(key, value)| own.set(key, value));
            })
            .await;
        self.said.notify_one();
    }

    fn members(&self) -> watch::Receiver<Members> {
        self.members.clone()
    }

    fn introduce(&self, address: SocketAddr) {
        if self.handle.gossip(address).is_err() {
            tracing::warn!(%address, "gossip has stopped, so nobody is introduced");
        }
    }

    async fn leave(&self) {
        self.handle.with_chitchat(|chitchat| chitchat.self_node_state().set(facts::LEFT, "1")).await;
        self.said.notify_one();
        // Three others hear it in each round, and they tell the rest.
        sleep(self.round * 2).await;
        if self.handle.initiate_shutdown().is_err() {
            tracing::debug!("gossip had stopped already");
        }
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.watcher.abort();
        self.handle.abort();
    }
}

/// What gossip calls a node.
fn short(node: &NodeId) -> String {
    node.as_str().trim_start_matches(NodeId::PREFIX).chars().take(SHORT).collect()
}

/// Keeps the view in step with what gossip knows.
async fn observe(
    chitchat: Arc<tokio::sync::Mutex<chitchat::Chitchat>>,
    pace: Pace,
    said: Arc<Notify>,
    publish: watch::Sender<Members>,
    say: watch::Sender<Members>,
) {
    // Twice in each round, so that looking adds little to the time until a silence is seen.
    let every = pace.round / 2;
    let mut view = View::new(every, pace.dead_after);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = chitchat.lock().await.live_nodes_watcher();
    loop {
        let members = {
            let gossip = chitchat.lock().await;
            heard.mark_unchanged();
            view.look(&gossip, Instant::now())
        };
        show(&publish, members);
        show(&say, view.others());
        if !view.is_alone() {
            ticks.tick().await;
            continue;
        }
        // Nobody can fall silent, so it is enough to look when somebody is heard.
        view.rest();
        tokio::select! {
            changed = heard.changed() => if changed.is_err() { return },
            () = said.notified() => {}
        }
        ticks.reset();
    }
}

/// Shows what is not shown yet.
fn show(shown: &watch::Sender<Members>, members: BTreeMap<NodeId, Member>) {
    shown.send_if_modified(|shown| {
        let changed = **shown != members;
        if changed {
            *shown = Arc::new(members);
        }
        changed
    });
}
