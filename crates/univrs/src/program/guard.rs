//! What happens before the daemon begins: the installed program hands over to the copy that was chosen, or this process
//! stands by while a child of it tries another program.
//!
//! The daemon that is to change its program stops as always and executes itself once more. That fresh image opens
//! nothing; it starts the other program as its child, with the same words, and waits. When the child says that it works,
//! it ends by itself, and this process becomes that program. When it ends badly, or says nothing in time, this process
//! becomes again what it was. The process id stays the same all the time: a service manager, or the first process of a
//! container, sees nothing of it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use univrs_ports::programs::Outcome;

use crate::program::change::{Change, Chosen, Installed, Place};

/// The running program, even when its file is gone.
const SELF: &str = "/proc/self/exe";
/// Tells a child on trial which process its guard is.
const BOUND_TO: &str = "UNIVRS_TRIAL_GUARD";
/// How long a tried program may take to stop when this process is told to.
const STOP: Duration = Duration::from_secs(25);

/// What this process is.
pub(crate) enum Part {
    /// The daemon.
    Daemon,
    /// The daemon, on trial.
    Trial(Box<Change>),
    /// Whatever it was, it has come to its end.
    Ended(ExitCode),
}

/// Decides what this process is. Comes before any thread: it may become another program.
pub(crate) fn begin(place: &Place) -> Part {
    let bound = std::env::var(BOUND_TO).ok();
    if bound.is_some_and(|guard| guard != parent_id().to_string()) {
        // The guard died before this process was bound to it.
        return Part::Ended(ExitCode::FAILURE);
    }
    let change = place.change().filter(|change| change.outcome == Outcome::Trying);
    match change {
        Some(change) if change.guard == std::process::id() => Part::Ended(stand_by(place, change)),
        Some(change) if change.guard == parent_id() => {
            let copy = place.copy(&change.to);
            let own = std::env::current_exe().ok();
            if own.is_some() && std::fs::canonicalize(&copy).ok() == own {
                return Part::Trial(Box::new(change));
            }
            // Without the guard nobody would take it back. The kernel keeps this through the execution, so that it holds
            // for a program that knows nothing of it too.
            if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
                tracing::warn!(%error, "the program on trial outlives its guard");
            }
            if parent_id() != change.guard {
                return Part::Ended(ExitCode::FAILURE);
            }
            let error = become_program(&copy);
            tracing::error!(program = %copy.display(), %error, "the program cannot be tried");
            Part::Ended(ExitCode::FAILURE)
        }
        Some(change) => {
            // The guard was killed, or the machine lost its power: what ran before runs again.
            let reason = "the node was stopped while it tried the program".to_owned();
            drop(place.note(&Change { outcome: Outcome::Returned { reason }, ..change }));
            hand_over(place)
        }
        None => hand_over(place),
    }
}

/// Becomes the chosen copy, unless this is it, there is none, or another program was installed since.
fn hand_over(place: &Place) -> Part {
    let Some(chosen) = place.chosen() else { return Part::Daemon };
    let copy = place.copy(&chosen.digest);
    let (Ok(own), true) = (std::env::current_exe(), copy.exists()) else { return Part::Daemon };
    if is_copy(place, &own) || Installed::at(&own).ok() != Some(chosen.installed) {
        return Part::Daemon;
    }
    let error = become_program(&copy);
    tracing::error!(program = %copy.display(), %error, "cannot run the program of the last upgrade; going on with the installed one");
    Part::Daemon
}

/// Whether a program is a copy that an upgrade brought, and not the installed one.
fn is_copy(place: &Place, program: &Path) -> bool {
    std::fs::canonicalize(place.root()).is_ok_and(|root| program.starts_with(root))
}

/// Becomes a program with the words of this one; comes back only when that fails.
fn become_program(program: &Path) -> io::Error {
    let mut words = std::env::args_os();
    let mut command = Command::new(program);
    command.arg0(words.next().unwrap_or_else(|| OsString::from("univrs"))).args(words);
    command.exec()
}

