//! Starting and stopping.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, StartContainerOptions, WaitContainerOptionsBuilder,
};
use futures::StreamExt as _;
use nix::sys::signal::Signal;
use univrs_docker::users;
use univrs_model::span::Span;
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, ContainerState, Exit, MountSource, RuntimeError,
};

use super::engine::{BAD_REQUEST, NOT_FOUND, plain, status};
use super::{Found, Inner, broken, create};
use crate::calls::refused;
use crate::{signals, spec};

/// How many earlier attempts of a container are kept for their logs.
const KEPT_ATTEMPTS: usize = 4;
/// How long the kernel may take to end what was killed.
const KILL_LIMIT: Duration = Duration::from_secs(20);

impl Inner {
    pub(super) async fn start(&self, spec: &ContainerSpec) -> Result<ContainerState, RuntimeError> {
        let id = &spec.id;
        let earlier = self.make_room(spec).await?;
        let earlier = match earlier {
            Room::Taken(state) => return Ok(state),
            Room::Free(earlier) => earlier,
        };
        if signals::number(&spec.stop_signal).is_none() {
            return Err(refused(id, format!("`{}` is not a signal", spec.stop_signal)));
        }
        if let Some(problem) = spec::container_problem(&spec.hostname, &spec.command, &spec.env, &spec.mounts)
        {
            return Err(refused(id, problem));
        }
        if let Some(name) = spec.secret_env.keys().next() {
            // The engine keeps a container's whole environment in files of its own.
            return Err(refused(
                id,
                format!(
                    "Docker would write the secret variable {name} to its disk; deliver the secret as a `file` instead"
                ),
            ));
        }
        let sandbox = self.sandbox(&id.instance).await?;
        if sandbox.is_none_or(|(_, pid)| pid.is_none()) {
            return Err(RuntimeError::NotFound { id: format!("{id} (its sandbox is not open)") });
        }
        give_to_user(spec).map_err(|problem| refused(id, problem))?;
        let image = self.copies.ensure(&self.engine, &self.names, id, &spec.image).await?;
        let name = self.names.attempt(id, spec.attempt);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let body = create::container(&self.names, spec, &image);
        let created = self.engine.docker().create_container(Some(options), body).await;
        let docker = created.map_err(|error| self.not_started(id, error))?.id;
        let started = self.engine.docker().start_container(&docker, None::<StartContainerOptions>).await;
        if let Err(error) = started {
            // The reason for the failure matters more than one for the clean-up.
            if let Err(error) = self.remove(id, &docker).await {
                tracing::warn!(container = %id, %error, "a failed start left something behind");
            }
            return Err(self.not_started(id, error));
        }
        for found in earlier.iter().skip(KEPT_ATTEMPTS) {
            self.remove(id, &found.docker).await?;
        }
        let state = self.state(id).await?.map(|(_, state)| state);
        state
            .filter(|state| state.attempt == spec.attempt)
            .ok_or_else(|| broken(id, "start", "it vanished at once"))
    }

    /// Looks whether an attempt may be started, and removes those that never ran.
    async fn make_room(&self, spec: &ContainerSpec) -> Result<Room, RuntimeError> {
        let id = &spec.id;
        let mut earlier = Vec::new();
        for (attempt, found) in self.attempts(id).await? {
            let Some(state) = self.state_of(&found).await? else {
                // Its start was asked for by a daemon that did not live to see it.
                self.remove(id, &found.docker).await?;
                continue;
            };
            if earlier.is_empty() && attempt == spec.attempt {
                return Ok(Room::Taken(state));
            }
            let reason = match state.phase {
                ContainerPhase::Running => format!("attempt {attempt} still runs"),
                ContainerPhase::Exited(_) if attempt > spec.attempt => {
                    format!("attempt {attempt} came later")
                }
                ContainerPhase::Exited(_) => {
                    earlier.push(found);
                    continue;
                }
            };
            return Err(broken(id, "start", reason));
        }
        Ok(Room::Free(earlier))
    }

