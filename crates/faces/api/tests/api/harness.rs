//! A face over a real control plane on the store in memory, with images that only count what is done to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use univrs_agent::LocalNodeAccess;
use univrs_api::{App, Metrics};
use univrs_authz::Authorizer;
use univrs_control::{Control, LocalControlPlane, Mirror};
use univrs_model::Timestamp;
use univrs_model::ids::{NodeId, OrgId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::node::Node;
use univrs_model::org::Org;
use univrs_ports::clock::ManualClock;
use univrs_ports::control_plane::ControlPlane;
use univrs_ports::images::{
    Archive, ArchiveFormat, BlobPlace, BlobState, ImageError, ImageLibrary, ImageSummary, Images,
    PreparedImage, PullPolicy,
};
use univrs_ports::seal::Sealer;
use univrs_ports::store::{Key, MemoryStore, Op, StateStore, Txn};
use univrs_seal::ValidatorSealer;

/// A face and what is behind it.
pub(crate) struct Face {
    /// As bound to loopback.
    here: Router,
    /// As bound elsewhere.
    outside: Router,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) images: Arc<CountedImages>,
}

/// A reply.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The text of a token that was just made.
    pub(crate) fn token(&self) -> String {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.body);
        self.body["token"].as_str().unwrap().to_owned()
    }

    /// One field of each item of a list.
    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        let text = |item: &Value| item[field].as_str().unwrap_or_default().to_owned();
        self.body["items"].as_array().unwrap().iter().map(text).collect()
    }

    pub(crate) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}

impl Face {
    /// A face with a node `one`, the organisation `default` and its workload `web`.
    pub(crate) async fn start() -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_000_000).unwrap()));
        let org = Org {
            id: OrgId::from_bits(1),
            name: Name::default_org(),
            created_at: Timestamp::UNIX_EPOCH,
            tier: None,
        };
        let at = Key::new(keys::organisation(&org.name)).unwrap();
        store.txn(Txn::create(at, serde_json::to_vec(&org).unwrap())).await.unwrap();
        let sealer = ValidatorSealer::new(NodeId::from_bits(1), &[7; 32]).unwrap();
        let at = Key::new(keys::validator_key(&NodeId::from_bits(1))).unwrap();
        let public = serde_json::to_vec(&sealer.public_key()).unwrap();
        store.txn(Txn::create(at, public)).await.unwrap();
        let mirror = Mirror::start(store.clone(), Vec::new(), CancellationToken::new()).await.unwrap();
        let node: Node = serde_json::from_value(json!({
            "id": "nd_one", "name": "one", "roles": ["validator", "business", "slim"],
            "location": {"cloud": "local", "region": "local", "zone": "local", "operator": "local"},
            "capacity": {"cpu": "4", "memory": "4Gi", "disk": "4Gi"}, "runtime": "simulated",
            "api_address": "127.0.0.1:1", "version": "0", "labels": {}, "bind_paths": ["/etc"], "created_at": clock_start(),
        }))
        .unwrap();
        LocalControlPlane::new(store.clone(), mirror.clone(), clock.clone()).register(&node).await.unwrap();
        // Nobody keeps its lease here, and a test that takes long must not see the node go.
        let alive = Key::new(keys::node_alive(&node.id)).unwrap();
        let stays = vec![Op::Put { key: alive, value: Default::default(), lease: None }];
        store.txn(Txn { request: None, guards: Vec::new(), ops: stays }).await.unwrap();
        let access = Arc::new(LocalNodeAccess::new(NodeId::from_bits(1), None));
        let authorizer = Arc::new(Authorizer::new().unwrap());
        let images = Arc::new(CountedImages::default());
        let control =
            Control::new(store.clone(), mirror, clock.clone(), access, Arc::new(sealer), authorizer);
        let app = |loopback| App {
            notifier: Arc::new(univrs_notify::Messenger::default()),
            control: control.clone(),
            images: images.clone(),
            mesh: Arc::new(univrs_ports::mesh::NoMesh("this is a test".to_owned())),
            peers: univrs_api::Peers::default(),
            clock: clock.clone(),
            metrics: Arc::new(Metrics::default()),
            elsewhere: None,
            loopback,
            shutdown: CancellationToken::new(),
        };
        let (here, outside) = (univrs_api::router(app(true)), univrs_api::router(app(false)));
        let face = Self { here, outside, store, clock, images };
        let made = face.on_the_machine(Method::POST, "/api/workloads", web()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        face
    }

    /// As someone on the machine.
    pub(crate) async fn on_the_machine(&self, method: Method, path: &str, body: Value) -> Answer {
        send(&self.here, request(method, path, &body)).await
    }

    /// As the holder of a token, from elsewhere.
    pub(crate) async fn holding(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let mut request = request(method, path, &body);
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        send(&self.outside, request).await
    }

    /// A request as it is, from elsewhere.
    pub(crate) async fn ask_outside(&self, request: Request<Body>) -> Answer {
        send(&self.outside, request).await
    }

    /// A request as it is, on the machine.
    pub(crate) async fn ask_here(&self, request: Request<Body>) -> Answer {
        send(&self.here, request).await
    }

    /// Makes a token, as someone on the machine.
    pub(crate) async fn make_token(&self, org: &str, spec: Value) -> String {
        self.on_the_machine(Method::POST, &format!("/api/tokens?org={org}"), spec).await.token()
    }

    /// Makes an organisation, as someone on the machine.
    pub(crate) async fn make_org(&self, name: &str) {
        let made = self.on_the_machine(Method::POST, "/api/orgs", json!({"name": name})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.on_the_machine(Method::GET, path, Value::Null).await
    }
}

