//! Gossip as a model: heartbeats and facts that travel from node to node over lines that lose, delay and repeat
//! messages and are cut between some and not others. What nodes do about silence is the product's
//! ([`ask_the_silent`]); its own promises are checked here, those of leases in `promises.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use univrs_control::{Ask, ask_the_silent};
use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_ports::membership::{Facts, Member, Members, Membership, Standing};
use univrs_ports::store::{Command, Key, Op, Txn};

use super::chance::Chance;
use super::hub::Hub;
use super::link::{Line, Plant};

/// Time between two rounds; longer than in earnest, so that a run stays cheap.
const ROUND: Duration = Duration::from_millis(500);
/// Whoever is not heard of for so long is suspected ...
const SUSPECTED: Duration = Duration::from_secs(5);
/// ... and is dead this much later.
const DEAD: Duration = Duration::from_secs(10);
/// Two nodes between which there was a way for so long have heard of each other, whatever was lost. By chance alone: a
/// word passes a line in a round with 28 in a hundred, so one that takes three lines needs longer once in 10^8 times. In
/// the 15 seconds after which a node is dead, one in 20,000 does not even pass a single line.
const HEARD: Duration = Duration::from_secs(40);
/// Messages that are lost, and that come twice, in a hundred.
const LOST: u64 = 10;
const TWICE: u64 = 5;
/// Rounds in a hundred before which a line of gossip is cut or mended.
const STRIKES: u64 = 12;
/// How long an answer takes that does not come.
const NO_ANSWER: Duration = Duration::from_secs(3);

/// What one node knows of another: its start, its heartbeat, and the version it told.
type Word = (u64, u64, u64);

struct Seat {
    line: Arc<Line>,
    runs: bool,
    own: Word,
    knows: BTreeMap<NodeId, (Word, Instant)>,
    view: watch::Sender<Members>,
}

struct Letter {
    due: Instant,
    from: NodeId,
    to: NodeId,
    words: BTreeMap<NodeId, Word>,
}

struct Talk {
    hub: Hub,
    plant: Plant,
    chance: Chance,
    began: Instant,
    seats: BTreeMap<NodeId, Seat>,
    letters: Vec<Letter>,
    /// Pairs between which nothing of gossip passes, the smaller one first.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Since when there is a way between two, by way of others or not.
    joined: BTreeMap<(NodeId, NodeId), Instant>,
    calm: bool,
}

/// The gossip of a cluster.
#[derive(Clone)]
pub(crate) struct Gossip(Arc<Mutex<Talk>>);

fn pair(one: &NodeId, other: &NodeId) -> (NodeId, NodeId) {
    if one < other { (one.clone(), other.clone()) } else { (other.clone(), one.clone()) }
}

impl Gossip {
    /// With chance of its own, so that it changes nothing of what else befalls a seed.
    pub(crate) fn of(seed: u64, hub: &Hub, plant: Plant) -> Self {
        let talk = Talk {
            hub: hub.clone(),
            plant,
            chance: Chance::of(seed ^ 0x0060_5519),
            began: Instant::now(),
            seats: BTreeMap::new(),
            letters: Vec::new(),
            cut: BTreeSet::new(),
            joined: BTreeMap::new(),
            calm: false,
        };
        Self(Arc::new(Mutex::new(talk)))
    }

    fn lock(&self) -> MutexGuard<'_, Talk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A machine, whose process does not run yet.
    pub(crate) fn seat(&self, node: &NodeId, line: &Arc<Line>) {
        let (line, view) = (Arc::clone(line), watch::channel(Members::default()).0);
        let seat = Seat { line, runs: false, own: (0, 0, 0), knows: BTreeMap::new(), view };
        self.lock().seats.insert(node.clone(), seat);
    }

