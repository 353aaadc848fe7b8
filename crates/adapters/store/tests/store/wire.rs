//! The store over the wire, and the wire by itself against those who break its rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{
    ClusterId, Consistency, Error, MemberId, Page, Prefix, RequestId, Revision, StateStore, Txn, WatchError,
    conformance,
};
use univrs_store::wire::{
    Channel, Limits, Refused, RemoteOptions, RemoteStore, Service, Services, StoreService, TcpDial,
    WireTransport, serve,
};
use univrs_store::{Options, RaftStore, Transport, TransportError};

use crate::cluster::{CLUSTER, steady_three, three};
use crate::support::{PATIENCE, eventually, host, key, put, shared, single};

/// One node with its store served on a port.
struct Served {
    store: RaftStore,
    address: String,
    stop: CancellationToken,
    _dir: TempDir,
}

async fn served(tune: impl FnOnce(&mut Options)) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let mut options = single(dir.path());
    tune(&mut options);
    let store = RaftStore::open(options).await.unwrap();
    let service = Arc::new(StoreService::new(shared(&store), Some(Arc::new(store.clone()))));
    let services =
        Services::new(store.cluster_id(), MemberId(1), Limits::default()).with(Channel::STORE, service);
    let (address, stop) = listen(services).await;
    Served { store, address, stop, _dir: dir }
}

async fn listen(services: Services) -> (String, CancellationToken) {
    let listener = TcpListener::bind((host(), 0)).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap().to_string(), CancellationToken::new());
    tokio::spawn(serve(listener, services, stop.clone()));
    (address, stop)
}

fn patient(nodes: Vec<String>) -> RemoteOptions {
    RemoteOptions { timeout: PATIENCE, ..RemoteOptions::new(nodes) }
}

