#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! More nodes than one domain may have: everyone sees everyone, a death is seen by all, and what a node sends is bounded.
//! Network and time are simulated, as in `detector.rs`; rounds are a second long, so that the test is cheap.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::sleep;
use univrs_mesh::domains::Placed;
use univrs_mesh::members::channel::Channel;
use univrs_mesh::members::tiers::{Placement, Tiers};
use univrs_mesh::members::{Options, Pace};
use univrs_model::ids::NodeId;
use univrs_ports::membership::{Facts, Membership, Standing};

use crate::support::cluster;

const REGIONS: usize = 4;
const NODES: usize = 160;

type Inbox = mpsc::Sender<(SocketAddr, Bytes)>;

/// Who is where, and what each has sent.
#[derive(Clone)]
struct Net {
    inboxes: Arc<Mutex<HashMap<SocketAddr, Inbox>>>,
    sent: Arc<Mutex<BTreeMap<SocketAddr, usize>>>,
    random: Arc<Mutex<StdRng>>,
}

impl Net {
    fn new(seed: u64) -> Self {
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { inboxes: Arc::default(), sent: Arc::default(), random }
    }
}

struct Plug {
    net: Net,
    address: SocketAddr,
    messages: AsyncMutex<mpsc::Receiver<(SocketAddr, Bytes)>>,
}

#[async_trait]
impl Channel for Plug {
    fn send(&self, to: SocketAddr, message: Bytes) {
        *self.net.sent.lock().unwrap().entry(self.address).or_default() += message.len();
        let (lost, delay) = {
            let mut random = self.net.random.lock().unwrap();
            (random.random_bool(0.02), Duration::from_millis(random.random_range(10..80)))
        };
        let inbox = self.net.inboxes.lock().unwrap().get(&to).cloned();
        if let (Some(inbox), false) = (inbox, lost) {
            let from = self.address;
            tokio::spawn(async move {
                sleep(delay).await;
                // A full inbox loses the message, as a socket would.
                let _ = inbox.try_send((from, message));
            });
        }
    }

    async fn recv(&self) -> Option<(SocketAddr, Bytes)> {
        self.messages.lock().await.recv().await
    }
}

fn node(index: usize) -> NodeId {
    NodeId::from_bits((index as u128 + 1) * 0x1234_5678_9abc_def1_2345)
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(index).unwrap()], 9443))
}

fn region(index: usize) -> String {
    format!("region-{}", index % REGIONS)
}

/// The list of nodes as the state has it; one that is dead is not able to speak for others.
fn placements(count: usize, dead: &[usize]) -> Vec<Placement> {
    let placement = |index| Placement {
        placed: Placed {
            node: node(index),
            region: region(index),
            validator: index < 3,
            able: !dead.contains(&index),
        },
        address: Some(address(index)),
    };
    (0..count).map(placement).collect()
}

async fn start(index: usize, net: &Net) -> Tiers {
    let (inbox, messages) = mpsc::channel(1000);
    net.inboxes.lock().unwrap().insert(address(index), inbox);
    let plug = Plug { net: net.clone(), address: address(index), messages: AsyncMutex::new(messages) };
    let pace = Pace {
        round: Duration::from_secs(1),
        first_interval: Duration::from_secs(2),
        longest_interval: Duration::from_secs(4),
        ..Pace::default()
    };
    let facts = Facts {
        version: "1.2.3".to_owned(),
        region: region(index),
        join: Some(address(index).to_string()),
        ..Facts::default()
    };
    let options = Options {
        node: node(index),
        incarnation: 1,
        cluster: cluster(),
        domain: String::new(),
        address: address(index),
        seeds: Vec::new(),
        facts,
        pace,
    };
    Tiers::start(options, Arc::new(plug)).await.unwrap()
}

