#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! How soon a death is noticed, and whether the living are left alone. The network is SIMULATED: one process, no
//! sockets, a delay drawn for each message, and a share of messages lost. So is time: it passes when there is nothing
//! left to do, so that a busy machine makes nobody late.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chitchat::ChitchatEnvelope;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use univrs_mesh::members::{Gossip, Options, Pace};
use univrs_model::ids::NodeId;
use univrs_ports::membership::{Facts, Membership, Standing};

use crate::support::{cluster, node, until};

/// A network that delays and loses.
#[derive(Clone)]
struct Net {
    inboxes: Arc<Mutex<HashMap<SocketAddr, mpsc::Sender<RecvOutcome>>>>,
    random: Arc<Mutex<StdRng>>,
    bytes: Arc<AtomicU64>,
    loss: f64,
}

impl Net {
    fn new(loss: f64) -> Self {
        Self {
            inboxes: Arc::default(),
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(7))),
            bytes: Arc::default(),
            loss,
        }
    }
}

#[async_trait]
impl Transport for Net {
    async fn open(&self, address: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let (inbox, messages) = mpsc::channel(1000);
        self.inboxes.lock().unwrap().insert(address, inbox);
        Ok(Box::new(Plug { net: self.clone(), address, messages }))
    }
}

struct Plug {
    net: Net,
    address: SocketAddr,
    messages: mpsc::Receiver<RecvOutcome>,
}

#[async_trait]
impl Socket for Plug {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        let bytes = envelope.serialize_to_vec();
        let num_bytes_sent = bytes.len();
        self.net.bytes.fetch_add(num_bytes_sent as u64, Ordering::Relaxed);
        let (lost, delay) = {
            let mut random = self.net.random.lock().unwrap();
            (random.random_bool(self.net.loss), Duration::from_millis(random.random_range(20..80)))
        };
        let inbox = self.net.inboxes.lock().unwrap().get(&to).cloned();
        if let (Some(inbox), false) = (inbox, lost) {
            let from_addr = self.address;
            tokio::spawn(async move {
                sleep(delay).await;
                // A full inbox loses the message, as a socket would.
                let _ =
                    inbox.try_send(RecvOutcome { from_addr, envelope, num_bytes_received: num_bytes_sent });
            });
        }
        Ok(SendOutcome { num_bytes_sent })
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        self.messages.recv().await.ok_or_else(|| anyhow::anyhow!("unplugged"))
    }
}

/// What was seen in one run.
#[derive(Debug)]
struct Seen {
    /// From the start until everyone saw everyone.
    together: Duration,
    /// From a kill until each survivor saw it, sorted.
    kills: Vec<Duration>,
    /// Times a living node was not live for someone.
    mistakes: usize,
    /// Bytes that a node sends in a second.
    bytes: u64,
}

/// Standing of `about` as `gossip` sees it.
fn standing(gossip: &Gossip, about: &NodeId) -> Option<Standing> {
    gossip.members().borrow().get(about).map(|member| member.standing)
}

fn address(index: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, index], 9443))
}

fn options(index: u8, incarnation: u64, pace: Pace) -> Options {
    Options {
        node: node(index),
        incarnation,
        cluster: cluster(),
        domain: String::new(),
        address: address(index),
        seeds: vec![address(0), address(1), address(2)],
        facts: Facts { version: "1.2.3".to_owned(), cloud: "aws".to_owned(), ..Facts::default() },
        pace,
    }
}

/// Counts every change of a node that is not among the `dead` to anything but live, as anyone sees it.
fn watch(
    gossips: &[Gossip],
    dead: &Arc<Mutex<BTreeSet<NodeId>>>,
    mistakes: &Arc<AtomicU64>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let watchers = gossips.iter().map(|gossip| {
        let (mut members, dead, mistakes) = (gossip.members(), Arc::clone(dead), Arc::clone(mistakes));
        tokio::spawn(async move {
            let mut before: BTreeSet<NodeId> = BTreeSet::new();
            while members.changed().await.is_ok() {
                let silent: BTreeSet<NodeId> = members
                    .borrow_and_update()
                    .values()
                    .filter(|member| member.standing != Standing::Live)
                    .map(|member| member.node.clone())
                    .collect();
                let dead = dead.lock().unwrap().clone();
                let new = silent.difference(&before).filter(|node| !dead.contains(*node)).count();
                mistakes.fetch_add(new as u64, Ordering::Relaxed);
                before = silent;
            }
        })
    });
    watchers.collect()
}

