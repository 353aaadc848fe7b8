#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! Certificates, rosters and waiting.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::rustls::crypto::aws_lc_rs;
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use quinn::rustls::server::WebPkiClientVerifier;
use quinn::rustls::version::TLS13;
use quinn::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::time::{Instant, sleep, timeout};
use univrs_mesh::discovery::{Options, PeerKey, Peers};
use univrs_mesh::members::quic::{Guard, QuicChannel, Tls};
use univrs_model::ids::{ClusterId, NodeId};
use univrs_ports::discovery::{Admission, Discovery, PeerRecord};

/// Patience with a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn node(index: u8) -> NodeId {
    NodeId::from_bits(u128::from(index) * 7_919_000_000_007 + 1)
}

pub(crate) fn cluster() -> ClusterId {
    ClusterId::from_bits(5)
}

/// An address of the loopback network that nobody else has, so that nobody takes a port of it while it is let go of.
pub(crate) fn own_host() -> std::net::Ipv4Addr {
    let [first, second, third, _] = rand::random::<[u8; 4]>();
    std::net::Ipv4Addr::new(127, first.max(1), second, third.clamp(1, 254))
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Waits until `check` holds and says how long that took.
pub(crate) async fn until(what: &str, limit: Duration, mut check: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < limit, "{what} did not happen within {limit:?}");
        sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

/// An authority that makes certificates, as the cluster's does.
pub(crate) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    root: CertificateDer<'static>,
    /// Certificate → node: what a membership record would say.
    issued: Arc<Mutex<HashMap<Vec<u8>, NodeId>>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: rcgen::Issuer::new(params, key), root, issued: Arc::default() }
    }

    /// Both sides of TLS for this node.
    pub(crate) fn tls(&self, node: &NodeId) -> Tls {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["univrs.node".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        self.issued.lock().unwrap().insert(certificate.to_vec(), node.clone());
        let private = || PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.clone()], private())
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], private())
            .unwrap();
        Tls { client, server }
    }

    /// A channel of this node on loopback.
    pub(crate) fn channel(&self, node: &NodeId) -> QuicChannel {
        let issued = Arc::clone(&self.issued);
        let guard: Guard = Arc::new(move |certificate: &CertificateDer<'static>| {
            issued.lock().unwrap().get(certificate.as_ref()).cloned()
        });
        QuicChannel::open(loopback(), self.tls(node), guard).unwrap()
    }
}

/// Who is a member: node → peer.
#[derive(Default)]
pub(crate) struct Roster(Mutex<HashMap<NodeId, String>>);

impl Roster {
    pub(crate) fn of(nodes: &[u8]) -> Arc<Self> {
        let roster = Self::default();
        nodes.iter().for_each(|index| roster.add(*index));
        Arc::new(roster)
    }

    pub(crate) fn add(&self, index: u8) {
        self.0.lock().unwrap().insert(node(index), key(index).peer());
    }

    pub(crate) fn remove(&self, index: u8) {
        self.0.lock().unwrap().remove(&node(index));
    }
}

impl Admission for Roster {
    fn admit(&self, peer: &str, node: &NodeId) -> Result<(), String> {
        match self.0.lock().unwrap().get(node) {
            Some(known) if known == peer => Ok(()),
            Some(_) => Err("the node has another key".to_owned()),
            None => Err("the node is not a member".to_owned()),
        }
    }
}

pub(crate) fn key(index: u8) -> PeerKey {
    PeerKey::from_seed([index; 32]).unwrap()
}

pub(crate) fn options(index: u8) -> Options {
    let mut options = Options::visitor(key(index), "1.2.3");
    options.listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"]
        .map(str::to_owned)
        .into();
    options.record = PeerRecord {
        node: Some(node(index)),
        cluster: Some(cluster()),
        join: Some(format!("127.0.0.1:{}", 9000 + u16::from(index))),
        ..options.record
    };
    options
}

/// A peer on loopback and where it listens: QUIC, TCP and WebSocket.
pub(crate) async fn peer(index: u8, roster: &Arc<Roster>) -> Peers {
    start(options(index), roster).await
}

pub(crate) async fn start(options: Options, roster: &Arc<Roster>) -> Peers {
    let listens = options.listen.len();
    let peers = Peers::start(options, Arc::clone(roster) as Arc<dyn Admission>).await.unwrap();
    until("listening", LIMIT, || peers.listening().borrow().len() >= listens).await;
    peers
}

/// Its address of one kind, such as `quic-v1`.
pub(crate) fn address(peers: &Peers, kind: &str) -> String {
    let all = peers.listening().borrow().clone();
    let plain_tcp = |address: &str| kind == "tcp" && address.contains("/tcp/") && !address.contains("/ws");
    all.into_iter()
        .find(|address| plain_tcp(address) || (kind != "tcp" && address.contains(&format!("/{kind}"))))
        .unwrap()
}

/// Asks until there is an answer: a busy machine may be too slow for the first time.
pub(crate) async fn ask(peers: &Peers, address: &str) -> PeerRecord {
    let answer = async {
        loop {
            if let Ok(record) = peers.ask(address).await {
                return record;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(LIMIT, answer).await.unwrap()
}