    /// Why a container did not start: its own fault, or something that may pass.
    fn not_started(&self, id: &ContainerId, error: Error) -> RuntimeError {
        match &error {
            Error::DockerResponseServerError { status_code, message }
                if *status_code == BAD_REQUEST || is_its_own_fault(message) =>
            {
                refused(id, plain(message))
            }
            _ => self.engine.failed(id, "start")(error),
        }
    }

    pub(super) async fn stop(&self, id: &ContainerId, grace: Span) -> Result<Exit, RuntimeError> {
        let found = self.state(id).await?;
        let (docker, state) = found.ok_or_else(|| RuntimeError::NotFound { id: id.to_string() })?;
        if let ContainerPhase::Exited(exit) = state.phase {
            return Ok(exit);
        }
        let seen = self.look(id, &docker).await?;
        let signal = seen.and_then(|seen| seen.config?.stop_signal).unwrap_or_default();
        let number = signals::number(&signal).unwrap_or(Signal::SIGTERM as i32);
        self.send_signal(id, &docker, number).await?;
        if !self.wait_ended(id, &docker, grace.duration()).await? {
            self.kill(id, &docker).await?;
        }
        match self.state(id).await? {
            Some((_, ContainerState { phase: ContainerPhase::Exited(exit), .. })) => Ok(exit),
            Some(_) => Err(broken(id, "stop", "it was started again meanwhile")),
            None => Err(RuntimeError::NotFound { id: id.to_string() }),
        }
    }

    /// Ends a container at once; one that has ended is fine.
    pub(super) async fn kill(&self, id: &ContainerId, docker: &str) -> Result<(), RuntimeError> {
        if !self.send_signal(id, docker, Signal::SIGKILL as i32).await?
            || self.wait_ended(id, docker, KILL_LIMIT).await?
        {
            return Ok(());
        }
        Err(broken(id, "kill", format!("it still runs {} s later", KILL_LIMIT.as_secs())))
    }

    /// Waits for a container's end, at most so long. Answers whether it has ended.
    async fn wait_ended(
        &self,
        id: &ContainerId,
        docker: &str,
        limit: Duration,
    ) -> Result<bool, RuntimeError> {
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut ends = std::pin::pin!(self.engine.docker().wait_container(docker, Some(options)));
        match tokio::time::timeout(limit, ends.next()).await {
            Err(_) => Ok(false),
            // An exit code that is not 0 counts as an error there.
            Ok(None | Some(Ok(_) | Err(Error::DockerContainerWaitError { .. }))) => Ok(true),
            Ok(Some(Err(error))) if status(&error) == Some(NOT_FOUND) => Ok(true),
            Ok(Some(Err(error))) => Err(self.engine.failed(id, "wait for its end")(error)),
        }
    }
}

/// Whether an attempt may be started.
enum Room {
    /// It was started already.
    Taken(ContainerState),
    /// It may; these came before it, the latest first.
    Free(Vec<Found>),
}

/// Whether what the engine says about a start that failed is the container's own fault, so that it will not start
/// the same way again. For some of these the engine answers as if it were its own.
fn is_its_own_fault(message: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "unable to find user",
        "unable to find group",
        "no matching entries in passwd",
        "executable file not found",
        "exec format error",
        "not a directory",
        "is a directory",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}
/// Makes the files that belong to the container's user its own, readable by nobody else.
fn give_to_user(spec: &ContainerSpec) -> Result<(), String> {
    let mut owned = Vec::new();
    let mut volumes = Vec::new();
    for mount in &spec.mounts {
        match &mount.source {
            MountSource::Owned(path) => owned.push(path),
            MountSource::Volume(path) if !mount.read_only => volumes.push(path),
            MountSource::Volume(_) | MountSource::Host(_) | MountSource::Memory { .. } => {}
        }
    }
    if owned.is_empty() && volumes.is_empty() {
        return Ok(());
    }
    let user = users::look_up_in_layers(&spec.image.layers, &spec.user)?;
    for path in volumes {
        users::give_if_empty(path, &user)
            .map_err(|error| format!("{} cannot be given to its user: {error}", path.display()))?;
    }
    for path in owned {
        let failed =
            |error: std::io::Error| format!("{} cannot be given to its user: {error}", path.display());
        std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).map_err(failed)?;
    }
    Ok(())
}
