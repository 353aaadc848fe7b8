//! The connection to the engine, and what its errors mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{ClientVersion, Docker};

/// How long the engine may take to begin an answer.
const PATIENCE: u64 = 120;
/// How long it may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);
/// The versions of the engine's language that are spoken here, the preferred one first: that of Docker 20.10, which
/// newer engines understand as well, and the oldest that Docker 29 still understands.
const LANGUAGES: [ClientVersion; 2] = [
    ClientVersion { major_version: 1, minor_version: 41 },
    ClientVersion { major_version: 1, minor_version: 44 },
];

/// A connection to a Docker Engine on this machine.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    socket: PathBuf,
}

impl Engine {
    /// Connects and checks that the engine can do what is needed.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub async fn connect(socket: &Path) -> Result<Self, String> {
        let address = socket
            .to_str()
            .ok_or_else(|| format!("the path of the socket {} is not UTF-8", socket.display()))?;
        let greeting = async {
            let mut refused = None;
            for language in &LANGUAGES {
                let docker = Docker::connect_with_unix(address, PATIENCE, language)?;
                match docker.info().await {
                    Ok(info) => return Ok((docker, info)),
                    Err(error) if status(&error) == Some(BAD_REQUEST) => refused = Some(error),
                    Err(error) => return Err(error),
                }
            }
            Err(refused.unwrap_or(Error::RequestTimeoutError))
        };
        let greeted = tokio::time::timeout(GREETING, greeting).await;
        let (docker, info) = match greeted.unwrap_or(Err(Error::RequestTimeoutError)) {
            Ok(greeted) => greeted,
            Err(Error::DockerResponseServerError { status_code: BAD_REQUEST, message }) => {
                return Err(format!(
                    "Docker at {} is of the wrong version; 20.10 and newer will do ({message})",
                    socket.display()
                ));
            }
            Err(error) => return Err(unreachable(socket, &error)),
        };
        let version = info.server_version.unwrap_or_else(|| "of an unknown version".to_owned());
        if info.os_type.as_deref() != Some("linux") {
            return Err(format!("Docker at {} does not run Linux containers", socket.display()));
        }
        let filters = info.security_options.unwrap_or_default();
        if !filters.iter().any(|option| option.contains("seccomp")) {
            return Err(format!(
                "Docker {version} at {} cannot filter system calls (seccomp); install one that can",
                socket.display()
            ));
        }
        Ok(Self { docker, socket: socket.to_owned() })
    }

    /// The engine's calls.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// An error in words for people.
    pub fn explain(&self, error: &Error) -> String {
        explain(&self.socket, error)
    }
}

/// The HTTP status that the engine answered with, if it answered.
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the engine said, in plain words.
pub fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => plain(message),
        other => other.to_string(),
    }
}

/// Turns an answer with an expected status into `None`.
pub fn unless<T>(expected: &[u16], result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if status(&error).is_some_and(|code| expected.contains(&code)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The request is wrong in itself.
pub const BAD_REQUEST: u16 = 400;
/// There is no such thing.
pub const NOT_FOUND: u16 = 404;
/// It is not in the state for that: not running, in use, being removed.
pub const CONFLICT: u16 = 409;

/// An error in words for people.
fn explain(socket: &Path, error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => plain(message),
        Error::DockerStreamError { error } => plain(error),
        Error::RequestTimeoutError => {
            format!("Docker at {} did not answer within {PATIENCE} s", socket.display())
        }
        Error::SocketNotFoundError(_)
        | Error::IOError { .. }
        | Error::HyperResponseError { .. }
        | Error::HyperLegacyError { .. } => unreachable(socket, error),
        other => format!("Docker at {}: {other}", socket.display()),
    }
}

/// That the engine does not answer, and what to do.
fn unreachable(socket: &Path, error: &Error) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = deeper.source();
    }
    format!(
        "Docker at {} does not answer ({reason}); start it (`systemctl start docker`), or say in DOCKER_HOST where it is",
        socket.display()
    )
}

/// What the engine says, without the names of its parts around it.
pub fn plain(message: &str) -> String {
    const BEFORE: [&str; 6] = [
        "failed to create task for container: ",
        "failed to create shim task: ",
        "failed to create shim: ",
        "OCI runtime create failed: ",
        "OCI runtime exec failed: ",
        "runc create failed: ",
    ];
    let mut text = message.trim();
    while let Some(rest) = BEFORE.iter().find_map(|part| text.strip_prefix(part)) {
        text = rest;
    }
    text.strip_suffix(": unknown").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bollard::errors::Error;

    use super::{explain, plain};

    #[test]
    fn what_runs_the_container_is_left_out() {
        let said = "failed to create shim: OCI runtime create failed: exec: \"/x\": no such file: unknown\n";
        assert_eq!(plain(said), "exec: \"/x\": no such file");
        assert_eq!(plain("Conflict."), "Conflict.");
    }

    #[test]
    fn an_engine_that_is_gone_is_named_with_the_next_step() {
        let socket = Path::new("/run/docker.sock");
        let error = Error::IOError { err: std::io::Error::from(std::io::ErrorKind::ConnectionRefused) };
        let text = explain(socket, &error);
        assert!(text.contains("/run/docker.sock") && text.contains("systemctl start docker"), "{text}");
    }
}
