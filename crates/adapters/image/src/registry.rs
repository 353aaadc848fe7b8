//! Talking to registries: one client each, credentials, what their errors mean, and trying again.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use univrs_ports::images::ImageError;

use crate::auth::credentials_in;
use crate::options::{Credentials, Options};
use crate::reference::Name;

const USER_AGENT: &str = concat!("univrs/", env!("CARGO_PKG_VERSION"));

/// Registries that clients are kept for.
const MOST_CLIENTS: usize = 64;

/// Clients by registry.
pub(crate) struct Registries {
    credentials: Mutex<BTreeMap<String, Credentials>>,
    auth_file: Option<PathBuf>,
    plain_http: Vec<String>,
    loopback_tls: Vec<String>,
    roots: Vec<Vec<u8>>,
    connect_timeout: Duration,
    read_timeout: Duration,
    attempts: u32,
    backoff: Duration,
    clients: Mutex<HashMap<String, Connection>>,
}

/// A client for one registry, with what it proves itself by.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) auth: RegistryAuth,
    attempts: u32,
    backoff: Duration,
}

/// A failed request.
pub(crate) struct Problem {
    pub(crate) error: ImageError,
    /// Whether the same request may succeed a moment later.
    pub(crate) again: bool,
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        Self { error, again: false }
    }
}

impl Registries {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            credentials: Mutex::new(options.credentials.clone()),
            auth_file: options.auth_file.clone(),
            plain_http: options.plain_http.clone(),
            loopback_tls: options.loopback_tls.clone(),
            roots: options.extra_roots.clone(),
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            attempts: options.attempts.max(1),
            backoff: options.backoff,
            clients: Mutex::default(),
        }
    }

    /// Sets or, with `None`, forgets the credentials for a registry.
    pub(crate) fn set_credentials(&self, registry: &str, credentials: Option<Credentials>) {
        let mut map = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        match credentials {
            Some(credentials) => map.insert(registry.to_owned(), credentials),
            None => map.remove(registry),
        };
    }

    /// A client for the registry of `name`. Nothing is sent yet.
    pub(crate) fn connect(&self, name: &Name) -> Result<Connection, ImageError> {
        let registry = name.registry();
        let known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).get(registry).cloned();
        let credentials =
            known.or_else(|| self.auth_file.as_ref().and_then(|file| credentials_in(file, registry)));
        let auth = match credentials {
            None => RegistryAuth::Anonymous,
            Some(Credentials::Basic { username, password }) => RegistryAuth::Basic(username, password),
            Some(Credentials::Bearer(token)) => RegistryAuth::Bearer(token),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        // A client never forgets credentials it was given, so other credentials take another client.
        if let Some(known) = clients.get(registry).filter(|known| known.auth == auth) {
            return Ok(known.clone());
        }
        let plain = self.plain_http.iter().any(|plain| plain == registry)
            || (is_loopback(registry) && !self.loopback_tls.iter().any(|tls| tls == registry));
        let root = |pem: &Vec<u8>| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone() };
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            use_monolithic_push: true,
            extra_root_certificates: self.roots.iter().map(root).collect(),
            platform_resolver: None,
            connect_timeout: Some(self.connect_timeout),
            read_timeout: Some(self.read_timeout),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| Self::unusable(name, &error))?;
        let connection = Connection { client, auth, attempts: self.attempts, backoff: self.backoff };
        // Whoever may name images may name any number of registries. Those who have a client keep it.
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        clients.insert(registry.to_owned(), connection.clone());
        Ok(connection)
    }

    fn unusable(name: &Name, error: &dyn Error) -> ImageError {
        ImageError::Registry {
            registry: name.registry().to_owned(),
            reference: name.given().to_owned(),
            reason: chain(error),
        }
    }
}

impl Connection {
    /// Proves who we are, and finds out early whether the registry is there at all.
    pub(crate) async fn authenticate(
        &self,
        name: &Name,
        operation: RegistryOperation,
    ) -> Result<(), ImageError> {
        let once = || async {
            let done = self.client.auth(name.reference(), &self.auth, operation).await;
            done.map(|_| ()).map_err(|error| problem(name, "the registry", error))
        };
        self.retry(once).await
    }