/// `count` nodes gossip for `quiet`, then some are killed, one after the other.
async fn run(count: u8, loss: f64, quiet: Duration, kills: u8, pace: Pace) -> Seen {
    let net = Net::new(loss);
    let mut gossips = Vec::new();
    for index in 0..count {
        gossips.push(Gossip::start_over(options(index, 1, pace), &net).await.unwrap());
    }
    let everyone = usize::from(count);
    let together = until("everyone seeing everyone", Duration::from_secs(20), || {
        gossips.iter().all(|gossip| gossip.members().borrow().len() == everyone)
    })
    .await;
    let dead: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
    let mistakes = Arc::new(AtomicU64::new(0));
    let watchers = watch(&gossips, &dead, &mistakes);
    let (start, sent) = (Instant::now(), net.bytes.load(Ordering::Relaxed));
    sleep(quiet).await;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = (net.bytes.load(Ordering::Relaxed) - sent) as f64 / seconds / f64::from(count);
    let mut times = Vec::new();
    for index in 0..kills {
        let killed = node(count - 1 - index);
        dead.lock().unwrap().insert(killed.clone());
        net.inboxes.lock().unwrap().remove(&address(count - 1 - index));
        drop(gossips.pop());
        let kill = Instant::now();
        let mut unaware: Vec<&Gossip> = gossips.iter().collect();
        while !unaware.is_empty() {
            sleep(Duration::from_millis(20)).await;
            let before = unaware.len();
            unaware.retain(|gossip| standing(gossip, &killed) == Some(Standing::Live));
            times.extend(std::iter::repeat_n(kill.elapsed(), before - unaware.len()));
            assert!(kill.elapsed() < Duration::from_secs(30), "{} never noticed", unaware.len());
        }
    }
    watchers.iter().for_each(tokio::task::JoinHandle::abort);
    times.sort();
    Seen { together, kills: times, mistakes: mistakes.load(Ordering::Relaxed) as usize, bytes: bytes as u64 }
}

#[tokio::test(start_paused = true)]
async fn a_kill_is_seen_soon_by_all_and_the_living_are_left_alone() {
    let rounds: u64 =
        std::env::var("UNIVRS_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    // The soak is quiet for ten minutes, as the promise says.
    let (quiet, kills) =
        if rounds > 1 { (Duration::from_secs(600), 20) } else { (Duration::from_secs(20), 3) };
    let seen = run(50, 0.05, quiet, kills, Pace::default()).await;
    let at = |share: f64| seen.kills[((seen.kills.len() - 1) as f64 * share) as usize];
    let (half, most, last) = (at(0.5), at(0.99), at(1.0));
    assert!(
        half <= Duration::from_millis(2500) && last <= Duration::from_secs(6),
        "p50 {half:?}, p99 {most:?}, last {last:?}"
    );
    assert_eq!(seen.mistakes, 0, "a living node was suspected");
    assert!(seen.bytes <= 15_000, "{} bytes per second and node", seen.bytes);
    assert!(seen.together <= Duration::from_secs(10), "{:?} until everyone saw everyone", seen.together);
}

#[tokio::test(start_paused = true)]
async fn whoever_stood_still_suspects_nobody_for_it_and_sees_a_death_afterwards() {
    let net = Net::new(0.05);
    let mut gossips = Vec::new();
    for index in 0..5 {
        gossips.push(Gossip::start_over(options(index, 1, Pace::default()), &net).await.unwrap());
    }
    let limit = Duration::from_secs(20);
    until("meeting", limit, || gossips.iter().all(|gossip| gossip.members().borrow().len() == 5)).await;
    let dead: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
    let mistakes = Arc::new(AtomicU64::new(0));
    let watchers = watch(&gossips, &dead, &mistakes);
    // Nothing runs while the clock is set forward: this is how a process feels that was stopped.
    for seconds in [3, 9, 40] {
        sleep(Duration::from_secs(8)).await;
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }
    sleep(Duration::from_secs(20)).await;
    assert_eq!(mistakes.load(Ordering::Relaxed), 0, "a living node was suspected");
    watchers.iter().for_each(tokio::task::JoinHandle::abort);
    drop(gossips.pop());
    until("a death", limit, || {
        gossips.iter().all(|gossip| standing(gossip, &node(4)) == Some(Standing::Suspected))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn facts_reach_everyone_and_a_goodbye_is_no_suspicion() {
    let net = Net::new(0.0);
    let start = |index: u8, incarnation: u64| {
        let facts = Facts { region: format!("region-{index}"), ..Facts::default() };
        let options = Options { facts, ..options(index, incarnation, Pace::default()) };
        let net = net.clone();
        async move { Gossip::start_over(options, &net).await.unwrap() }
    };
    let (one, two) = (start(0, 1).await, start(1, 1).await);
    let limit = Duration::from_secs(20);
    until("meeting", limit, || standing(&one, &node(1)) == Some(Standing::Live)).await;
    let facts = Facts { load: 250, peer: Some("p".to_owned()), ..Facts::default() };
    two.publish(facts.clone()).await;
    until("news", limit, || {
        one.members().borrow().get(&node(1)).is_some_and(|member| *member.facts == facts)
    })
    .await;
    two.leave().await;
    until("a goodbye", limit, || standing(&one, &node(1)) == Some(Standing::Left)).await;
    drop(two);
    let again = start(1, 2).await;
    until("a return", limit, || {
        let members = one.members();
        let members = members.borrow();
        members
            .get(&node(1))
            .is_some_and(|member| member.incarnation == 2 && member.standing == Standing::Live)
    })
    .await;
    drop(again);
}
