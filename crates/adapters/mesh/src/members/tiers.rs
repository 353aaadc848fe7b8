//! Gossip in as many domains as this node belongs to: one, or its region's and the global one, see [`crate::domains`].
//!
//! - **TIE-1** A member of the same domain is seen by itself; one of another by the word of nodes that are in both.
//! - **TIE-2** What a node sends does not grow with the cluster, but with its domain.
//! - **TIE-3** A change of the layout hides nobody who was seen, for as long as the new domains need to be heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use univrs_model::ids::NodeId;
use univrs_ports::membership::{Facts, Member, Members, Membership};

use super::channel::Channel;
use super::exchange::Exchange;
use super::{Gossip, Options, StartError, show};
use crate::domains::{GLOBAL, Layout, Placed, layout};

/// How long those who were seen before a change of the layout are shown as they were.
const CARRIED_OVER: Duration = Duration::from_secs(30);
/// Whom a node talks to first in a domain that it enters.
const SEEDS: usize = 8;

/// This node's part in the gossip, in all of its domains.
pub struct Tiers {
    shared: Arc<Shared>,
    members: watch::Receiver<Members>,
    task: JoinHandle<()>,
}

struct Shared {
    options: Options,
    exchange: Exchange,
    facts: Mutex<Facts>,
    parts: AsyncMutex<Parts>,
    /// The domains that are shared with whoever receives gossip at an address.
    at: Mutex<BTreeMap<SocketAddr, BTreeSet<String>>>,
    /// Where nodes are talked to, for calls that cannot wait.
    introductions: Mutex<Vec<SocketAddr>>,
    /// There are introductions, or the domains are others.
    stirred: Notify,
}

struct Parts {
    layout: Layout,
    gossips: BTreeMap<String, Gossip>,
    before: Members,
    /// Until when those of `before` are shown.
    until: Instant,
}

/// A node of the cluster, and where it receives gossip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// What matters for domains.
    pub placed: Placed,
    /// Where it receives gossip, as far as that is known.
    pub address: Option<SocketAddr>,
}

impl Tiers {
    /// Takes part over an authenticated channel, in one domain until the nodes are known.
    ///
    /// # Errors
    /// When the channel cannot be used.
    pub async fn start(options: Options, channel: Arc<dyn Channel>) -> Result<Self, StartError> {
        let exchange = Exchange::new(channel);
        let first = Gossip::start(options.clone(), exchange.line("")).await?;
        let parts = Parts {
            layout: Layout::One(BTreeSet::new()),
            gossips: BTreeMap::from([(String::new(), first)]),
            before: Members::default(),
            until: Instant::now(),
        };
        let (publish, members) = watch::channel(Members::default());
        let every = options.pace.round / 2;
        let shared = Arc::new(Shared {
            facts: Mutex::new(options.facts.clone()),
            options,
            exchange,
            parts: AsyncMutex::new(parts),
            at: Mutex::default(),
            introductions: Mutex::default(),
            stirred: Notify::new(),
        });
        let task = tokio::spawn(run(Arc::clone(&shared), publish, every));
        Ok(Self { shared, members, task })
    }

    /// Enters and leaves domains so that they are right for these nodes. Every node is told the same.
    pub async fn lay_out(&self, nodes: &[Placement]) {
        let mut parts = self.shared.parts.lock().await;
        let placed: Vec<Placed> = nodes.iter().map(|node| node.placed.clone()).collect();
        let next = layout(&placed, parts.layout.is_split());
        if next == parts.layout {
            return;
        }
        let own = &self.shared.options.node;
        let wanted: BTreeSet<String> = match &next {
            Layout::One(_) => BTreeSet::from([String::new()]),
            // One that is not in the list yet stays where it is: the list will have it soon.
            Layout::Two { .. } if next.of(own).is_empty() => return,
            Layout::Two { .. } => next.of(own).into_iter().map(str::to_owned).collect(),
        };
        let mut at: BTreeMap<SocketAddr, BTreeSet<String>> = BTreeMap::new();
        for node in nodes {
            let Some(address) = node.address.filter(|_| node.placed.node != *own) else { continue };
            let theirs: BTreeSet<String> = match &next {
                Layout::One(_) => BTreeSet::from([String::new()]),
                Layout::Two { .. } => next.of(&node.placed.node).into_iter().map(str::to_owned).collect(),
            };
            at.insert(address, theirs.intersection(&wanted).cloned().collect());
        }
        if parts.gossips.keys().ne(wanted.iter()) {
            parts.before = self.members.borrow().clone();
            parts.until = Instant::now() + CARRIED_OVER;
        }
        let left: Vec<String> =
            parts.gossips.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in left {
            self.shared.exchange.close(&name);
            parts.gossips.remove(&name);
        }
        for name in &wanted {
            if parts.gossips.contains_key(name) {
                continue;
            }
            let shared: Vec<SocketAddr> = at
                .iter()
                .filter(|(_, domains)| domains.contains(name))
                .map(|(address, _)| *address)
                .collect();
            match self.enter(name, &shared).await {
                Ok(gossip) => {
                    parts.gossips.insert(name.clone(), gossip);
                }
                Err(error) => tracing::warn!(domain = name, %error, "a domain of gossip was not entered"),
            }
        }
        tracing::info!(domains = ?parts.gossips.keys(), "domains of gossip");
        *lock(&self.shared.at) = at;
        parts.layout = next;
        self.shared.stirred.notify_one();
    }