    /// Makes a request again, later each time, as long as that may help.
    pub(crate) async fn retry<T, F: Future<Output = Result<T, Problem>>>(
        &self,
        mut once: impl FnMut() -> F,
    ) -> Result<T, ImageError> {
        let mut pause = self.backoff;
        for left in (0..self.attempts).rev() {
            match once().await {
                Ok(done) => return Ok(done),
                Err(Problem { error, again: true }) if left > 0 => {
                    tracing::info!(%error, "a registry request is repeated");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(Problem { error, .. }) => return Err(error),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// A manifest's bytes, which hold what the reference promises, at most `limit`.
    pub(crate) async fn manifest(
        &self,
        name: &Name,
        reference: &Reference,
        accept: &[&str],
        limit: u64,
    ) -> Result<Vec<u8>, ImageError> {
        let once = || async {
            let asked = self.client.pull_manifest_raw(reference, &self.auth, accept).await;
            asked.map_err(|error| problem(name, "the manifest", error))
        };
        let (bytes, _) = self.retry(once).await?;
        if bytes.len() as u64 > limit {
            return Err(crate::image::malformed(
                name.given(),
                format!("its manifest has {} bytes", bytes.len()),
            ));
        }
        Ok(bytes.to_vec())
    }
}

/// What an error of the registry client means for an image.
pub(crate) fn problem(name: &Name, what: &str, error: OciDistributionError) -> Problem {
    use OciDistributionError as E;
    let (registry, reference) = (name.registry().to_owned(), name.given().to_owned());
    let denied = |registry, reference| ImageError::Denied { registry, reference }.into();
    let absent = |registry: String, reference| {
        ImageError::NotFound { reference, place: format!("at {registry}") }.into()
    };
    let failed = |registry, reference, reason: String, again| Problem {
        error: ImageError::Registry { registry, reference, reason: format!("{what}: {reason}") },
        again,
    };
    match error {
        E::UnauthorizedError { .. } | E::AuthenticationFailure(_) => denied(registry, reference),
        E::ImageManifestNotFoundError(_) => absent(registry, reference),
        E::ServerError { code: 401 | 403, .. } => denied(registry, reference),
        E::ServerError { code: 404, .. } => absent(registry, reference),
        E::ServerError { code, message, .. } => {
            let message: String = message.trim().chars().take(200).collect();
            failed(registry, reference, format!("status {code} {message}"), code >= 500 || code == 429)
        }
        E::RegistryError { envelope, .. } => {
            let has =
                |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
            if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                denied(registry, reference)
            } else if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound])
            {
                absent(registry, reference)
            } else {
                let again = has(&[OciErrorCode::Toomanyrequests]);
                failed(registry, reference, envelope.to_string(), again)
            }
        }
        E::DigestError(DigestError::VerificationError { expected, actual }) => {
            ImageError::DigestMismatch { reference, what: what.to_owned(), expected, actual }.into()
        }
        E::RequestError(error) if error.status().is_some() => {
            match error.status().map(|status| status.as_u16()) {
                Some(401 | 403) => denied(registry, reference),
                Some(404) => absent(registry, reference),
                status => failed(
                    registry,
                    reference,
                    chain(&error),
                    status.is_some_and(|code| code >= 500 || code == 429),
                ),
            }
        }
        E::RequestError(error) => {
            // A host that does not answer at all will not answer a moment later either.
            let again = !(error.is_connect() && error.is_timeout());
            failed(registry, reference, chain(&error), again)
        }
        E::IoError(error) => failed(registry, reference, chain(&error), true),
        error => failed(registry, reference, chain(&error), false),
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised() {
        for (registry, is) in [
            ("localhost:5000", true),
            ("localhost", true),
            ("127.0.0.1:5055", true),
            ("127.1.2.3", true),
            ("docker.io", false),
            ("10.0.0.1:5000", false),
            ("localhost.example:5000", false),
        ] {
            assert_eq!(is_loopback(registry), is, "{registry}");
        }
    }
}