async fn remote(address: &str) -> RemoteStore {
    RemoteStore::connect(patient(vec![address.to_owned()])).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_over_the_wire() {
    let node = served(|_| {}).await;
    conformance::all(Arc::new(remote(&node.address).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_over_the_wire_through_a_follower() {
    let nodes = steady_three().await;
    let options = RemoteOptions { to_leader: false, ..patient(vec![nodes[2].address.clone()]) };
    conformance::all(Arc::new(RemoteStore::connect(options).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_larger_than_a_frame_is_one_view() {
    let node = served(|_| {}).await;
    for number in 0..70 {
        put(&node.store, &format!("big/{number:02}"), vec![number; 1 << 20]).await;
    }
    let remote = remote(&node.address).await;
    let range = |store: Arc<dyn StateStore>| async move {
        store.range(&Prefix::new("big/"), Page::all(), Consistency::LOCAL).await.unwrap()
    };
    let (here, there) = (range(shared(&node.store)).await, range(Arc::new(remote)).await);
    assert_eq!(here, there);
    assert_eq!(there.items.len(), 70);
}

/// Writers and a watcher on the wire go on when the leader, to which they are connected, dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_outlive_the_leader() {
    let mut nodes = three().await;
    let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
    let options = RemoteOptions { cluster: Some(CLUSTER), ..patient(addresses) };
    let remote = RemoteStore::connect(options).await.unwrap();
    let mut watch = remote.watch(&Prefix::new("n/"), Revision(0)).await.unwrap();
    let (written, done) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let writer = tokio::spawn({
        let (remote, written, done) = (remote.clone(), Arc::clone(&written), done.clone());
        async move {
            while !done.is_cancelled() {
                let number = written.load(Ordering::Relaxed);
                let request = RequestId { client: 1, sequence: number };
                let txn = Txn::create(key(&format!("n/{number:06}")), "x").with_request(request);
                match remote.txn(txn).await {
                    Ok(outcome) => {
                        assert!(outcome.committed().is_some(), "written twice: {outcome:?}");
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        }
    });
    eventually("some are written", async || written.load(Ordering::Relaxed) > 50).await;
    let dead = nodes.remove(0);
    let _dir = dead.stop().await;
    let before = written.load(Ordering::Relaxed);
    eventually("writing goes on", async || written.load(Ordering::Relaxed) > before + 50).await;
    done.cancel();
    writer.await.unwrap();
    let (count, mut seen, mut last) = (written.load(Ordering::Relaxed), 0, Revision(0));
    while seen < count {
        let batch = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap();
        let batch = batch.unwrap().unwrap();
        assert!(batch.revision > last, "repeated or reordered");
        last = batch.revision;
        for event in batch.events {
            assert_eq!(event.key(), &key(&format!("n/{seen:06}")), "a gap");
            seen += 1;
        }
    }
}

/// A watcher that does not read makes nobody keep anything for it: it is told that it fell behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_does_not_read_falls_behind() {
    let node = served(|options| options.history_bytes = 1 << 20).await;
    let remote = remote(&node.address).await;
    let mut watch = remote.watch(&Prefix::new("w/"), Revision(0)).await.unwrap();
    for number in 0..60 {
        put(&node.store, "w/x", vec![number; 100_000]).await;
    }
    let (mut batches, mut end) = (0, None);
    while let Some(item) = watch.next().await {
        match item {
            Ok(_) => batches += 1,
            Err(error) => end = Some(error),
        }
    }
    assert!(matches!(end, Some(WatchError::Compacted { .. })), "{end:?}");
    assert!(batches < 30, "{batches}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_written_says_so() {
    let node = served(|_| {}).await;
    let options = RemoteOptions {
        timeout: Duration::from_millis(400),
        ..RemoteOptions::new(vec![node.address.clone()])
    };
    let mut remote = None;
    eventually("a connection", async || {
        remote = RemoteStore::connect(options.clone()).await.ok();
        remote.is_some()
    })
    .await;
    let remote = remote.unwrap();
    node.stop.cancel();
    eventually("the connection is seen to have ended", async || {
        let refused = remote.txn(Txn::put(key("a"), "1")).await;
        // Sent into the end of the connection at first, then not sent at all.
        matches!(refused, Err(Error::Unavailable { may_have_committed: false, .. }))
    })
    .await;
}

#[tokio::test]
async fn strangers_are_told_why() {
    let node = served(|_| {}).await;
    let wrong = RemoteOptions { cluster: Some(ClusterId(7)), ..patient(vec![node.address.clone()]) };
    let refused = RemoteStore::connect(wrong).await.err().unwrap();
    assert!(matches!(refused, Error::OtherCluster { expected: ClusterId(7), .. }), "{refused}");

    // A member asks where only the store is offered.
    let transport = WireTransport::new(Arc::new(TcpDial), None);
    let refused = transport.call(MemberId(1), &node.address, "x".into(), PATIENCE).await.unwrap_err();
    assert!(matches!(refused, TransportError::Unreachable { .. }), "{refused}");

    // Something else answers on the port.
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = web.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        // Left open: to close it with a greeting unread would take back what was written.
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = web.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            open.push(stream);
        }
    });
    // On a machine that stands still for the time of a greeting it is called silent first.
    eventually("it is told that this is no node", async || {
        let refused = transport.call(MemberId(1), &address, "x".into(), PATIENCE).await;
        let TransportError::Unreachable { source, .. } = refused.unwrap_err() else { return false };
        source.to_string().contains("not a node of Univrs")
    })
    .await;
}

/// Garbage, half frames and frames out of place end their own connection and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bytes_end_only_their_own_connection() {
    let node = served(|_| {}).await;
    let remote = remote(&node.address).await;
    let hello: &[u8] = b"univrs wire\n\0\0\0\x0f\x0b\0\0\0\0\0\0\0\0\x01\x01\xff\xff\x03\0";
    let frame = |length: u32, kind: u8, body: &[u8]| {
        let mut frame = hello.to_vec();
        frame.extend(length.to_be_bytes());
        frame.push(kind);
        frame.extend(9_u64.to_be_bytes());
        frame.extend(body);
        frame
    };
    let attacks = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"univrs wire\n\xff\xff\xff\xff".to_vec(),
        b"univrs wire\n\0\0\0\x09\x0b\0\0\0\0\0\0\0\0".to_vec(),
        frame(u32::MAX, 1, &[]),
        frame(3, 1, &[]),
        frame(9, 99, &[]),
        frame(9, 6, &[]),
        frame(10, 3, &[1]),
    ];
    for attack in attacks {
        let mut stream = TcpStream::connect(&node.address).await.unwrap();
        stream.write_all(&attack).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "still open after {attack:?}");
    }
    // A request that makes no sense is refused, and the connection goes on.
    let mut stream = TcpStream::connect(&node.address).await.unwrap();
    stream.write_all(&frame(12, 1, &[1, 250, 3])).await.unwrap();
    let mut answers = vec![0; 512];
    eventually("a refusal", async || {
        let read = stream.read(&mut answers).await.unwrap();
        assert!(read > 0, "the connection ended");
        String::from_utf8_lossy(&answers).contains("not understood")
    })
    .await;
    remote.txn(Txn::put(key("still"), "works")).await.unwrap();
}

/// Answers as late as it is asked to, or when it is let.
struct Slow {
    gate: Arc<Semaphore>,
}

/// What is answered when it is let.
const GATED: u8 = 255;

impl Service for Slow {
    fn call(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Refused>> {
        let gate = Arc::clone(&self.gate);
        async move {
            match body[0] {
                GATED => drop(gate.acquire().await),
                pause => tokio::time::sleep(Duration::from_millis(u64::from(pause) * 10)).await,
            }
            Ok(body)
        }
        .boxed()
    }

    fn open(&self, _: Bytes) -> Result<BoxStream<'static, Bytes>, Refused> {
        Err(Refused("there are no streams here".to_owned()))
    }
}

/// Many requests share a connection; a slow one holds up none, and more than are let wait their turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answers_hold_up_nobody() {
    let gate = Arc::new(Semaphore::new(0));
    let limits = Limits { in_flight: 50, ..Limits::default() };
    let services = Services::new(CLUSTER, MemberId(1), limits)
        .with(Channel::MEMBERS, Arc::new(Slow { gate: Arc::clone(&gate) }));
    let (address, _stop) = listen(services).await;
    let transport = Arc::new(WireTransport::new(Arc::new(TcpDial), None));
    let ask = |pause: u8| {
        let (transport, address) = (Arc::clone(&transport), address.clone());
        async move {
            let frame = Bytes::from(vec![pause; 3]);
            let answer = transport.call(MemberId(1), &address, frame.clone(), PATIENCE).await.unwrap();
            assert_eq!(answer, frame);
        }
    };
    let late = tokio::spawn(ask(GATED));
    futures::future::join_all((0..40).map(|_| ask(0))).await;
    futures::future::join_all((0..200).map(|_| ask(1))).await;
    assert!(!late.is_finished());
    gate.add_permits(1);
    late.await.unwrap();
}
