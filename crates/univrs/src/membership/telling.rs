//! What this node says of itself: facts by gossip, and where it can be found and what it runs by a call to all.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use univrs_control::{Mirror, view};
use univrs_mesh::members::quic::QuicChannel;
use univrs_model::ids::NodeId;
use univrs_model::node::{Capacity, Node};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_ports::discovery::{Discovery, PublishError, Topic};
use univrs_ports::membership::{Facts, Membership, Standing};

use crate::cluster::trust::Trust;

/// Time between two looks at what has changed.
const ROUND: Duration = Duration::from_secs(2);
/// Rounds between two announcements.
const ANNOUNCE: u64 = 15;
/// Load is told in steps of this many thousandths: smaller changes are of no use to anybody.
const STEP: u32 = 50;
/// Time between two looks at the certificates.
const CERTIFICATES: Duration = Duration::from_secs(30);

/// What there is to say now.
pub(super) fn facts(node: &Node, mirror: &Mirror, peer: String, dial: Vec<String>) -> Facts {
    let state = mirror.state();
    let requested = state.nodes.get(&node.id).map(|record| view::node(&state, record).requested);
    let requested = requested.unwrap_or_default();
    let free = Capacity {
        cpu: Cpu::millicores(node.capacity.cpu.as_millicores().saturating_sub(requested.cpu.as_millicores())),
        memory: Bytes::new(node.capacity.memory.get().saturating_sub(requested.memory.get())),
        disk: Bytes::new(node.capacity.disk.get().saturating_sub(requested.disk.get())),
    };
    Facts {
        capacity: node.capacity,
        free,
        version: node.version.clone(),
        cloud: node.location.cloud.clone(),
        region: node.location.region.clone(),
        roles: node.roles.clone(),
        load: 0,
        peer: Some(peer),
        dial,
        join: node.address.clone(),
    }
}

/// Says it for as long as it runs.
pub(super) struct Telling {
    pub(super) node: Node,
    pub(super) mirror: Mirror,
    pub(super) membership: Arc<dyn Membership>,
    pub(super) discovery: Option<Arc<dyn Discovery>>,
    pub(super) port: u16,
}

impl Telling {
    pub(super) async fn run(self) {
        let peer = self.node.peer.clone().unwrap_or_default();
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = processor_times();
        for round in 0_u64.. {
            rounds.tick().await;
            let now = processor_times();
            let dial = super::dialled_at(self.port, &self.node);
            let facts = facts(&self.node, &self.mirror, peer.clone(), dial);
            self.membership.publish(Facts { load: load(before, now), ..facts }).await;
            before = now;
            self.introduce().await;
            if round % ANNOUNCE == 2 {
                self.announce().await;
            }
        }
    }

    /// Members of the state that gossip does not hear are talked to: that is how two halves of a cluster find each
    /// other again, and how a node that starts finds the first.
    async fn introduce(&self) {
        let live: BTreeSet<NodeId> = {
            let members = self.membership.members();
            let members = members.borrow();
            let live = members.values().filter(|member| member.standing == Standing::Live);
            live.map(|member| member.node.clone()).collect()
        };
        let state = self.mirror.state();
        let silent = state.nodes.values().filter(|record| !live.contains(&record.value.id));
        for address in silent.filter_map(|record| record.value.address.clone()) {
            match tokio::net::lookup_host(&address).await {
                Ok(mut found) => found.next().into_iter().for_each(|found| self.membership.introduce(found)),
                Err(error) => tracing::debug!(address, %error, "a member's address is not found"),
            }
        }
    }

    async fn announce(&self) {
        let Some(discovery) = &self.discovery else { return };
        let Node { version, address, location, .. } = &self.node;
        let place = serde_json::json!({
            "version": version, "join": address, "cloud": location.cloud, "region": location.region,
        });
        for (topic, body) in
            [(Topic::Announce, place), (Topic::Version, serde_json::json!({ "version": version }))]
        {
            match discovery.publish(topic, body).await {
                Ok(()) | Err(PublishError::Nobody(_)) => {}
                Err(error) => tracing::debug!(%error, "this node was not announced"),
            }
        }
    }
}

/// Busy and all processor time since the machine started, in ticks.
fn processor_times() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> =
        text.lines().next()?.split_whitespace().skip(1).take(8).map_while(|word| word.parse().ok()).collect();
    let [_, _, _, idle, waiting, ..] = ticks.as_slice() else { return None };
    let all: u64 = ticks.iter().sum();
    Some((all - idle - waiting, all))
}

/// Share of processor time in use between two looks, in thousandths.
fn load(before: Option<(u64, u64)>, now: Option<(u64, u64)>) -> u32 {
    let (Some((busy_before, all_before)), Some((busy, all))) = (before, now) else { return 0 };
    let thousandths = (busy.saturating_sub(busy_before) * 1000).checked_div(all.saturating_sub(all_before));
    let thousandths = u32::try_from(thousandths.unwrap_or(0)).unwrap_or(1000).min(1000);
    (thousandths + STEP / 2) / STEP * STEP
}

/// Brings renewed certificates into the channel of gossip.
pub(super) async fn renew(trust: Arc<Trust>, channel: Arc<QuicChannel>) {
    let mut used = trust.credentials();
    let mut looks = interval(CERTIFICATES);
    loop {
        looks.tick().await;
        let now = trust.credentials();
        let same = match (&used, &now) {
            (Some(used), Some(now)) => used.certificate == now.certificate,
            _ => now.is_none(),
        };
        if same {
            continue;
        }
        let renewed = super::tls(&trust)
            .map_err(|error| error.to_string())
            .and_then(|tls| channel.renew(tls).map_err(|error| error.to_string()));
        match renewed {
            Ok(()) => used = now,
            Err(reason) => tracing::warn!(reason, "gossip goes on with the old certificate; trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::load;

    #[test]
    fn load_is_a_share_of_what_passed() {
        assert_eq!(load(Some((100, 1000)), Some((150, 1100))), 500);
        assert_eq!(load(Some((100, 1000)), Some((152, 1100))), 500, "in steps");
        assert_eq!(load(Some((100, 1000)), Some((100, 1000))), 0);
        assert_eq!(load(None, Some((100, 1000))), 0);
    }
}