fn clock_start() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

pub(crate) fn web() -> Value {
    json!({"name": "web", "image": "web:1"})
}

/// A request; null means that it has no body.
pub(crate) fn request(method: Method, path: &str, body: &Value) -> Request<Body> {
    let bytes = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(bytes)
        .unwrap()
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let reply = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (reply.status(), reply.headers().clone());
    let bytes = axum::body::to_bytes(reply.into_body(), 1 << 20).await.unwrap();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) }
}

/// Images that cannot be brought and count the tries.
#[derive(Default)]
pub(crate) struct CountedImages(AtomicUsize);

impl CountedImages {
    /// How often anything was to be changed.
    pub(crate) fn writes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn write<T>(&self, reference: &str, answer: T) -> Result<T, ImageError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if reference.contains("absent") {
            let (reference, place) = (reference.to_owned(), "on this machine".to_owned());
            return Err(ImageError::NotFound { reference, place });
        }
        Ok(answer)
    }
}

fn summary(reference: &str) -> ImageSummary {
    let digest = format!("sha256:{}", "0".repeat(64));
    ImageSummary { reference: reference.to_owned(), digest, size: 1, created_at: clock_start() }
}

#[async_trait]
impl Images for CountedImages {
    async fn prepare(&self, reference: &str, _: PullPolicy) -> Result<PreparedImage, ImageError> {
        let (reference, place) = (reference.to_owned(), "on this machine".to_owned());
        Err(ImageError::NotFound { reference, place })
    }

    async fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        Ok(vec![summary("web:1")])
    }

    async fn remove(&self, reference: &str) -> Result<(), ImageError> {
        self.write(reference, ())
    }

    async fn collect_garbage(&self, _: &[String]) -> Result<u64, ImageError> {
        Ok(0)
    }
}

#[async_trait]
impl ImageLibrary for CountedImages {
    async fn pull(&self, reference: &str) -> Result<ImageSummary, ImageError> {
        self.write(reference, summary(reference))
    }

    async fn push(&self, reference: &str, _: &str) -> Result<(), ImageError> {
        self.write(reference, ())
    }

    async fn import(&self, _: Archive) -> Result<Vec<ImageSummary>, ImageError> {
        self.write("web:1", vec![summary("web:1")])
    }

    async fn export(&self, _: &str, _: ArchiveFormat) -> Result<Archive, ImageError> {
        Ok(Box::new(tokio::io::empty()))
    }

    async fn blob_state(&self, _: &str) -> Result<BlobState, ImageError> {
        Ok(BlobState { place: BlobPlace::Nowhere, received: 0 })
    }

    async fn take_blob(&self, digest: &str, _: u64, size: u64, _: Archive) -> Result<BlobState, ImageError> {
        self.write(digest, BlobState { place: BlobPlace::Here, received: size })
    }

    async fn take_manifest(&self, reference: &str, _: Vec<u8>) -> Result<ImageSummary, ImageError> {
        self.write(reference, summary(reference))
    }

    async fn pack_self(&self, reference: &str) -> Result<ImageSummary, ImageError> {
        self.write(reference, summary(reference))
    }
}