    /// Its process starts, at times of another version, and asks whoever falls silent.
    pub(crate) fn start(&self, node: &NodeId, shutdown: &CancellationToken) {
        {
            let mut talk = self.lock();
            let version = talk.chance.below(3);
            let Some(seat) = talk.seats.get_mut(node) else { return };
            (seat.runs, seat.own) = (true, (seat.own.0 + 1, 0, version));
            seat.knows.clear();
            seat.view.send_replace(Members::default());
        }
        let voice = Voice { node: node.clone(), gossip: self.clone() };
        let asking = ask_the_silent(Arc::new(voice.clone()), Arc::new(voice), node.clone());
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(asking));
    }

    /// Its process is gone.
    pub(crate) fn stop(&self, node: &NodeId) {
        if let Some(seat) = self.lock().seats.get_mut(node) {
            seat.runs = false;
        }
    }

    /// From here on every line of gossip is whole.
    pub(crate) fn calm(&self) {
        let mut talk = self.lock();
        talk.calm = true;
        talk.cut.clear();
    }

    /// Rounds, until the run ends.
    pub(crate) async fn run(self) {
        loop {
            sleep(ROUND).await;
            let mut talk = self.lock();
            talk.strike();
            talk.deliver();
            talk.speak();
            talk.look();
        }
    }

    /// In what the views are not what is so: everyone sees everyone, with what they told last.
    pub(crate) fn missing(&self) -> Vec<String> {
        let talk = self.lock();
        let mut missing = Vec::new();
        for (node, seat) in talk.seats.iter().filter(|(_, seat)| seat.runs) {
            let view = seat.view.borrow();
            for (other, told) in &talk.seats {
                let seen = view
                    .get(other)
                    .map(|member| (member.standing, member.incarnation, &member.facts.version));
                let so = (Standing::Live, told.own.0, &version(told.own.2));
                if other != node && told.runs && seen != Some(so) {
                    missing.push(format!("{node} sees {other} as {seen:?} instead of {so:?}"));
                }
            }
        }
        missing
    }
}

fn version(number: u64) -> String {
    format!("1.{number}.0")
}

impl Talk {
    /// Lines of gossip fail that others do not need, and one machine's all at once.
    fn strike(&mut self) {
        if self.calm || !self.chance.percent(STRIKES) {
            return;
        }
        let nodes: Vec<NodeId> = self.seats.keys().cloned().collect();
        let any = |chance: &Chance| nodes[usize::try_from(chance.below(nodes.len() as u64)).unwrap()].clone();
        let (one, other) = (any(&self.chance), any(&self.chance));
        match self.chance.below(10) {
            0..5 if one != other => {
                let pair = pair(&one, &other);
                if !self.cut.remove(&pair) {
                    self.cut.insert(pair);
                }
            }
            5..7 => self.cut.extend(nodes.iter().filter(|node| **node != one).map(|node| pair(&one, node))),
            7..10 => self.cut.retain(|(a, b)| *a != one && *b != one),
            _ => {}
        }
    }

