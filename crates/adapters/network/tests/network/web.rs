//! Small web servers and clients for the tests of the ingress; all on loopback.

use std::convert::Infallible;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use univrs_network::ingress::{Ingress, IngressListener, IngressMetrics, IngressOptions};
use univrs_ports::network::{Route, ServiceTable};

/// How long a test may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// An address where nobody answers, a port that is given to nobody.
pub(crate) const CLOSED: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1);

/// An ingress under test.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) tables: watch::Sender<Arc<ServiceTable>>,
    pub(crate) metrics: Arc<IngressMetrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: tokio::task::JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start(options: IngressOptions, routes: Vec<Route>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(IngressListener::plain(listener), options, routes)
    }

    pub(crate) fn on(listener: IngressListener, options: IngressOptions, routes: Vec<Route>) -> Self {
        let (tables, receiver) = watch::channel(table(routes));
        let address = listener.address().unwrap();
        let ingress = Ingress::new(options, receiver);
        let (metrics, stop) = (ingress.metrics(), CancellationToken::new());
        let served = tokio::spawn(ingress.serve(vec![listener], stop.clone()));
        Self { address, tables, metrics, stop, served }
    }

    /// Authorities are answered this from now on.
    pub(crate) fn answer_authorities(&self, token: &str, answer: &str) {
        self.tables.send_modify(|table| {
            Arc::make_mut(table).challenges.insert(token.to_owned(), answer.to_owned());
        });
    }

    pub(crate) fn set(&self, routes: Vec<Route>) {
        self.tables.send(table(routes)).unwrap();
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Reply {
        send(self.address, request(Method::GET, host, path, "")).await.unwrap()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn table(routes: Vec<Route>) -> Arc<ServiceTable> {
    Arc::new(ServiceTable { routes, ..ServiceTable::default() })
}

pub(crate) fn route(host: &str, path: &str, backends: &[SocketAddrV4]) -> Route {
    Route { host: host.into(), path: path.into(), workload: "web".into(), backends: backends.to_vec() }
}

/// Times that do not pass; tests of one set it.
pub(crate) fn patient() -> IngressOptions {
    IngressOptions {
        connect_timeout: LIMIT,
        response_timeout: LIMIT,
        header_timeout: LIMIT,
        grace: LIMIT,
        ..IngressOptions::default()
    }
}

/// An instance that tells its name and what it was asked, after a while. It ends abruptly with this value.
pub(crate) struct Instance {
    pub(crate) address: SocketAddrV4,
    pub(crate) asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Instance {
    pub(crate) async fn start(name: &'static str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = v4(listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let counter = Arc::clone(&counter);
                let service = service_fn(move |request| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    tell(name, delay, request)
                });
                let server = hyper::server::conn::http1::Builder::new();
                connections.spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, asked, task }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tell(
    name: &str,
    delay: Duration,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    tokio::time::sleep(delay).await;
    let mut text = format!("{name} {} {} {}\n", parts.method, parts.uri, body.len());
    for (field, value) in &parts.headers {
        text.push_str(&format!("{field}: {}\n", value.to_str().unwrap_or("?")));
    }
    let response = Response::builder().header("x-instance", name).header("keep-alive", "timeout=5");
    Ok(response.body(Full::from(text)).unwrap())
}

pub(crate) fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("{address}"),
    }
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    /// Which instance answered.
    pub(crate) fn by(&self) -> &str {
        self.headers.get("x-instance").map_or("nobody", |value| value.to_str().unwrap())
    }
}

pub(crate) fn request(method: Method, host: &str, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).header("host", host).body(Full::from(body)).unwrap()
}

/// A connection of a client, for several requests.
pub(crate) async fn connect(address: SocketAddr) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

/// The same in HTTP/2, without encryption.
pub(crate) async fn connect_h2(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One request on a connection of its own.
pub(crate) async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Reply, hyper::Error> {
    let mut sender = connect(address).await;
    read(sender.send_request(request).await?).await
}

pub(crate) async fn read(response: Response<Incoming>) -> Result<Reply, hyper::Error> {
    let (parts, body) = response.into_parts();
    let text = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
    Ok(Reply { status: parts.status, headers: parts.headers, text })
}

/// Ends a test that hangs.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("in time")
}