/// Becomes a fresh image of the running program, to stand by while another is tried. The daemon has ended.
pub(crate) fn change_to(place: &Place, change: &Change) -> ExitCode {
    let noted = place.note(&Change { guard: std::process::id(), outcome: Outcome::Trying, ..change.clone() });
    if let Err(error) = noted {
        tracing::error!(%error, "the change of the program cannot be noted; going on with this one");
    }
    start_again()
}

/// Becomes a fresh image of the running program. The daemon has ended.
pub(crate) fn start_again() -> ExitCode {
    fail(&become_program(Path::new(SELF)))
}

fn fail(error: &io::Error) -> ExitCode {
    tracing::error!(%error, "this program cannot be started again");
    ExitCode::FAILURE
}

/// How the trial went.
enum Ended {
    /// As the program itself noted.
    ByItself(String),
    /// It did not say that it works in time.
    TooLate,
    /// This process was told to stop, and so was the program.
    Stopped,
}

fn stand_by(place: &Place, change: Change) -> ExitCode {
    tracing::info!(to = change.to, "trying another program");
    let ended = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        // The child ends with the thread that made it, which is this one.
        runtime.block_on(watch(place, &change))
    });
    let reason = match ended {
        Ok(Ended::Stopped) => {
            let reason = "the node was stopped while it tried the program".to_owned();
            drop(place.note(&Change { outcome: Outcome::Returned { reason }, ..change }));
            return ExitCode::SUCCESS;
        }
        Ok(Ended::ByItself(how)) => match place.change().map(|change| change.outcome) {
            Some(Outcome::Good) => match settle(place, &change) {
                Ok(error) => format!("it worked and cannot be run in the place of the old one: {error}"),
                Err(error) => format!("it worked and cannot be chosen: {error}"),
            },
            Some(Outcome::Returned { reason }) => reason,
            Some(Outcome::Trying) | None => format!("it ended before it worked: {how}"),
        },
        Ok(Ended::TooLate) => format!("it did not work within {} s", change.seconds),
        Err(error) => format!("it cannot be run: {error}"),
    };
    tracing::error!(to = change.to, reason, "the program does not work here; going back");
    if let Err(error) = place.note(&Change { outcome: Outcome::Returned { reason }, ..change }) {
        tracing::error!(%error, "how the change went cannot be noted");
    }
    fail(&become_program(Path::new(SELF)))
}

/// Chooses what was tried and becomes it.
fn settle(place: &Place, change: &Change) -> io::Result<io::Error> {
    let own = std::env::current_exe()?;
    // Whatever starts the daemon next time starts the installed program, not a copy.
    let installed = match place.chosen() {
        Some(chosen) if is_copy(place, &own) => chosen.installed,
        _ => Installed::at(&own)?,
    };
    place.choose(&Chosen { digest: change.to.clone(), installed })?;
    tracing::info!(to = change.to, "the program works; going on with it");
    Ok(become_program(&place.copy(&change.to)))
}

async fn watch(place: &Place, change: &Change) -> io::Result<Ended> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut words = std::env::args_os();
    // A child of this very program first: it binds itself to this process, and then becomes what is tried.
    let mut command = Command::new(SELF);
    command.env(BOUND_TO, std::process::id().to_string());
    command.arg0(words.next().unwrap_or_else(|| OsString::from("univrs"))).args(words);
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
    tokio::select! {
        status = child.wait() => Ok(Ended::ByItself(status?.to_string())),
        () = tokio::time::sleep(Duration::from_secs(change.seconds)) => {
            child.kill().await?;
            // It may have said so in the very last moment.
            match place.change().map(|change| change.outcome) {
                Some(Outcome::Good) => Ok(Ended::ByItself("it was stopped".to_owned())),
                _ => Ok(Ended::TooLate),
            }
        }
        _ = terminate.recv() => stop(child, Signal::SIGTERM).await,
        _ = interrupt.recv() => stop(child, Signal::SIGINT).await,
    }
}

async fn stop(mut child: Child, with: Signal) -> io::Result<Ended> {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // One that has ended already is what is wanted.
        let _ended = kill(Pid::from_raw(id), with);
    }
    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(Ended::Stopped)
}