/// Waits for something that takes no more than two minutes of simulated time. Looking is not cheap with so many nodes.
async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..240 {
        if check() {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test(start_paused = true)]
async fn two_levels_show_everyone_to_everyone_and_cost_no_more_than_a_domain() {
    let net = Net::new(11);
    let mut nodes = Vec::new();
    for index in 0..NODES {
        nodes.push(Some(start(index, &net).await));
    }
    for tiers in nodes.iter().flatten() {
        tiers.lay_out(&placements(NODES, &[])).await;
        let domains = tiers.domains().await;
        assert!(domains.len() <= 2 && domains.iter().all(|name| !name.is_empty()), "{domains:?}");
    }
    let live = |tiers: &Tiers| {
        let members = tiers.members();
        let members = members.borrow();
        members.values().filter(|member| member.standing == Standing::Live).count()
    };
    eventually("everyone seeing everyone", || nodes.iter().flatten().all(|tiers| live(tiers) == NODES)).await;
    {
        let members = nodes[0].as_ref().unwrap().members();
        let members = members.borrow();
        let far = &members[&node(NODES - 1)];
        assert_eq!(
            (far.address, far.facts.region.as_str()),
            (address(NODES - 1), region(NODES - 1).as_str())
        );
    }

    // What nodes send in a round when nothing happens: the most of all, and the usual.
    net.sent.lock().unwrap().clear();
    sleep(Duration::from_secs(10)).await;
    let mut sent: Vec<usize> = net.sent.lock().unwrap().values().map(|bytes| bytes / 10).collect();
    sent.sort_unstable();
    let (usual, most) = (sent[sent.len() / 2], sent[sent.len() - 1]);
    assert!(usual <= USUAL && most <= MOST, "bytes in a round: usually {usual}, at most {most}");

    // One that speaks for its region dies, and one that does not.
    let speakers = async |nodes: &[Option<Tiers>]| {
        let mut speakers = Vec::new();
        for (index, tiers) in nodes.iter().enumerate().skip(3) {
            if let Some(tiers) = tiers
                && tiers.domains().await.iter().any(|name| name == "global")
            {
                speakers.push(index);
            }
        }
        speakers
    };
    let speaking = speakers(&nodes).await;
    let silent = (3..NODES).find(|index| !speaking.contains(index)).unwrap();
    let dead = [speaking[0], silent];
    for index in dead {
        net.inboxes.lock().unwrap().remove(&address(index));
        nodes[index] = None;
    }
    eventually("everyone seeing both deaths", || {
        nodes.iter().flatten().all(|tiers| {
            let members = tiers.members();
            let members = members.borrow();
            let seen = |index| members.get(&node(index)).map(|member| member.standing);
            dead.iter().all(|index| seen(*index).is_some_and(|standing| standing != Standing::Live))
        })
    })
    .await;
    for tiers in nodes.iter().flatten() {
        tiers.lay_out(&placements(NODES, &dead)).await;
    }
    assert!(!speakers(&nodes).await.contains(&dead[0]));
    eventually("everyone else being seen all the same", || {
        nodes.iter().flatten().all(|tiers| live(tiers) == NODES - 2)
    })
    .await;

    // What a node says anew arrives in other regions.
    let facts = Facts { version: "2.0.0".to_owned(), region: region(5), ..Facts::default() };
    nodes[5].as_ref().unwrap().publish(facts).await;
    eventually("news", || {
        nodes.iter().flatten().all(|tiers| {
            tiers.members().borrow().get(&node(5)).is_some_and(|member| member.facts.version == "2.0.0")
        })
    })
    .await;
}

/// Who is alone has nobody whose silence it could notice: nothing but chitchat's own rounds goes on, one in each second
/// here. Who comes is seen in no more time for that.
#[tokio::test(start_paused = true)]
async fn who_is_alone_rests_until_somebody_comes() {
    let net = Net::new(12);
    let first = start(0, &net).await;
    sleep(Duration::from_secs(10)).await;
    let runtime = tokio::runtime::Handle::current().metrics();
    let before = runtime.worker_park_count(0);
    sleep(Duration::from_secs(100)).await;
    let woke = runtime.worker_park_count(0) - before;
    assert!(woke < 400, "its gossip woke {woke} times in 100 rounds");

    let facts = Facts { version: "2.0.0".to_owned(), region: region(0), ..Facts::default() };
    first.publish(facts).await;
    let shown =
        || first.members().borrow().get(&node(0)).is_some_and(|member| member.facts.version == "2.0.0");
    eventually("what it says of itself", shown).await;
    let second = start(1, &net).await;
    second.introduce(address(0));
    let both = |tiers: &Tiers| tiers.members().borrow().len() == 2;
    let came = tokio::time::Instant::now();
    eventually("both seeing each other", || both(&first) && both(&second)).await;
    assert!(came.elapsed() < Duration::from_secs(6), "{:?}", came.elapsed());
}

/// Bytes that a node sends in a round, usually and at most: those that are in two domains send more.
const USUAL: usize = 6_000;
const MOST: usize = 24_000;
