//! Joining a cluster: this machine shows its token to a member whose authority the token names, and becomes one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use univrs_cli::UpArgs;
use univrs_model::join::{Fingerprint, JoinToken};
use univrs_model::member::{JoinReply, JoinRequest, Welcome};
use univrs_trust::{Credentials, NodeKey, tls};

use crate::cluster::address::{NODE_PORT, with_port};
use crate::cluster::{dial, frames};
use crate::failure::Failure;

/// How long members are asked that cannot be reached or cannot decide.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Pause between attempts.
const RETRY: Duration = Duration::from_millis(500);
/// The largest answer: every member is in it.
const LARGEST: u32 = 16 << 20;

/// Why an attempt did not work.
enum Setback {
    /// Another member, or another moment, may be better.
    Passing(String),
    /// It will not work.
    Final(Failure),
}

/// The token that was given, from the file as soon as that is there.
pub(crate) async fn token(args: &UpArgs) -> Result<JoinToken, Failure> {
    let text = match (&args.join_token, &args.join_token_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => wait_for(path).await?,
        (None, None) => return Err(Failure::NoJoinToken),
    };
    let token: JoinToken = text.parse().map_err(Failure::JoinToken)?;
    match args.ca_sha256 {
        Some(wanted) if wanted != token.authority => {
            Err(Failure::OtherAuthority { wanted, found: token.authority })
        }
        _ => Ok(token),
    }
}

async fn wait_for(path: &Path) -> Result<String, Failure> {
    let mut told = false;
    loop {
        match std::fs::read_to_string(path) {
            // Whoever writes it may not be done.
            Ok(text) if text.ends_with('\n') || text.trim().parse::<JoinToken>().is_ok() => return Ok(text),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Failure::File { doing: "read", path: path.to_owned(), source }),
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(path = %path.display(), "waiting for the join token");
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Asks the members in turn until one lets this machine in.
pub(crate) async fn join(
    hosts: &[String],
    authority: Fingerprint,
    request: &JoinRequest,
) -> Result<Welcome, Failure> {
    let begun = Instant::now();
    let mut told = String::new();
    for host in hosts.iter().cycle() {
        let address = with_port(host, NODE_PORT);
        let attempt = tokio::time::timeout(ATTEMPT, attempt(&address, authority, request)).await;
        let reason = match attempt {
            Ok(Ok(welcome)) => return Ok(welcome),
            Ok(Err(Setback::Final(failure))) => return Err(failure),
            Ok(Err(Setback::Passing(reason))) => reason,
            Err(_) => "it did not answer in time".to_owned(),
        };
        if begun.elapsed() > PATIENCE {
            return Err(Failure::JoinUnreachable { address, reason });
        }
        if told != reason {
            tracing::warn!(%address, reason, "cannot join yet; trying again");
            told = reason;
        }
        tokio::time::sleep(RETRY).await;
    }
    Err(Failure::NoJoinToken)
}

async fn attempt(address: &str, authority: Fingerprint, request: &JoinRequest) -> Result<Welcome, Setback> {
    let passing = |error: io::Error| Setback::Passing(error.to_string());
    let config = tls::joining(authority).map_err(|error| Setback::Final(error.into()))?;
    let stream = TcpStream::connect(address).await.map_err(passing)?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = match connector.connect(dial::nobody().map_err(passing)?, stream).await {
        Ok(stream) => stream,
        Err(error) => return Err(of_handshake(address, error)),
    };
    // Only now, with the authority that the token names at the other end, is the secret said.
    frames::write(&mut stream, request).await.map_err(passing)?;
    match frames::read::<JoinReply>(&mut stream, LARGEST).await.map_err(passing)? {
        JoinReply::Welcome(welcome) => Ok(*welcome),
        JoinReply::Refused { reason } => Err(Setback::Final(Failure::JoinRefused { reason })),
        JoinReply::Later { reason } => Err(Setback::Passing(reason)),
    }
}

fn of_handshake(address: &str, error: io::Error) -> Setback {
    use tokio_rustls::rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let reason = match inner {
        Some(Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })) => {
            "its certificate is not valid yet: the clock of this machine is behind; set it (for example with `timedatectl set-ntp true`)".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "its certificate has expired: the clock of this machine is ahead, or that node slept for long".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::Other(other))) => other.0.to_string(),
        Some(other @ (Error::InvalidCertificate(_) | Error::InvalidMessage(_))) => other.to_string(),
        _ => return Setback::Passing(error.to_string()),
    };
    Setback::Final(Failure::JoinTrust { address: address.to_owned(), reason })
}

/// What this machine is now known by.
pub(crate) fn credentials(key: NodeKey, welcome: &Welcome) -> Result<Credentials, Failure> {
    let der = |text: &str| {
        let bytes = hex::decode(text).map_err(|error| Failure::JoinRefused { reason: error.to_string() })?;
        Ok::<_, Failure>(CertificateDer::from(bytes))
    };
    let made =
        Credentials { key, certificate: der(&welcome.certificate)?, authority: der(&welcome.authority)? };
    made.peer()?;
    Ok(made)
}
