//! When to stop, and what becomes of the containers then.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::AbortHandle;
use univrs_cli::{OnExit, UpArgs};
use univrs_store::RaftStore;

use super::changing::Ended;
use crate::failure::Failure;

/// How long the parts may take to stop.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is checked that vital parts still run.
const CHECK: Duration = Duration::from_secs(1);

/// The signals that ask the daemon to stop; listening begins at once, so that none is missed during the start.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Failure::Tokio)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::Tokio)?,
        })
    }

    /// Returns when the daemon is told to stop while it is still starting.
    pub(super) async fn interrupted(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits until the daemon is told to stop, or one of its vital parts is no more.
    pub(super) async fn wait(mut self, args: &UpArgs, vital: Vital<'_>) -> Ended {
        let mut check = tokio::time::interval(CHECK);
        let mut broken = std::pin::pin!(vital.broken());
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ended::Told { down: args.on_exit == Some(OnExit::Down) },
                _ = self.interrupt.recv() => {
                    let down = match args.on_exit {
                        Some(choice) => choice == OnExit::Down,
                        None => std::io::stdin().is_terminal() && ask().await,
                    };
                    return Ended::Told { down };
                }
                reason = &mut broken => return Ended::Broken { part: "the replicated state", reason },
                _ = check.tick() => if let Some(part) = vital.finished() {
                    return Ended::Broken { part, reason: "it ended by itself".to_owned() };
                },
            }
        }
    }
}

/// What a daemon cannot do without.
pub(super) struct Vital<'a> {
    pub(super) tasks: [(&'static str, AbortHandle); 2],
    pub(super) copy: Option<&'a RaftStore>,
}

impl Vital<'_> {
    fn finished(&self) -> Option<&'static str> {
        self.tasks.iter().find(|(_, task)| task.is_finished()).map(|(part, _)| *part)
    }

    async fn broken(&self) -> String {
        match self.copy {
            Some(copy) => copy.broken().await,
            None => std::future::pending().await,
        }
    }
}

async fn ask() -> bool {
    let answer = tokio::task::spawn_blocking(|| {
        let mut err = std::io::stderr();
        drop(write!(err, "\nremove the containers and everything else this node made? [y/N] "));
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).is_ok() && line.trim().eq_ignore_ascii_case("y")
    });
    answer.await.unwrap_or(false)
}
