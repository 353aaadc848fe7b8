//! What this node says of itself: facts by gossip, and where it can be found and what it runs by a call to all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use univrs_control::{Mirror, view};
use univrs_mesh::domains::Placed;
use univrs_mesh::members::quic::QuicChannel;
use univrs_mesh::members::tiers::{Placement, Tiers};
use univrs_model::ids::NodeId;
use univrs_model::node::{Capacity, Node, Role};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_ports::discovery::{Discovery, PeerView, PublishError, Topic};
use univrs_ports::membership::{Facts, Hears, Membership, Reach, Standing};
use univrs_ports::mesh::{Heard, Mesh};

use crate::cluster::trust::Trust;

/// Time between two looks at what has changed.
const ROUND: Duration = Duration::from_secs(2);
/// Time between two looks at which nodes there are.
const LAYOUT: Duration = Duration::from_secs(5);
/// Rounds between two announcements.
const ANNOUNCE: u64 = 15;
/// Load is told in steps of this many thousandths: smaller changes are of no use to anybody.
const STEP: u32 = 50;
/// Rounds between two times that round trips are told anew; who is connected is told at once.
const MEASURED: u64 = 15;
/// Connections that are told. All of them must fit in one fact, and a larger cluster is no full mesh.
const LINKS: usize = 32;
/// Addresses at other members that are told, where others cannot reach this node itself.
const CARRIED: usize = 4;
/// Nodes behind routers that are told. All of them must fit in one fact; others hear them too.
const HEARD: usize = 24;
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
        links: Vec::new(),
        hears: Vec::new(),
    }
}

/// Whom this node is connected with. Round trips that were told stay as they were unless they are to be told anew.
fn links(told: &[Reach], peers: &[PeerView], anew: bool) -> Vec<Reach> {
    let connected = peers.iter().filter(|peer| peer.connected).take(LINKS);
    let links = connected.filter_map(|peer| {
        let (to, path) = (peer.node.clone(), peer.path?);
        let before = told.iter().find(|reach| reach.to == to && reach.path == path && reach.rtt_us.is_some());
        let rtt_us = match before {
            Some(before) if !anew => before.rtt_us,
            _ => peer.rtt_us.map(two_digits),
        };
        Some(Reach { to, path, rtt_us })
    });
    links.collect()
}

/// A number rounded to its first two digits: changes that nobody cares about are not told to everyone.
fn two_digits(number: u64) -> u64 {
    let step = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    number.saturating_add(step / 2) / step * step
}

/// Says it for as long as it runs.
pub(super) struct Telling {
    pub(super) node: Node,
    pub(super) mirror: Mirror,
    pub(super) membership: Arc<dyn Membership>,
    pub(super) discovery: Option<Arc<dyn Discovery>>,
    pub(super) port: u16,
    pub(super) mesh: Arc<dyn Mesh>,
}

impl Telling {
    pub(super) async fn run(self) {
        let peer = self.node.peer.clone().unwrap_or_default();
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = processor_times();
        let mut told: Vec<Reach> = Vec::new();
        for round in 0_u64.. {
            rounds.tick().await;
            let now = processor_times();
            let mut dial = super::dialled_at(self.port, &self.node);
            let carried = self.discovery.iter().flat_map(|discovery| discovery.carried_at());
            dial.extend(carried.take(CARRIED));
            let facts = facts(&self.node, &self.mirror, peer.clone(), dial);
            if let Some(discovery) = &self.discovery {
                told = links(&told, &discovery.peers().borrow(), round.is_multiple_of(MEASURED));
            }
            let hears = self.hear().await;
            let facts = Facts { load: load(before, now), links: told.clone(), hears, ..facts };
            self.membership.publish(facts).await;
            before = now;
            self.introduce().await;
            if round % ANNOUNCE == 2 {
                self.announce().await;
            }
        }
    }

