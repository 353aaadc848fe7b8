//! The engine, connected to when it is first needed and whenever it was away.

use std::path::PathBuf;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::SystemInfo;
use tokio::sync::Mutex;
use univrs_docker::engine::{BAD_REQUEST, Engine, plain, status};
use univrs_ports::provider::ProviderError;

/// How long the engine may take to say how it is.
const GREETING: Duration = Duration::from_secs(5);

/// The way to the engine.
pub(crate) struct Link {
    socket: PathBuf,
    engine: Mutex<Option<Engine>>,
}

impl Link {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, engine: Mutex::default() }
    }

    /// The engine, if it could be used once; connections are made anew by themselves.
    pub(crate) async fn engine(&self) -> Result<Engine, ProviderError> {
        let mut known = self.engine.lock().await;
        if let Some(engine) = known.as_ref() {
            return Ok(engine.clone());
        }
        let engine = Engine::connect(&self.socket).await.map_err(ProviderError::temporary)?;
        Ok(known.insert(engine).clone())
    }

    /// The engine, and what it says of itself now.
    pub(crate) async fn greet(&self) -> Result<(Engine, SystemInfo), ProviderError> {
        let engine = self.engine().await?;
        match tokio::time::timeout(GREETING, engine.docker().info()).await {
            Ok(Ok(info)) => Ok((engine, info)),
            Ok(Err(error)) => Err(ProviderError::temporary(engine.explain(&error))),
            Err(_) => Err(ProviderError::temporary(format!(
                "Docker at {} did not answer within {} s",
                self.socket.display(),
                GREETING.as_secs()
            ))),
        }
    }
}

/// For `map_err`: what the engine said while `doing`. What is wrong in itself stays wrong.
pub(crate) fn failed<'a>(engine: &'a Engine, doing: &str) -> impl FnOnce(Error) -> ProviderError + use<'a> {
    let doing = doing.to_owned();
    move |error| {
        let reason = format!("Docker could not {doing}: {}", engine.explain(&error));
        let message = match &error {
            Error::DockerResponseServerError { message, .. } => plain(message),
            _ => String::new(),
        };
        if let Some(port) = taken_port(&message) {
            return ProviderError::lasting(format!(
                "port {port} of this machine is taken by another program; end it, or make the resource again, which \
                 gives it another port"
            ));
        }
        if status(&error) == Some(BAD_REQUEST) || is_its_own_fault(&message) {
            return ProviderError::lasting(reason);
        }
        ProviderError::temporary(reason)
    }
}

/// The port that somebody else has, if that is what a start failed for.
fn taken_port(message: &str) -> Option<&str> {
    const SIGNS: [&str; 2] = ["port is already allocated", "address already in use"];
    let end = SIGNS.iter().find_map(|sign| message.find(sign))?;
    let before = message[..end].rsplit_once("0.0.0.0:").or_else(|| message[..end].rsplit_once("[::]:"))?.1;
    let digits = before.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(before.len());
    Some(&before[..digits]).filter(|port| !port.is_empty())
}

/// Whether a container will not start the same way again.
fn is_its_own_fault(message: &str) -> bool {
    const SIGNS: [&str; 4] = [
        "executable file not found",
        "exec format error",
        "unable to find user",
        "no such file or directory: unknown",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::taken_port;

    #[test]
    fn a_port_that_is_taken_is_named() {
        for said in [
            "driver failed programming external connectivity on endpoint x (ab12): Bind for 0.0.0.0:19001 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint x: Error starting userland proxy: listen tcp4 0.0.0.0:19001: bind: address already in use",
        ] {
            assert_eq!(taken_port(said), Some("19001"), "{said}");
        }
        assert_eq!(taken_port("no such image"), None);
    }
}
