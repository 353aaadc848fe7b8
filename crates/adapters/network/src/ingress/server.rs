//! The clients' side of the ingress: listeners and connections.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_ports::network::ServiceTable;

use super::headers::Client;
use super::metrics::{Counted, IngressMetrics};
use super::options::IngressOptions;
use super::proxy::Proxy;
use super::routes::Routes;

/// Pause between attempts to have a port that is taken.
const REOPEN: Duration = Duration::from_secs(5);

/// Where clients come in.
#[derive(Debug)]
pub struct IngressListener {
    tcp: Tcp,
    tls: Option<Arc<ServerConfig>>,
}

#[derive(Debug)]
enum Tcp {
    Open(TcpListener),
    /// To be opened once there is a reason.
    Later(SocketAddr, watch::Receiver<bool>),
}

impl IngressListener {
    /// For HTTP/1.1, and HTTP/2 where the client begins with it.
    pub fn plain(tcp: TcpListener) -> Self {
        Self { tcp: Tcp::Open(tcp), tls: None }
    }

    /// For the same over TLS; see [`super::server_config`].
    pub fn encrypted(tcp: TcpListener, tls: Arc<ServerConfig>) -> Self {
        Self { tcp: Tcp::Open(tcp), tls: Some(tls) }
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// When it is taken or absent.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        Ok(Self { tcp: Tcp::Open(TcpListener::bind(address).await?), tls })
    }

    /// Listens at an address over TLS as soon as `wanted` says so, and tries again while the address is taken.
    pub fn later(address: SocketAddr, tls: Arc<ServerConfig>, wanted: watch::Receiver<bool>) -> Self {
        Self { tcp: Tcp::Later(address, wanted), tls: Some(tls) }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say, or it does not listen yet.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match &self.tcp {
            Tcp::Open(tcp) => tcp.local_addr(),
            Tcp::Later(..) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

/// A reverse proxy that waits to be served.
#[derive(Debug)]
pub struct Ingress {
    proxy: Arc<Proxy>,
}

impl Ingress {
    /// An ingress for the routes of a table that others renew.
    pub fn new(options: IngressOptions, tables: watch::Receiver<Arc<ServiceTable>>) -> Self {
        let metrics = Arc::new(IngressMetrics::default());
        let table = Arc::clone(&tables.borrow());
        let routes = Mutex::new(Arc::new(Routes::new(table, None, &options, &metrics)));
        let (tasks, abort) = (TaskTracker::new(), CancellationToken::new());
        Self { proxy: Arc::new(Proxy { options, metrics, tables, routes, tasks, abort }) }
    }

    /// What it counts.
    pub fn metrics(&self) -> Arc<IngressMetrics> {
        Arc::clone(&self.proxy.metrics)
    }

    /// Serves until `stop`, then lets requests finish for the time of grace and ends the rest.
    pub async fn serve(self, listeners: Vec<IngressListener>, stop: CancellationToken) {
        let Self { proxy } = self;
        let room = Arc::new(Semaphore::new(proxy.options.max_connections));
        for listener in listeners {
            let accepting = accept(Arc::clone(&proxy), listener, Arc::clone(&room), stop.clone());
            proxy.tasks.spawn(accepting);
        }
        stop.run_until_cancelled(follow_tables(&proxy)).await;
        stop.cancelled().await;
        proxy.tasks.close();
        if tokio::time::timeout(proxy.options.grace, proxy.tasks.wait()).await.is_err() {
            tracing::warn!(left = proxy.tasks.len(), "the time of grace is over; connections are cut");
            proxy.abort.cancel();
            proxy.tasks.wait().await;
        }
    }
}

/// Closes the connections to instances that left the table, also when no request comes.
async fn follow_tables(proxy: &Proxy) {
    let mut tables = proxy.tables.clone();
    while tables.changed().await.is_ok() {
        proxy.routes();
    }
}

async fn open(address: SocketAddr, mut wanted: watch::Receiver<bool>) -> TcpListener {
    if wanted.wait_for(|wanted| *wanted).await.is_err() {
        // Nobody can want it any more.
        std::future::pending::<()>().await;
    }
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(tcp) => return tcp,
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::warn!(%address, %error, "no HTTPS ingress on this node yet; stop what has the port or give another --ingress-tls");
            }
            Err(_) => {}
        }
        tokio::time::sleep(REOPEN).await;
    }
}

async fn accept(proxy: Arc<Proxy>, listener: IngressListener, room: Arc<Semaphore>, stop: CancellationToken) {
    let tls = listener.tls.map(TlsAcceptor::from);
    let tcp = match listener.tcp {
        Tcp::Open(tcp) => tcp,
        Tcp::Later(address, wanted) => match stop.run_until_cancelled(open(address, wanted)).await {
            Some(tcp) => tcp,
            None => return,
        },
    };
    let next = async || {
        let permit = Arc::clone(&room).acquire_owned().await;
        (tcp.accept().await, permit)
    };
    while let Some((accepted, permit)) = stop.run_until_cancelled(next()).await {
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly too many open files: others must end first.
                tracing::warn!(%error, "the ingress could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (proxy, tls, stop) = (Arc::clone(&proxy), tls.clone(), stop.clone());
        proxy.clone().tasks.spawn(async move {
            let _counted = Counted::new(&proxy.metrics);
            let abort = proxy.abort.clone();
            abort.run_until_cancelled(connect(proxy, stream, from, tls, stop)).await;
            drop(permit);
        });
    }
}

async fn connect(
    proxy: Arc<Proxy>,
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    // Small answers must not wait for more; a socket that cannot is served all the same.
    drop(stream.set_nodelay(true));
    let client = Client { address: from.ip().to_canonical(), encrypted: tls.is_some() };
    let Some(tls) = tls else {
        return serve_connection(proxy, stream, client, stop).await;
    };
    match tokio::time::timeout(proxy.options.header_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_connection(proxy, stream, client, stop).await,
        Ok(Err(error)) => tracing::debug!(%from, %error, "a client could not agree on encryption"),
        Err(_) => tracing::debug!(%from, "a client took too long to agree on encryption"),
    }
}

async fn serve_connection<S>(proxy: Arc<Proxy>, stream: S, client: Client, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let options = &proxy.options;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_headers(options.max_headers)
        .max_buf_size(options.max_header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .keep_alive_interval(Duration::from_secs(30));
    let began = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        began.store(true, Ordering::Relaxed);
        Arc::clone(&proxy).handle(request, client)
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // The protocol is guessed from the first bytes, and no limit of the protocols applies before that.
    let mut silence = pin!(tokio::time::sleep(options.header_timeout));
    let (mut stopping, mut watching) = (false, true);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a client's connection ended badly");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = silence.as_mut(), if watching => {
                watching = false;
                if !began.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}
