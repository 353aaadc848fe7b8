//! Starting and stopping.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use univrs_model::secret::SecretValue;
use univrs_model::span::Span;
use univrs_ports::runtime::{ContainerId, ContainerPhase, ContainerSpec, ContainerState, Exit, RuntimeError};

use super::{Inner, blocking, failed, refused};
use crate::record::{self, Plan};
use crate::{layout, netns, shim, signals, teardown};

/// How long a shim may take to make a container.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the kernel may take to end what was killed.
const KILL_LIMIT: Duration = Duration::from_secs(20);
/// How long what an earlier attempt held may take to go.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

impl Inner {
    pub(super) async fn start(
        self: &Arc<Self>,
        spec: &ContainerSpec,
    ) -> Result<ContainerState, RuntimeError> {
        let id = &spec.id;
        let dir = self.layout.container(id);
        self.settle(id).await;
        if let Some(state) = self.state(id)? {
            if state.attempt == spec.attempt {
                return Ok(state);
            }
            let reason = match state.phase {
                ContainerPhase::Running => Some(format!("attempt {} still runs", state.attempt)),
                ContainerPhase::Exited(_) if state.attempt > spec.attempt => {
                    Some(format!("attempt {} came later", state.attempt))
                }
                ContainerPhase::Exited(_) => None,
            };
            if let Some(reason) = reason {
                return Err(RuntimeError::Failed { id: id.to_string(), step: "start", reason });
            }
        }
        if let Some((name, _)) = spec.secret_env.iter().find(|(_, value)| value.expose().contains(&0)) {
            return Err(refused(id, format!("the value for `{name}` has a zero byte; deliver it as a file")));
        }
        if signals::number(&spec.stop_signal).is_none() {
            return Err(refused(id, format!("`{}` is not a signal", spec.stop_signal)));
        }
        if !netns::is_namespace(&self.layout.netns(&id.instance)) {
            return Err(RuntimeError::NotFound { id: format!("{id} (its sandbox is not open)") });
        }
        self.clear(id).await?;
        let plan = Plan::new(spec, &self.layout);
        let prepared = dir.clone();
        let name = id.clone();
        blocking(move || {
            std::fs::create_dir_all(&prepared)
                .and_then(|()| std::fs::create_dir_all(plan.log_dir()))
                .and_then(|()| record::write(&prepared.join(layout::PLAN), &plan))
                .map_err(failed(&name, "write its plan"))
        })
        .await?;
        if let Err(error) = self.run_shim(id, &spec.secret_env).await {
            // The reason for the failure matters more than one for the clean-up.
            if let Err(other) = self.clear(id).await {
                tracing::warn!(container = %id, error = %other, "a failed start left something behind");
            }
            return Err(error);
        }
        self.follow(id).await;
        self.state(id)?.ok_or_else(|| RuntimeError::Failed {
            id: id.to_string(),
            step: "start",
            reason: "it left no state".to_owned(),
        })
    }

    /// Removes what an earlier attempt left, except its logs.
    async fn clear(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let dir = self.layout.container(id);
        if !dir.exists() {
            return Ok(());
        }
        self.wait_unlocked(id, RELEASE_LIMIT).await?;
        let (inner, id) = (Arc::clone(self), id.clone());
        blocking(move || {
            teardown::release(&dir, &inner.cgroups, &inner.layout.cgroup(&id), RELEASE_LIMIT)
                .and_then(|()| teardown::remove_dir(&dir).map_err(|error| error.to_string()))
                .map_err(failed(&id, "remove the earlier attempt"))
        })
        .await
    }

