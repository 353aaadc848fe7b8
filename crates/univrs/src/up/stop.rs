//! When to stop, and what becomes of the containers then.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::AbortHandle;
use univrs_cli::{OnExit, UpArgs};

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

    /// Waits until the daemon is to stop; answers whether everything it made is to be removed.
    pub(super) async fn wait(mut self, args: &UpArgs, vital: &[AbortHandle]) -> bool {
        let mut check = tokio::time::interval(CHECK);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return args.on_exit == Some(OnExit::Down),
                _ = self.interrupt.recv() => return match args.on_exit {
                    Some(choice) => choice == OnExit::Down,
                    None => std::io::stdin().is_terminal() && ask().await,
                },
                _ = check.tick() => if vital.iter().any(AbortHandle::is_finished) {
                    tracing::error!("a vital part ended by itself; stopping");
                    return false;
                },
            }
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
