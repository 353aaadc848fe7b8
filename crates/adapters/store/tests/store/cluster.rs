//! Three voters over TCP on one machine, and in one process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{
    ClusterAdmin, ClusterId, Consistency, Error, MemberId, Op, Page, Prefix, RequestId, Role, StateStore,
    Txn, conformance,
};
use univrs_store::wire::{
    Channel, Limits, MemberService, Services, StoreService, TcpDial, WireTransport, serve,
};
use univrs_store::{Loopback, Options, RaftStore, Transport};

use crate::support::{PATIENCE, eventually, host, key, put, shared};

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc105_7e12);

pub(crate) struct Node {
    pub(crate) store: RaftStore,
    pub(crate) address: String,
    pub(crate) stop: CancellationToken,
    pub(crate) dir: TempDir,
    served: JoinHandle<()>,
}

/// Elections only when they are asked for: no stall of the machine is as long.
pub(crate) fn steady(options: &mut Options) {
    options.heartbeat = Duration::from_millis(500);
    options.election_timeout = Duration::from_secs(30);
}

fn options(dir: &Path, id: u64, address: &str, transport: Arc<dyn Transport>) -> Options {
    Options {
        cluster_id: Some(CLUSTER),
        bootstrap: id == 1,
        address: address.to_owned(),
        transport,
        heartbeat: Duration::from_millis(60),
        election_timeout: Duration::from_millis(400),
        request_timeout: PATIENCE,
        ..Options::new(dir, MemberId(id))
    }
}

impl Node {
    pub(crate) async fn start(id: u64, tune: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((host(), 0)).await.unwrap();
        Self::start_at(id, dir, listener, tune).await
    }

    async fn start_at(id: u64, dir: TempDir, listener: TcpListener, tune: impl FnOnce(&mut Options)) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let mut options =
            options(dir.path(), id, &address, Arc::new(WireTransport::new(Arc::new(TcpDial), Some(CLUSTER))));
        tune(&mut options);
        let store = RaftStore::open(options).await.unwrap();
        let stop = CancellationToken::new();
        let members = Arc::new(MemberService::new(store.peer_handler()));
        let clients = Arc::new(StoreService::new(shared(&store), Some(Arc::new(store.clone()))));
        let services = Services::new(CLUSTER, MemberId(id), Limits::default())
            .with(Channel::MEMBERS, members)
            .with(Channel::STORE, clients);
        let served = tokio::spawn(serve(listener, services, stop.clone()));
        Self { store, address, stop, dir, served }
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        // From then on its port is free.
        self.served.await.unwrap();
        self.store.close().await;
        self.dir
    }
}

