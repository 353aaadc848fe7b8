//! Encryption towards clients, with certificates that others obtained: one that the node was given, and those of hosts.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_rustls::rustls;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's text is not PEM.
    #[error("the certificate cannot be read")]
    Certificate(#[source] pem::Error),
    /// The key's text is not PEM.
    #[error("the private key cannot be read")]
    Key(#[source] pem::Error),
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("the certificate and the key cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// A certificate that is ready to be served.
#[derive(Clone, Debug)]
pub struct Certified(Arc<CertifiedKey>);

impl Certified {
    /// `certificates` is the chain, the server's own first; both are PEM.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn read(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(TlsError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        let certified =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(TlsError::Pair)?;
        Ok(Self(Arc::new(certified)))
    }
}

/// The certificates of an ingress: of hosts, and one for whoever names another host or none.
#[derive(Debug)]
pub struct Certificates {
    given: Option<Certified>,
    hosts: RwLock<BTreeMap<String, Certified>>,
    any: watch::Sender<bool>,
}

impl Certificates {
    /// Those of no host yet, and the one that was given.
    pub fn new(given: Option<Certified>) -> Arc<Self> {
        let any = watch::Sender::new(given.is_some());
        Arc::new(Self { given, hosts: RwLock::default(), any })
    }

    /// Serves the hosts with these from now on, and with no others.
    pub fn replace(&self, hosts: BTreeMap<String, Certified>) {
        self.any.send_replace(self.given.is_some() || !hosts.is_empty());
        *self.hosts.write().unwrap_or_else(PoisonError::into_inner) = hosts;
    }

    /// Whether there is any.
    pub fn any(&self) -> watch::Receiver<bool> {
        self.any.subscribe()
    }

    fn of(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        let own = host.and_then(|host| hosts.get(&host.to_ascii_lowercase()));
        own.or(self.given.as_ref()).map(|certified| Arc::clone(&certified.0))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of(hello.server_name())
    }
}

/// The settings of an encrypted listener: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1. The client's first words name the host
/// whose certificate it gets.
///
/// # Errors
/// When TLS cannot be set up.
pub fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