    async fn enter(&self, domain: &str, others: &[SocketAddr]) -> Result<Gossip, StartError> {
        // Not the same few for everyone.
        let number = usize::try_from(self.shared.options.incarnation).unwrap_or_default();
        let own = self
            .shared
            .options
            .node
            .as_str()
            .bytes()
            .fold(number, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
        let begin = own.checked_rem(others.len()).unwrap_or(0);
        let seeds = others.iter().cycle().skip(begin).take(SEEDS.min(others.len())).copied().collect();
        let facts = lock(&self.shared.facts).clone();
        let options = Options { domain: domain.to_owned(), seeds, facts, ..self.shared.options.clone() };
        Gossip::start(options, self.shared.exchange.line(domain)).await
    }

    /// The names of the domains it is in now.
    pub async fn domains(&self) -> Vec<String> {
        self.shared.parts.lock().await.gossips.keys().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Joins what the domains show, and says to each what is in the other, whenever any of them shows something new.
async fn run(shared: Arc<Shared>, publish: watch::Sender<Members>, every: Duration) {
    let mut spoke = false;
    loop {
        let looked = Instant::now();
        let parts = shared.parts.lock().await;
        for address in std::mem::take(&mut *lock(&shared.introductions)) {
            let domains = lock(&shared.at).get(&address).cloned();
            for (name, gossip) in &parts.gossips {
                if domains.as_ref().is_none_or(|domains| domains.contains(name)) {
                    gossip.introduce(address);
                }
            }
        }
        // Before they are read, so that nothing that comes later is missed.
        let shown = parts.gossips.values().flat_map(|gossip| [gossip.others(), gossip.members()]);
        let shown: Vec<watch::Receiver<Members>> = shown
            .map(|mut shown| {
                shown.mark_unchanged();
                shown
            })
            .collect();
        show(&publish, parts.joined());
        let speaks = parts.layout.speaks(&shared.options.node);
        if speaks {
            parts.speak(&shared.options.node).await;
        } else if spoke {
            // What it said would stay as it was for ever.
            for gossip in parts.gossips.values() {
                gossip.tell_of(std::iter::empty()).await;
            }
        }
        spoke = speaks;
        let until = parts.until;
        drop(parts);
        tokio::select! {
            () = any_changed(shown) => {}
            () = shared.stirred.notified() => {}
            () = sleep_until(until), if until > Instant::now() => {}
        }
        // The first news are joined at once, and those of a large cluster, where there are always some, together.
        sleep_until(looked + every).await;
    }
}

/// Returns when one of these shows something new. One that ended never does.
async fn any_changed(shown: Vec<watch::Receiver<Members>>) {
    let mut changes: FuturesUnordered<_> =
        shown.into_iter().map(async |mut shown: watch::Receiver<Members>| shown.changed().await).collect();
    while let Some(changed) = changes.next().await {
        if changed.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

impl Parts {
    /// Everyone, by the best that is known: heard itself in the own region, heard in the global domain, said by others.
    fn joined(&self) -> BTreeMap<NodeId, Member> {
        let mut members = BTreeMap::new();
        if Instant::now() < self.until {
            members.extend(self.before.iter().map(|(node, member)| (node.clone(), member.clone())));
        }
        let all = || {
            let global = self.gossips.get(GLOBAL);
            let others = self.gossips.iter().filter(|(name, _)| *name != GLOBAL).map(|(_, gossip)| gossip);
            global.into_iter().chain(others)
        };
        for said in all().map(Gossip::others) {
            members.extend(said.borrow().iter().map(|(node, member)| (node.clone(), member.clone())));
        }
        for heard in all().map(Gossip::members) {
            members.extend(heard.borrow().iter().map(|(node, member)| (node.clone(), member.clone())));
        }
        members
    }

    /// Says in the global domain who is in the region's, and in the region's who is elsewhere.
    async fn speak(&self, own: &NodeId) {
        let Some(global) = self.gossips.get(GLOBAL) else { return };
        let Some((_, region)) = self.gossips.iter().find(|(name, _)| *name != GLOBAL) else { return };
        let near = region.members().borrow().clone();
        global.tell_of(near.values().filter(|member| member.node != *own)).await;
        let mut far: BTreeMap<NodeId, Member> = BTreeMap::clone(&global.others().borrow());
        far.extend(global.members().borrow().iter().map(|(node, member)| (node.clone(), member.clone())));
        region.tell_of(far.values().filter(|member| !near.contains_key(&member.node))).await;
    }
}

#[async_trait]
impl Membership for Tiers {
    async fn publish(&self, facts: Facts) {
        *lock(&self.shared.facts) = facts.clone();
        for gossip in self.shared.parts.lock().await.gossips.values() {
            gossip.publish(facts.clone()).await;
        }
    }

    fn members(&self) -> watch::Receiver<Members> {
        self.members.clone()
    }

    fn introduce(&self, address: SocketAddr) {
        let mut waiting = lock(&self.shared.introductions);
        if !waiting.contains(&address) {
            waiting.push(address);
            self.shared.stirred.notify_one();
        }
    }

    async fn leave(&self) {
        for gossip in self.shared.parts.lock().await.gossips.values() {
            gossip.leave().await;
        }
    }
}

impl Drop for Tiers {
    fn drop(&mut self) {
        self.task.abort();
    }
}