/// Takes a member in, through whichever of the voters leads: that may change while it goes on.
pub(crate) async fn join(voters: &[&RaftStore], id: u64, address: &str) {
    let id = MemberId(id);
    eventually("the learner becomes a voter", async || {
        for voter in voters {
            let promoted = match voter.add_learner(id, address.to_owned()).await {
                Ok(()) => voter.promote(id).await,
                refused => refused,
            };
            match promoted {
                Ok(()) => return true,
                // Too early, or the change before is still under way.
                Err(Error::NotCaughtUp { .. } | Error::Membership { .. }) => {}
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
        false
    })
    .await;
}

pub(crate) async fn three() -> Vec<Node> {
    three_of(|_| {}).await
}

/// Three voters that stay with their first leader.
pub(crate) async fn steady_three() -> Vec<Node> {
    three_of(steady).await
}

pub(crate) async fn three_of(tune: fn(&mut Options)) -> Vec<Node> {
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(Node::start(id, tune).await);
    }
    for id in 2..=3 {
        let (voters, others) = nodes.split_at(id as usize - 1);
        let voters: Vec<&RaftStore> = voters.iter().map(|node| &node.store).collect();
        join(&voters, id, &others[0].address).await;
    }
    nodes
}

pub(crate) async fn same_state(stores: &[&RaftStore]) {
    eventually("all members agree", async || {
        stores.windows(2).all(|pair| pair[0].digest() == pair[1].digest())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_forward_and_a_dead_leader_loses_nothing() {
    let mut nodes = three().await;
    for number in 0..50 {
        put(&nodes[1].store, &format!("follower/{number}"), "x").await;
    }
    let revision = put(&nodes[2].store, "seen", "x").await;
    let everywhere = Consistency::Local { min_revision: Some(revision) };
    for node in &nodes {
        assert!(node.store.get(&key("seen"), everywhere).await.unwrap().is_some());
        assert!(node.store.get(&key("seen"), Consistency::Linearizable).await.unwrap().is_some());
    }
    let grant = nodes[1].store.lease_grant(Duration::from_secs(3600)).await.unwrap();
    nodes[2].store.lease_keep_alive(grant.id).await.unwrap();

    // Writers at the survivors go on through the change of leaders; their request ids make that safe.
    let done = CancellationToken::new();
    let counts = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    let writers: Vec<_> = [1, 2]
        .into_iter()
        .map(|node| {
            let (store, done) = (nodes[node].store.clone(), done.clone());
            let count = Arc::clone(&counts[node - 1]);
            tokio::spawn(async move {
                let mut written = 0;
                while !done.is_cancelled() {
                    let request = RequestId { client: node as u128, sequence: written };
                    let txn = Txn::create(key(&format!("w{node}/{written:06}")), "x").with_request(request);
                    match store.txn(txn).await {
                        Ok(outcome) => {
                            assert!(
                                outcome.committed().is_some(),
                                "the write was applied twice: {outcome:?}"
                            );
                            written += 1;
                            count.store(written, Ordering::SeqCst);
                        }
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
                written
            })
        })
        .collect();
    let so_far = || counts.each_ref().map(|count| count.load(Ordering::SeqCst));
    let more_than = async |before: [u64; 2]| {
        eventually("both write on", async || so_far().iter().zip(before).all(|(now, then)| *now > then + 5))
            .await;
    };
    more_than([0, 0]).await;
    let dead = nodes.remove(0);
    let address = dead.address.clone();
    let dir = dead.stop().await;
    // The dying leader may have taken it and not answered; with a request id that is no matter.
    let after = Txn::put(key("after"), "x").with_request(RequestId { client: 99, sequence: 0 });
    nodes[0].store.txn(after).await.unwrap();
    more_than(so_far()).await;
    done.cancel();
    for (node, writer) in writers.into_iter().enumerate() {
        let written: u64 = writer.await.unwrap();
        let prefix = Prefix::new(format!("w{}/", node + 1));
        let range = nodes[node].store.range(&prefix, Page::all(), Consistency::Linearizable).await.unwrap();
        assert_eq!(range.items.len() as u64, written, "every write once");
    }
    // The lease outlives its leader.
    nodes[0].store.lease_keep_alive(grant.id).await.unwrap();

    // The dead one comes back with its old data and agrees again.
    let listener = TcpListener::bind(&address).await.unwrap();
    let back = Node::start_at(1, dir, listener, |_| {}).await;
    put(&back.store, "back", "x").await;
    same_state(&[&nodes[0].store, &nodes[1].store, &back.store]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_through_a_follower() {
    let nodes = steady_three().await;
    conformance::all(shared(&nodes[2].store)).await;
    same_state(&[&nodes[0].store, &nodes[1].store, &nodes[2].store]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_learner_gets_a_snapshot_in_pieces() {
    let small = |options: &mut Options| {
        options.snapshot_bytes = 1 << 20;
        options.segment_bytes = 256 << 10;
        options.keep_log_bytes = 0;
        // Only the first knows it by its address of then.
        steady(options);
    };
    let first = Node::start(1, small).await;
    for number in 0..30 {
        put(&first.store, &format!("big/{}", number % 10), vec![number; 500_000]).await;
    }
    eventually("a snapshot", async || first.store.status().await.unwrap().snapshot_index > 10).await;
    put(&first.store, "after", "x").await;
    let segments = || std::fs::read_dir(first.dir.path().join("log")).unwrap().count();
    eventually("the log is let go of", async || segments() < 6).await;
    let second = Node::start(2, small).await;
    let refused = first.store.promote(MemberId(2)).await;
    assert!(matches!(refused, Err(Error::Membership { .. })), "{refused:?}");
    join(&[&first.store], 2, &second.address).await;
    same_state(&[&first.store, &second.store]).await;
    assert!(second.store.status().await.unwrap().snapshot_index > 0);

    let digest = second.store.digest();
    let (id, dir) = (2, second.stop().await);
    let listener = TcpListener::bind((host(), 0)).await.unwrap();
    let second = Node::start_at(id, dir, listener, small).await;
    assert_eq!(second.store.digest(), digest, "the snapshot it received is its own now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_change_at_run_time() {
    let nodes = steady_three().await;
    let [first, second, third] = [&nodes[0].store, &nodes[1].store, &nodes[2].store];
    let members = first.members().await.unwrap();
    assert_eq!(
        members.iter().map(|m| (m.id.0, m.role)).collect::<Vec<_>>(),
        [(1, Role::Voter), (2, Role::Voter), (3, Role::Voter)]
    );
    assert!(matches!(second.promote(MemberId(9)).await, Err(Error::NotLeader { leader: Some(MemberId(1)) })));
    assert_eq!(first.raise_feature_level(1).await.unwrap(), 1);
    assert!(matches!(first.raise_feature_level(2).await, Err(Error::FeatureLevel { needed: 2, current: 1 })));

    let before = first.figures();
    assert_eq!((before.leads, before.members, before.voters, second.figures().leads), (true, 3, 3, false));
    first.transfer_leader(MemberId(2)).await.unwrap();
    put(first, "still", "works").await;
    eventually("the new leader knows", async || second.status().await.unwrap().leader == Some(MemberId(2)))
        .await;
    second.remove(MemberId(1)).await.unwrap();
    eventually("the figures follow", async || {
        let now = second.figures();
        (now.leads, now.members, now.voters) == (true, 2, 2)
            && now.term > before.term
            && !first.figures().leads
    })
    .await;
    put(third, "two", "left").await;
    let status = second.status().await.unwrap();
    assert_eq!((status.members.len(), status.cluster_id), (2, CLUSTER));
}

/// Three voters in one process.
async fn three_in_process(net: &Loopback) -> (Vec<RaftStore>, Vec<TempDir>) {
    three_in_process_of(net, |options| options.request_timeout = Duration::from_millis(1500)).await
}

pub(crate) async fn three_in_process_of(
    net: &Loopback,
    tune: impl Fn(&mut Options),
) -> (Vec<RaftStore>, Vec<TempDir>) {
    let (mut stores, mut dirs) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), id, &format!("member-{id}"), net.transport(MemberId(id)));
        tune(&mut options);
        let store = RaftStore::open(options).await.unwrap();
        net.connect(MemberId(id), store.peer_handler());
        stores.push(store);
        dirs.push(dir);
    }
    for id in 2..=3 {
        let voters: Vec<&RaftStore> = stores[..id as usize - 1].iter().collect();
        join(&voters, id, &format!("member-{id}")).await;
    }
    (stores, dirs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_promises_nothing() {
    let net = Loopback::default();
    let (stores, _dirs) = three_in_process(&net).await;
    let written = put(&stores[0], "a", "1").await;
    let mut lease = None;
    eventually("a lease", async || {
        lease = stores[0].lease_grant(Duration::from_secs(3600)).await.ok().map(|grant| grant.id);
        lease.is_some()
    })
    .await;
    let lease = lease.unwrap();
    // Another may lead by now: what it had acknowledged comes here a little later.
    eventually("it is there", async || {
        let here = Consistency::Local { min_revision: Some(written) };
        stores[0].get(&key("a"), here).await.is_ok_and(|stored| stored.is_some())
    })
    .await;
    net.cut_off(MemberId(1));
    let refused = stores[0].txn(Txn::put(key("a"), "2")).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. } | Error::NotLeader { .. })), "{refused:?}");
    let refused = stores[0].get(&key("a"), Consistency::Linearizable).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. } | Error::NotLeader { .. })), "{refused:?}");
    let refused = stores[0].lease_keep_alive(lease).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. } | Error::NotLeader { .. })), "{refused:?}");
    let stale = stores[0].get(&key("a"), Consistency::LOCAL).await.unwrap().unwrap();
    assert_eq!(stale.value.as_ref(), b"1", "local reads go on");
    put(&stores[1], "a", "3").await;
    net.heal(MemberId(1));
    eventually("the old leader follows", async || {
        let read = stores[0].get(&key("a"), Consistency::Linearizable).await;
        read.is_ok_and(|stored| stored.unwrap().value.as_ref() == b"3")
    })
    .await;
    same_state(&[&stores[0], &stores[1], &stores[2]]).await;
}

