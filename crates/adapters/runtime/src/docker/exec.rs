//! Running one more command in a container.
//!
//! The engine neither says at once whether a command could be started nor ends it when nobody listens any more; both
//! are made good here, the first by asking, the second by a signal to its process.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ExecConfig, ExecInspectResponse};
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, RuntimeError};

use super::engine::{BAD_REQUEST, CONFLICT, Engine, NOT_FOUND, plain, said, status};
use super::{Inner, broken};
use crate::calls::refused;
use crate::netns::same;
use crate::spec::command_problem;

/// How long the engine may take until the command runs.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked whether it runs yet.
const START_LOOK: Duration = Duration::from_millis(5);
/// How often it is looked whether it still runs, as long as its output is open.
const LOOK: Duration = Duration::from_millis(500);
/// And once its output has ended.
const LAST_LOOK: Duration = Duration::from_millis(5);
/// Output that may wait for a slow reader, as in a pipe.
const WAITING: usize = 64 << 10;

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A command in the engine.
#[derive(Clone)]
struct Running {
    engine: Engine,
    id: ContainerId,
    /// The command's id in the engine.
    exec: String,
    /// The first process of its container.
    init: i32,
    /// Its own.
    pid: i32,
}

impl Inner {
    pub(super) async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecSession, RuntimeError> {
        let (docker, state) = self.running(id).await?;
        if let Some(problem) = command_problem(&spec.command, spec.env.iter()) {
            return Err(refused(id, problem));
        }
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(spec.tty),
            cmd: Some(spec.command),
            env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
            ..ExecConfig::default()
        };
        let not_run = |error: Error| match status(&error) {
            Some(NOT_FOUND) => RuntimeError::NotFound { id: id.to_string() },
            Some(CONFLICT) => RuntimeError::NotRunning { id: id.to_string() },
            Some(BAD_REQUEST) => refused(id, said(&error)),
            _ => self.engine.failed(id, "run a command")(error),
        };
        let exec = self.engine.docker().create_exec(&docker, config).await.map_err(not_run)?.id;
        let options = StartExecOptions { detach: false, tty: spec.tty, output_capacity: Some(WAITING) };
        let started = self.engine.docker().start_exec(&exec, Some(options)).await.map_err(not_run)?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(broken(id, "run a command", "Docker did not attach to it"));
        };
        let seen = self.until_begun(id, &exec).await?;
        let Some(pid) = pid(&seen) else {
            return Err(refused(id, last_words(output).await));
        };
        let init = state.pid.unwrap_or_default();
        let running = Running { engine: self.engine.clone(), id: id.clone(), exec, init, pid };
        Ok(running.session(input, output, spec.tty))
    }

    /// Waits until a command runs, has run, or could not be run.
    async fn until_begun(&self, id: &ContainerId, exec: &str) -> Result<ExecInspectResponse, RuntimeError> {
        let until = Instant::now() + START_LIMIT;
        loop {
            let seen = self.engine.docker().inspect_exec(exec).await;
            let seen = seen.map_err(self.engine.failed(id, "look at a command"))?;
            if pid(&seen).is_some() || (seen.running == Some(false) && seen.exit_code.is_some()) {
                return Ok(seen);
            }
            if Instant::now() > until {
                let reason = format!("it did not run within {} s", START_LIMIT.as_secs());
                return Err(broken(id, "run a command", reason));
            }
            tokio::time::sleep(START_LOOK).await;
        }
    }
}

fn pid(seen: &ExecInspectResponse) -> Option<i32> {
    seen.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0)
}

/// What the engine wrote in place of a command that it could not run.
async fn last_words(mut output: Output) -> String {
    let mut text = Vec::new();
    let reading = async {
        while let Some(Ok(message)) = output.next().await {
            text.extend_from_slice(message.as_ref());
        }
    };
    // The end follows at once; without it, what has come must do.
    let _ = tokio::time::timeout(START_LIMIT, reading).await;
    let text = plain(&String::from_utf8_lossy(&text));
    if text.is_empty() { "Docker could not run it and did not say why".to_owned() } else { text }
}

