//! The connection to the engine, with errors in the words of runtimes.

use std::ops::Deref;
use std::path::Path;

use bollard::errors::Error;
pub(super) use univrs_docker::engine::{BAD_REQUEST, CONFLICT, NOT_FOUND, plain, said, status, unless};
use univrs_model::node::RuntimeKind;
use univrs_ports::runtime::RuntimeError;

/// A connection to a Docker Engine on this machine.
#[derive(Clone, Debug)]
pub(super) struct Engine(univrs_docker::engine::Engine);

impl Deref for Engine {
    type Target = univrs_docker::engine::Engine;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Engine {
    /// Connects and checks that the engine can do what is needed.
    ///
    /// # Errors
    /// [`RuntimeError::Unusable`] with what is missing.
    pub(super) async fn connect(socket: &Path) -> Result<Self, RuntimeError> {
        let connected = univrs_docker::engine::Engine::connect(socket).await;
        connected.map(Self).map_err(|reason| RuntimeError::Unusable { kind: RuntimeKind::Docker, reason })
    }

    /// For `map_err`: a failure in `step`.
    pub(super) fn failed<I: std::fmt::Display>(
        &self,
        id: &I,
        step: &'static str,
    ) -> impl FnOnce(Error) -> RuntimeError + use<I> {
        let (id, engine) = (id.to_string(), self.0.clone());
        move |error| RuntimeError::Failed { id, step, reason: engine.explain(&error) }
    }
}