/// Whoever asks a follower meanwhile gets the answer of the next leader, and does not wait for the dead one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_while_a_leader_dies_without_a_word_is_answered_by_the_next() {
    let net = Loopback::default();
    // No stall of the machine is taken for a death; requests are given far more time than an election takes.
    let (stores, _dirs) = three_in_process_of(&net, |options| {
        options.heartbeat = Duration::from_millis(200);
        options.election_timeout = Duration::from_secs(2);
        options.request_timeout = PATIENCE * 2;
    })
    .await;
    put(&stores[1], "a", "1").await;
    let mut leader = None;
    eventually("somebody leads", async || {
        leader = stores[1].status().await.ok().and_then(|status| status.leader);
        leader.is_some()
    })
    .await;
    let leader = leader.unwrap();
    let follower = stores.iter().find(|store| store.member_id() != leader).unwrap();
    let lease = follower.lease_grant(Duration::from_secs(3600)).await.unwrap().id;
    net.silence(leader);
    // The write has no request id of its own: nobody else could send it again without doing it twice.
    let asked = async {
        let (b, a) = (Txn::create(key("b"), "2"), key("a"));
        let writing = follower.txn(b);
        let reading = follower.get(&a, Consistency::Linearizable);
        tokio::join!(writing, reading, follower.lease_keep_alive(lease))
    };
    let (written, read, kept) =
        tokio::time::timeout(PATIENCE, asked).await.expect("the dead one is waited for");
    assert!(written.unwrap().committed().is_some());
    assert_eq!(read.unwrap().unwrap().value.as_ref(), b"1");
    kept.unwrap();
    net.heal(leader);
    same_state(&[&stores[0], &stores[1], &stores[2]]).await;
}