    /// Runs a shim until it tells that the container runs, or why it does not.
    async fn run_shim(
        &self,
        id: &ContainerId,
        secrets: &BTreeMap<String, SecretValue>,
    ) -> Result<(), RuntimeError> {
        let dir = self.layout.container(id);
        let complaints =
            std::fs::File::create(dir.join(layout::COMPLAINTS)).map_err(failed(id, "start its shim"))?;
        let mut child = Command::new(&self.program)
            .arg0("univrs")
            .arg(shim::CREATE)
            .arg(&dir)
            .env_clear()
            .current_dir("/")
            .stdin(if secrets.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .map_err(failed(id, "start its shim"))?;
        if let Some(mut mouth) = child.stdin.take() {
            // What is said through a pipe is in no file. A shim that does not listen tells why it ended below.
            drop(mouth.write_all(&shim::encode_secrets(secrets)).await);
        }
        let answer = match tokio::time::timeout(START_LIMIT, first_line(&mut child)).await {
            Ok(answer) => answer.map_err(failed(id, "hear from its shim"))?,
            Err(_) => {
                // It may have ended just now.
                let _ = child.start_kill();
                self.cgroups.kill(&self.layout.cgroup(id));
                return Err(RuntimeError::Failed {
                    id: id.to_string(),
                    step: "start",
                    reason: format!("it did not run within {} s", START_LIMIT.as_secs()),
                });
            }
        };
        match answer.trim_end().split_once(' ') {
            Some(("ready", _)) => Ok(()),
            Some(("refused", reason)) => Err(refused(id, reason.to_owned())),
            Some(("failed", reason)) => {
                Err(RuntimeError::Failed { id: id.to_string(), step: "start", reason: reason.to_owned() })
            }
            _ => Err(RuntimeError::Failed {
                id: id.to_string(),
                step: "start",
                reason: format!("its shim ended: {}", last_words(&dir)),
            }),
        }
    }

    pub(super) async fn stop(&self, id: &ContainerId, grace: Span) -> Result<Exit, RuntimeError> {
        let state = self.state(id)?.ok_or_else(|| RuntimeError::NotFound { id: id.to_string() })?;
        if let ContainerPhase::Exited(exit) = state.phase {
            return Ok(exit);
        }
        let plan: Option<Plan> = record::read(&self.layout.container(id).join(layout::PLAN))
            .map_err(failed(id, "read its plan"))?;
        let number =
            plan.and_then(|plan| signals::number(&plan.stop_signal)).unwrap_or(Signal::SIGTERM as i32);
        self.send_signal(id, number).await.or_else(unless_ended)?;
        if let Some(exit) = self.wait_ended(id, grace.duration()).await? {
            return Ok(exit);
        }
        self.kill(id).await?.ok_or_else(|| RuntimeError::NotFound { id: id.to_string() })
    }

    /// Ends a container at once. Answers how it ended, or `None` if it never ran.
    pub(super) async fn kill(&self, id: &ContainerId) -> Result<Option<Exit>, RuntimeError> {
        self.send_signal(id, Signal::SIGKILL as i32).await.or_else(unless_ended)?;
        if let Some(exit) = self.wait_ended(id, KILL_LIMIT / 2).await? {
            self.wait_unlocked(id, RELEASE_LIMIT).await?;
            return Ok(Some(exit));
        }
        // Without a state it never ran, or its shim still makes it: then this ends both.
        self.cgroups.kill(&self.layout.cgroup(id));
        let exit = self.wait_ended(id, KILL_LIMIT / 2).await?;
        self.wait_unlocked(id, RELEASE_LIMIT).await?;
        if exit.is_none() && self.state(id)?.is_some_and(|state| state.phase == ContainerPhase::Running) {
            return Err(RuntimeError::Failed {
                id: id.to_string(),
                step: "kill",
                reason: format!("it still runs {} s later", KILL_LIMIT.as_secs()),
            });
        }
        Ok(exit)
    }
}

/// A container that ended meanwhile has been stopped.
fn unless_ended(error: RuntimeError) -> Result<(), RuntimeError> {
    match error {
        RuntimeError::NotRunning { .. } => Ok(()),
        other => Err(other),
    }
}

async fn first_line(child: &mut Child) -> std::io::Result<String> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).await?;
    }
    Ok(line)
}

fn last_words(dir: &std::path::Path) -> String {
    let text = std::fs::read(dir.join(layout::COMPLAINTS)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    lines.reverse();
    if lines.is_empty() { "it said nothing".to_owned() } else { lines.join(" ") }
}
