//! The API over TLS, with a certificate that was given. When its files change it is read again, so that a renewed one
//! is served without a restart.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use univrs_cli::UpArgs;
use univrs_network::ingress::{Certificates, Certified, ServerConfig, TlsError, server_config};

use crate::failure::Failure;

/// How long a client may take to agree on encryption.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; who comes beyond waits.
const HANDSHAKES: usize = 256;
/// Connections that may wait to be taken.
const WAITING: usize = 64;
/// Shortest time between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after the kernel gave no connection, for want of files for one.
const PAUSE: Duration = Duration::from_millis(200);

/// A certificate and the files that it comes from.
pub(super) struct GivenCertificate {
    files: [PathBuf; 2],
    /// When they were written, as last seen.
    written: [Option<SystemTime>; 2],
    config: Arc<ServerConfig>,
}

impl GivenCertificate {
    /// What the flags say. A certificate that cannot be used stops the start: nobody should send a token without the
    /// encryption that was asked for.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not belong together.
    pub(super) fn read(args: &UpArgs) -> Result<Option<Self>, Failure> {
        let (Some(cert), Some(key)) = (&args.api_cert, &args.api_key) else { return Ok(None) };
        let files = [cert.clone(), key.clone()];
        let written = files.each_ref().map(written);
        let config = config(&files)?;
        Ok(Some(Self { files, written, config }))
    }

    /// The settings by the files as they are now; as they were, while the new ones cannot be used.
    fn current(&mut self) -> Arc<ServerConfig> {
        let now = self.files.each_ref().map(written);
        if now != self.written {
            // Once for each change, so that a certificate without its key yet is not told of for each connection.
            self.written = now;
            match config(&self.files) {
                Ok(config) => {
                    tracing::info!(certificate = %self.files[0].display(), "the certificate of the API was read again");
                    self.config = config;
                }
                Err(failure) => {
                    let reason = failure.explain();
                    tracing::warn!(
                        reason,
                        "the new certificate of the API cannot be used; the one before is served on"
                    );
                }
            }
        }
        Arc::clone(&self.config)
    }
}

fn written(path: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn config(files: &[PathBuf; 2]) -> Result<Arc<ServerConfig>, Failure> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| Failure::File { doing: "read", path: path.clone(), source })
    };
    let unusable = |source: TlsError| Failure::ApiCertificate { path: files[0].clone(), source };
    let certified = Certified::read(&read(&files[0])?, &read(&files[1])?).map_err(unusable)?;
    let config = server_config(Certificates::new(Some(certified))).map_err(unusable)?;
    let mut config = ServerConfig::clone(&config);
    // WebSockets are opened over HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A listener whose connections are encrypted. Whoever is slow to agree on that holds up nobody else.
pub(super) struct ApiListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl ApiListener {
    /// Takes connections from `tcp`, which was bound as `asked`, until this is dropped.
    ///
    /// # Errors
    /// When the listener does not know its address.
    pub(super) fn new(
        tcp: TcpListener,
        asked: SocketAddr,
        certificate: GivenCertificate,
    ) -> Result<Self, Failure> {
        let address = tcp.local_addr().map_err(|source| Failure::Listen { address: asked, source })?;
        let (sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(take(tcp, certificate, sender));
        Ok(Self { ready, address })
    }
}

async fn take(
    tcp: TcpListener,
    mut certificate: GivenCertificate,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let mut config = certificate.current();
    let mut looked = Instant::now();
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = tcp.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection of the API was not taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            config = certificate.current();
        }
        let Ok(place) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (acceptor, ready) = (TlsAcceptor::from(Arc::clone(&config)), ready.clone());
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            drop(place);
            match shaken {
                // When nobody takes it, the daemon stops.
                Ok(Ok(stream)) => drop(ready.send((stream, from)).await),
                Ok(Err(error)) => tracing::debug!(%from, %error, "a client did not agree on encryption"),
                Err(_) => tracing::debug!(%from, "a client did not agree on encryption in time"),
            }
        });
    }
}

impl univrs_api::Listener for ApiListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Who sends ends only with this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}