/// Members are cut off at random while everybody counts up by compare-and-set. What was acknowledged is
/// there, once; nothing else is; and all agree in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_partitions_lose_and_repeat_nothing() {
    let net = Loopback::default();
    let (stores, _dirs) = three_in_process(&net).await;
    put(&stores[0], "counter", "0").await;
    let (done, counted) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = stores
        .iter()
        .cloned()
        .enumerate()
        .map(|(client, store)| {
            let (done, counted) = (done.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let (mut won, mut sequence) = (Vec::new(), 0);
                while !done.is_cancelled() {
                    let Ok(Some(stored)) = store.get(&key("counter"), Consistency::Linearizable).await else {
                        continue;
                    };
                    let count: u64 = std::str::from_utf8(&stored.value).unwrap().parse().unwrap();
                    sequence += 1;
                    let request = RequestId { client: client as u128 + 1, sequence };
                    let next = (count + 1).to_string();
                    let txn =
                        Txn::compare_and_set(key("counter"), stored.mod_revision, next).with_request(request);
                    // Until the outcome is known; the request id makes that safe.
                    loop {
                        match store.txn(txn.clone()).await {
                            Ok(outcome) if outcome.committed().is_some() => {
                                won.push(count + 1);
                                counted.fetch_add(1, Ordering::SeqCst);
                            }
                            Ok(_) => {}
                            Err(error) => {
                                assert!(error.is_retryable(), "{error}");
                                continue;
                            }
                        }
                        break;
                    }
                }
                won
            })
        })
        .collect();
    for _ in 0..4 {
        let victim = MemberId(rand::random_range(1..=3));
        net.cut_off(victim);
        tokio::time::sleep(Duration::from_millis(rand::random_range(200..900))).await;
        net.heal(victim);
        tokio::time::sleep(Duration::from_millis(rand::random_range(100..400))).await;
    }
    // However slow the machine is, something is counted in the end.
    eventually("it goes on", async || counted.load(Ordering::SeqCst) > 50).await;
    done.cancel();
    let mut won = Vec::new();
    for writer in writers {
        won.extend(writer.await.unwrap());
    }
    won.sort_unstable();
    let mut stored = None;
    eventually("the count can be read", async || {
        stored = stores[1].get(&key("counter"), Consistency::Linearizable).await.ok().flatten();
        stored.is_some()
    })
    .await;
    let count: u64 = std::str::from_utf8(&stored.unwrap().value).unwrap().parse().unwrap();
    assert_eq!(won, (1..=count).collect::<Vec<_>>(), "every count was won once");
    same_state(&[&stores[0], &stores[1], &stores[2]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_not_listened_to() {
    let net = Loopback::default();
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = RaftStore::open(options(dir.path(), 1, "one", net.transport(MemberId(1)))).await.unwrap();
    let mut other = options(other_dir.path(), 2, "two", net.transport(MemberId(2)));
    other.cluster_id = Some(ClusterId(7));
    let other = RaftStore::open(other).await.unwrap();
    net.connect(MemberId(2), other.peer_handler());
    store.add_learner(MemberId(2), "two".to_owned()).await.unwrap();
    put(&store, "a", "1").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(store.promote(MemberId(2)).await, Err(Error::NotCaughtUp { .. })));
    assert_eq!(other.revision().0, 0);
    store.remove(MemberId(2)).await.unwrap();
    assert_eq!(store.members().await.unwrap().len(), 1);
    store.txn(Txn::default().then(Op::Delete(key("a")))).await.unwrap();
}
