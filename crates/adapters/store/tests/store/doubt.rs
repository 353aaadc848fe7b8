//! What is told of a write whose answer was lost and whose repetition was refused: that it may have happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{Consistency, Error, MemberId, RequestId, StateStore, Txn, TxnOutcome};
use univrs_store::wire::{
    Channel, Limits, Refused, RemoteOptions, RemoteStore, Service, Services, StoreService, TcpDial,
    WireTransport, serve,
};
use univrs_store::{RaftStore, Transport, TransportError};

use crate::cluster::{CLUSTER, Node, join, steady};
use crate::support::{eventually, host, key, shared, single};

/// Long enough for several attempts.
const PATIENCE_OF_CLIENT: Duration = Duration::from_millis(1500);

fn named() -> Txn {
    Txn::put(key("a"), "1").with_request(RequestId { client: 7, sequence: 1 })
}

fn is_in_doubt(told: &Result<TxnOutcome, Error>) -> bool {
    matches!(told, Err(Error::Unavailable { may_have_committed: true, .. }))
}

/// A node that acts on a request, and dies before it answers.
struct Dying {
    node: Arc<StoreService>,
    armed: Arc<AtomicBool>,
    dies: CancellationToken,
}

impl Service for Dying {
    fn call(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Refused>> {
        let answer = self.node.call(body);
        if !self.armed.load(Ordering::SeqCst) {
            return answer;
        }
        let dies = self.dies.clone();
        async move {
            drop(answer.await);
            dies.cancel();
            futures::future::pending().await
        }
        .boxed()
    }

    fn open(&self, body: Bytes) -> Result<BoxStream<'static, Bytes>, Refused> {
        self.node.open(body)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_node_dies_is_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let store = RaftStore::open(single(dir.path())).await.unwrap();
    let (armed, dies) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let node = Arc::new(StoreService::new(shared(&store), Some(Arc::new(store.clone()))));
    let dying = Dying { node, armed: Arc::clone(&armed), dies: dies.clone() };
    let services = Services::new(store.cluster_id(), MemberId(1), Limits::default())
        .with(Channel::STORE, Arc::new(dying));
    let listener = TcpListener::bind((host(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(listener, services, dies));
    let options = RemoteOptions { timeout: PATIENCE_OF_CLIENT, ..RemoteOptions::new(vec![address]) };
    let mut remote = None;
    eventually("a connection", async || {
        remote = RemoteStore::connect(options.clone()).await.ok();
        remote.is_some()
    })
    .await;
    armed.store(true, Ordering::SeqCst);
    let told = remote.unwrap().txn(named()).await;
    assert!(is_in_doubt(&told), "{told:?}");
    assert!(store.get(&key("a"), Consistency::Linearizable).await.unwrap().is_some(), "it was written");
}

/// Loses the first answer, and then reaches nobody.
struct Losing {
    inner: WireTransport,
    armed: Arc<AtomicBool>,
    lost: AtomicBool,
}

#[async_trait]
impl Transport for Losing {
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        frame: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let address_of = || address.to_owned();
        if !self.armed.load(Ordering::SeqCst) {
            return self.inner.call(to, address, frame, timeout).await;
        }
        if self.lost.swap(true, Ordering::SeqCst) {
            let source = std::io::ErrorKind::NotConnected.into();
            return Err(TransportError::Unreachable { to, address: address_of(), source });
        }
        drop(self.inner.call(to, address, frame, timeout).await);
        let source = std::io::ErrorKind::ConnectionReset.into();
        Err(TransportError::Lost { to, address: address_of(), source })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_at_a_follower_that_loses_the_leader_is_in_doubt() {
    let armed = Arc::new(AtomicBool::new(false));
    let transport = Arc::new(Losing {
        inner: WireTransport::new(Arc::new(TcpDial), Some(CLUSTER)),
        armed: Arc::clone(&armed),
        lost: AtomicBool::new(false),
    });
    let first = Node::start(1, steady).await;
    let second = Node::start(2, |options| {
        steady(options);
        options.transport = transport;
        options.request_timeout = PATIENCE_OF_CLIENT;
    })
    .await;
    join(&[&first.store], 2, &second.address).await;
    eventually("the follower forwards", async || second.store.txn(Txn::put(key("b"), "1")).await.is_ok())
        .await;
    armed.store(true, Ordering::SeqCst);
    let told = second.store.txn(named()).await;
    assert!(is_in_doubt(&told), "{told:?}");
    assert!(first.store.get(&key("a"), Consistency::LOCAL).await.unwrap().is_some(), "it was written");
}