impl Running {
    fn session(self, input: Input, output: Output, tty: bool) -> ExecSession {
        let (stdout, out) = tokio::io::duplex(WAITING);
        let (stderr, err) = tokio::io::duplex(WAITING);
        let (silent, ended) = oneshot::channel();
        let (stdin, typed) = tokio::io::duplex(WAITING);
        tokio::spawn(pump(output, out, err, silent));
        tokio::spawn(feed(typed, input));
        let resize = tty.then(|| self.resizer());
        ExecSession {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            exit: self.watch(ended),
            resize,
        }
    }

    fn resizer(&self) -> mpsc::Sender<(u16, u16)> {
        let (sender, mut sizes) = mpsc::channel(8);
        let (engine, exec) = (self.engine.clone(), self.exec.clone());
        tokio::spawn(async move {
            while let Some((width, height)) = sizes.recv().await {
                // The command may have ended.
                let _ = engine.docker().resize_exec(&exec, ResizeExecOptions { height, width }).await;
            }
        });
        sender
    }

    /// Resolves to the exit code. When it is dropped, the command is killed.
    fn watch(self, silent: oneshot::Receiver<()>) -> BoxFuture<'static, Result<i32, RuntimeError>> {
        let (mut done, outcome) = oneshot::channel();
        let lost = broken(&self.id, "wait for a command", "the daemon stopped watching it");
        tokio::spawn(async move {
            tokio::select! {
                code = self.wait(silent) => {
                    // Dropped at the same moment: then nobody wants to know.
                    let _ = done.send(code);
                }
                () = done.closed() => self.end(),
            }
        });
        async move { outcome.await.unwrap_or(Err(lost)) }.boxed()
    }

    async fn wait(&self, mut silent: oneshot::Receiver<()>) -> Result<i32, RuntimeError> {
        let mut is_silent = false;
        loop {
            match self.engine.docker().inspect_exec(&self.exec).await {
                Ok(seen) if seen.running == Some(false) => {
                    let code = seen.exit_code.and_then(|code| i32::try_from(code).ok());
                    return code.ok_or_else(|| {
                        broken(&self.id, "wait for a command", "Docker does not know how it ended")
                    });
                }
                Ok(_) => {}
                // The container ended, and everything in it.
                Err(error) if matches!(status(&error), Some(NOT_FOUND | CONFLICT)) => {
                    return Ok(128 + Signal::SIGKILL as i32);
                }
                Err(error) => return Err(self.engine.failed(&self.id, "wait for a command")(error)),
            }
            if is_silent {
                tokio::time::sleep(LAST_LOOK).await;
            } else {
                // Whoever wrote last may still run for a moment.
                is_silent = tokio::time::timeout(LOOK, &mut silent).await.is_ok();
            }
        }
    }

    /// Kills the command and what it started, if they still are what they were.
    fn end(&self) {
        let namespace = |pid: i32| PathBuf::from(format!("/proc/{pid}/ns/pid"));
        // The number may belong to another process by now, but not to another one of this container that nobody
        // would miss: its first process is let alone.
        let is_there = same(&namespace(self.init), &namespace(self.pid)).unwrap_or(false);
        if !is_there || self.pid == self.init {
            return;
        }
        let pid = Pid::from_raw(self.pid);
        // It may have ended just now.
        let _ = match getpgid(Some(pid)) {
            Ok(group) if group == pid => killpg(pid, Signal::SIGKILL),
            _ => kill(pid, Signal::SIGKILL),
        };
    }
}

/// Passes input on, and its end: also when whoever wrote it just drops it.
async fn feed(mut typed: DuplexStream, mut input: Input) {
    // A command that does not read is fine.
    let _ = tokio::io::copy(&mut typed, &mut input).await;
    let _ = input.shutdown().await;
}

/// Takes the outputs apart. Output that nobody reads any more is dropped.
async fn pump(mut output: Output, mut out: DuplexStream, mut err: DuplexStream, silent: oneshot::Sender<()>) {
    // A connection that broke ends the output like an end of its own; the exit code tells the rest.
    while let Some(Ok(message)) = output.next().await {
        let _ = match &message {
            LogOutput::StdErr { message } => err.write_all(message).await,
            LogOutput::StdOut { message } | LogOutput::Console { message } => out.write_all(message).await,
            LogOutput::StdIn { .. } => Ok(()),
        };
    }
    let _ = silent.send(());
}