    fn speaks(&self, one: &NodeId, other: &NodeId) -> bool {
        let whole = |node| self.seats.get(node).is_some_and(|seat: &Seat| seat.runs && !seat.line.is_cut());
        whole(one) && whole(other) && !self.cut.contains(&pair(one, other))
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<Letter>, Vec<Letter>) =
            std::mem::take(&mut self.letters).into_iter().partition(|letter| letter.due <= now);
        self.letters = later;
        for letter in due {
            if !self.speaks(&letter.from, &letter.to) {
                continue;
            }
            let Some(seat) = self.seats.get_mut(&letter.to) else { continue };
            for (node, word) in letter.words.into_iter().filter(|(node, _)| *node != letter.to) {
                // What comes late or twice is known already.
                if seat.knows.get(&node).is_none_or(|(known, _)| *known < word) {
                    seat.knows.insert(node, (word, now));
                }
            }
        }
    }

    fn speak(&mut self) {
        let now = Instant::now();
        let nodes: Vec<NodeId> = self.seats.keys().cloned().collect();
        for node in &nodes {
            let Some(seat) = self.seats.get_mut(node).filter(|seat| seat.runs) else { continue };
            seat.own.1 += 1;
            let mut words: BTreeMap<NodeId, Word> =
                seat.knows.iter().map(|(node, (word, _))| (node.clone(), *word)).collect();
            words.insert(node.clone(), seat.own);
            for _ in 0..2 {
                let to = nodes[usize::try_from(self.chance.below(nodes.len() as u64)).unwrap()].clone();
                if self.chance.percent(LOST) {
                    continue;
                }
                for _ in 0..1 + u8::from(self.chance.percent(TWICE)) {
                    let due = now + self.chance.millis(10..900);
                    self.letters.push(Letter {
                        due,
                        from: node.clone(),
                        to: to.clone(),
                        words: words.clone(),
                    });
                }
            }
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let joined = self.joined(now);
        let mut wrong = Vec::new();
        for (node, seat) in self.seats.iter().filter(|(_, seat)| seat.runs) {
            let members: BTreeMap<NodeId, Member> = seat
                .knows
                .iter()
                .map(|(other, (word, heard))| {
                    (other.clone(), member(other, word, now.duration_since(*heard)))
                })
                .collect();
            for member in members.values().filter(|member| member.standing == Standing::Dead) {
                let since = joined.get(&pair(node, &member.node));
                let heard = seat.knows.get(&member.node).map(|(_, heard)| *heard).max(since.copied());
                if since.is_some() && heard.is_some_and(|heard| now.duration_since(heard) > HEARD) {
                    wrong.push(format!("{node} takes {} for dead, from which it could hear", member.node));
                }
            }
            seat.view.send_if_modified(|shown| {
                let changed = **shown != members;
                if changed {
                    *shown = Arc::new(members);
                }
                changed
            });
        }
        self.joined = joined;
        if !wrong.is_empty() {
            let mut inner = self.hub.lock();
            wrong.into_iter().for_each(|wrong| inner.promises.fail(wrong));
        }
    }

    /// Who can hear of whom now, and since when: those in one part of the graph.
    fn joined(&self, now: Instant) -> BTreeMap<(NodeId, NodeId), Instant> {
        let nodes: Vec<&NodeId> = self.seats.keys().collect();
        let mut part: Vec<usize> = (0..nodes.len()).collect();
        for one in 0..nodes.len() {
            for other in 0..one {
                if self.speaks(nodes[one], nodes[other]) {
                    let (from, to) = (part[one], part[other]);
                    part.iter_mut().filter(|part| **part == from).for_each(|part| *part = to);
                }
            }
        }
        let mut joined = BTreeMap::new();
        for one in 0..nodes.len() {
            for other in (0..one).filter(|other| part[*other] == part[one]) {
                let pair = pair(nodes[one], nodes[other]);
                let since = self.joined.get(&pair).copied().unwrap_or(now);
                joined.insert(pair, since);
            }
        }
        joined
    }
}

fn member(node: &NodeId, word: &Word, silent: Duration) -> Member {
    let standing = match silent {
        silent if silent < SUSPECTED => Standing::Live,
        silent if silent < SUSPECTED + DEAD => Standing::Suspected,
        _ => Standing::Dead,
    };
    Member {
        node: node.clone(),
        incarnation: word.0,
        address: SocketAddr::from(([10, 0, 0, 1], 9443)),
        facts: Arc::new(Facts { version: version(word.2), ..Facts::default() }),
        standing,
    }
}

/// One machine's place in the gossip, and its way to others.
#[derive(Clone)]
struct Voice {
    node: NodeId,
    gossip: Gossip,
}

#[async_trait]
impl Membership for Voice {
    async fn publish(&self, _: Facts) {}

    fn members(&self) -> watch::Receiver<Members> {
        let talk = self.gossip.lock();
        let seat = talk.seats.get(&self.node).expect("every machine has a seat");
        seat.view.subscribe()
    }

    fn introduce(&self, _: SocketAddr) {}

    async fn leave(&self) {}
}

#[async_trait]
impl Ask for Voice {
    async fn ask(&self, node: &NodeId) -> Result<(), String> {
        let (answers, plant, hub, began) = {
            let talk = self.gossip.lock();
            (talk.speaks(&self.node, node), talk.plant, talk.hub.clone(), talk.began)
        };
        let at = began.elapsed().as_millis();
        hub.lock().promises.note(format!("{} asks {node}, which is silent: {answers} ({at})", self.node));
        if answers {
            return Ok(());
        }
        if plant == Plant::SilenceIsDeath {
            let key = Key::new(keys::node_alive(node)).unwrap();
            hub.apply(Command::Txn(Txn { ops: vec![Op::Delete(key)], ..Txn::default() }));
        }
        sleep(NO_ANSWER).await;
        Err("no answer came".to_owned())
    }
}
