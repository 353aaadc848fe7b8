//! This node's key and certificates: their files, and what connections are made with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use univrs_model::ids::NodeId;
use univrs_trust::tls::{self, Membership};
use univrs_trust::{Credentials, NodeKey, TrustError};

use crate::cluster::directory::Directory;
use crate::failure::Failure;

/// Certificates as they lie in the data directory, in DER as hex.
#[derive(Serialize, Deserialize)]
struct Certificates {
    certificate: String,
    authority: String,
}

/// Where key and certificates lie.
pub(crate) struct Files {
    /// The node's private key.
    pub(crate) key: PathBuf,
    /// Its certificate and the authority's.
    pub(crate) certificates: PathBuf,
}

impl Files {
    /// The node's key, made when there is none yet.
    pub(crate) fn key(&self) -> Result<NodeKey, Failure> {
        let fail = |doing, source| Failure::File { doing, path: self.key.clone(), source };
        match fs::read(&self.key) {
            Ok(der) => Ok(NodeKey::from_der(&der)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = NodeKey::generate()?;
                write(&self.key, &key.to_der()).map_err(|source| fail("write", source))?;
                Ok(key)
            }
            Err(source) => Err(fail("read", source)),
        }
    }

    /// What was written down before.
    pub(crate) fn read(&self) -> Result<Option<Credentials>, Failure> {
        let bytes = match fs::read(&self.certificates) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Failure::File { doing: "read", path: self.certificates.clone(), source });
            }
        };
        let damaged = |reason: String| Failure::DataDir { path: self.certificates.clone(), reason };
        let read: Certificates =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let der = |text: &str| {
            hex::decode(text).map(CertificateDer::from).map_err(|error| damaged(error.to_string()))
        };
        let credentials = Credentials {
            key: self.key()?,
            certificate: der(&read.certificate)?,
            authority: der(&read.authority)?,
        };
        credentials.peer()?;
        Ok(Some(credentials))
    }

    /// Writes certificates down so that they are there whole or not at all.
    pub(crate) fn write(&self, credentials: &Credentials) -> Result<(), Failure> {
        let words = Certificates {
            certificate: hex::encode(&credentials.certificate),
            authority: hex::encode(&credentials.authority),
        };
        let fail =
            |source: io::Error| Failure::File { doing: "write", path: self.certificates.clone(), source };
        let text = serde_json::to_vec_pretty(&words).map_err(|error| fail(error.into()))?;
        write(&self.certificates, &text).map_err(fail)
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What connections are made with, renewed while they go on.
pub(crate) struct Trust {
    files: Files,
    directory: Arc<Directory>,
    now: RwLock<Option<Now>>,
}

#[derive(Clone)]
struct Now {
    credentials: Arc<Credentials>,
    server: Arc<ServerConfig>,
}

impl Trust {
    /// Opens what the files say; nothing on a node that has not joined yet.
    pub(crate) fn open(files: Files, directory: Arc<Directory>) -> Result<Self, Failure> {
        let known = files.read()?;
        let trust = Self { files, directory, now: RwLock::new(None) };
        if let Some(credentials) = known {
            trust.hold(credentials)?;
        }
        Ok(trust)
    }

    fn hold(&self, credentials: Credentials) -> Result<(), TrustError> {
        let membership: Arc<dyn Membership> = Arc::clone(&self.directory) as _;
        let server = Arc::new(tls::answering(&credentials, membership)?);
        let now = Now { credentials: Arc::new(credentials), server };
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }

    /// Takes new certificates, on disk and for the next connections.
    pub(crate) fn replace(&self, credentials: Credentials) -> Result<(), Failure> {
        credentials.peer()?;
        self.files.write(&credentials)?;
        Ok(self.hold(credentials)?)
    }

    fn now(&self) -> Option<Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This node's key and certificates.
    pub(crate) fn credentials(&self) -> Option<Arc<Credentials>> {
        self.now().map(|now| now.credentials)
    }

    /// This node's key, made when there is none yet.
    pub(crate) fn key(&self) -> Result<NodeKey, Failure> {
        self.files.key()
    }

    /// What connections are answered with.
    pub(crate) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.now().map(|now| now.server)
    }

    /// What other nodes are dialled with: `expect` must answer, if it is given.
    pub(crate) fn client(&self, expect: Option<NodeId>, protocol: &[u8]) -> io::Result<ClientConfig> {
        let now = self.now().ok_or_else(|| io::Error::other("this node has no certificate yet"))?;
        let membership: Arc<dyn Membership> = Arc::clone(&self.directory) as _;
        let mut config = tls::dialling(&now.credentials, expect, membership).map_err(io::Error::other)?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
}
