//! Shims: the processes that make containers and watch them.
//!
//! The library that makes containers forks without exec, so it must not run in a process with threads (RUN-1). The
//! program therefore runs itself again under a hidden command, one process for each container:
//!
//! | command | does |
//! |---|---|
//! | `shim <dir>` | makes and starts the container that `<dir>/plan.json` describes, says `ready` or why not |
//! | `shim-wait <dir> …` | what `shim` becomes then: keeps logs, answers on `ctl.sock`, records the end |
//! | `shim-exec <dir>` | runs one more command in the container, for as long as someone listens |
//!
//! [`main_if_requested`] must be the first thing in `main`, before any thread or runtime exists.

mod complaints;
mod control;
mod create;
mod exec;
mod program;
mod secret_env;
mod wait;

pub(crate) use control::{Reply, Request};
pub(crate) use exec::{Answer, Call, receive_with_fds, send_call};
pub(crate) use secret_env::encode as encode_secrets;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs as a shim if the command line asks for one; `None` means that this is an ordinary run of the program.
pub fn main_if_requested() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next()?;
    let mut rest = || arguments.next().map(PathBuf::from);
    match command.to_str()? {
        CREATE => Some(create::main(&rest()?)),
        WAIT => {
            let dir = rest()?;
            let numbers = arguments.filter_map(|number| number.to_str()?.parse().ok()).collect::<Vec<_>>();
            Some(wait::main(&dir, &numbers))
        }
        EXEC => Some(exec::main(&rest()?)),
        _ => None,
    }
}

/// Makes a container.
pub(crate) const CREATE: &str = "shim";
/// Watches one.
pub(crate) const WAIT: &str = "shim-wait";
/// Runs a command in one.
pub(crate) const EXEC: &str = "shim-exec";

/// Why a shim could not do its work.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The container is at fault: its command, user or mounts.
    Refused(String),
    /// Something else is; the step and what happened.
    Failed(&'static str, String),
}

impl Trouble {
    /// For `map_err`: a failure in `step`.
    pub(crate) fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Failed(step, error.to_string())
    }
}

/// An error and all that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.ends_with(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

/// Collects this process's children, which are about to end.
///
/// One that stays behind uncollected would keep the container's process namespace, and so the container, from
/// ending.
pub(crate) fn reap_children() {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    let until = Instant::now() + REAP_LIMIT;
    while Instant::now() < until {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(2)),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// How long children that failed to start anything may take to end.
const REAP_LIMIT: Duration = Duration::from_secs(5);