    /// Says to the encrypted network where others hear nodes, and returns where it does.
    async fn hear(&self) -> Vec<Hears> {
        let told = {
            let members = self.membership.members();
            let members = members.borrow();
            let live = members.values().filter(|member| member.standing == Standing::Live);
            let told = live.flat_map(|member| {
                let by = &member.node;
                let heard = member.facts.hears.iter();
                heard.map(move |hears| Heard { node: hears.node.clone(), by: by.clone(), at: hears.at })
            });
            told.filter(|heard| heard.by != self.node.id).collect()
        };
        self.mesh.told(told);
        let heard = self.mesh.heard().await.into_iter().take(HEARD);
        heard.map(|heard| Hears { node: heard.node, at: heard.at }).collect()
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
    // The first line, which is all that is needed, is shorter.
    let mut text = [0; 256];
    let length = fs::File::open("/proc/stat").ok()?.read(&mut text).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
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

/// Tells gossip which nodes there are, so that it is in the right domains: how many there are decides.
pub(super) async fn lay_out(tiers: Arc<Tiers>, mirror: Mirror) {
    let mut looks = interval(LAYOUT);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut addresses: BTreeMap<String, SocketAddr> = BTreeMap::new();
    loop {
        looks.tick().await;
        let state = mirror.state();
        let mut placements = Vec::new();
        for node in state.nodes.values().map(|record| &record.value) {
            let standing =
                tiers.members().borrow().get(&node.id).map(|member| (member.standing, member.address));
            let known = node.address.as_ref().and_then(|address| addresses.get(address).copied());
            let address = match (standing, known, &node.address) {
                (Some((_, address)), ..) | (None, Some(address), _) => Some(address),
                (None, None, Some(name)) => {
                    let found = tokio::net::lookup_host(name).await.ok().and_then(|mut found| found.next());
                    if let Some(found) = found {
                        addresses.insert(name.clone(), found);
                    }
                    found
                }
                (None, None, None) => None,
            };
            let placed = Placed {
                node: node.id.clone(),
                region: node.location.region.clone(),
                validator: node.roles.contains(&Role::Validator),
                // One that nothing is known of yet may well be able.
                able: standing.is_none_or(|(standing, _)| standing == Standing::Live),
            };
            placements.push(Placement { placed, address });
        }
        if !placements.is_empty() {
            tiers.lay_out(&placements).await;
        }
    }
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
    use univrs_model::ids::NodeId;
    use univrs_ports::discovery::{Path, PeerRecord, PeerView};

    use super::{links, load, two_digits};

    fn peer(index: u8, connected: bool, rtt_us: Option<u64>) -> PeerView {
        let record = PeerRecord {
            peer: String::new(),
            node: None,
            cluster: None,
            version: String::new(),
            gossip: None,
            join: None,
            listen: Vec::new(),
        };
        let node = NodeId::from_bits(index.into());
        let path = connected.then_some(Path::Direct);
        PeerView { peer: String::new(), node, connected, address: None, path, rtt_us, record }
    }

    #[test]
    fn round_trips_are_told_seldom_and_connections_at_once() {
        let rtts = |links: &[super::Reach]| links.iter().map(|link| link.rtt_us).collect::<Vec<_>>();
        let first = links(&[], &[peer(1, true, Some(1234)), peer(2, false, None)], false);
        assert_eq!(rtts(&first), [Some(1200)]);
        let later = links(&first, &[peer(1, true, Some(5000)), peer(2, true, None)], false);
        assert_eq!(rtts(&later), [Some(1200), None]);
        let anew = links(&later, &[peer(1, true, Some(5000)), peer(2, true, Some(99_600))], true);
        assert_eq!(rtts(&anew), [Some(5000), Some(100_000)]);
        assert_eq!(links(&anew, &[], false), []);
        let many: Vec<PeerView> = (0..=255).map(|index| peer(index, true, None)).collect();
        assert_eq!(links(&[], &many, true).len(), super::LINKS);
    }

    #[test]
    fn numbers_keep_two_digits() {
        for (number, rounded) in [
            (0, 0),
            (7, 7),
            (99, 99),
            (104, 100),
            (105, 110),
            (1_250, 1_300),
            (u64::MAX, 18_000_000_000_000_000_000),
        ] {
            assert_eq!(two_digits(number), rounded, "{number}");
        }
    }

    #[test]
    fn load_is_a_share_of_what_passed() {
        assert_eq!(load(Some((100, 1000)), Some((150, 1100))), 500);
        assert_eq!(load(Some((100, 1000)), Some((152, 1100))), 500, "in steps");
        assert_eq!(load(Some((100, 1000)), Some((100, 1000))), 0);
        assert_eq!(load(None, Some((100, 1000))), 0);
    }
}
