//! The `univrs` binary: reads flags and environment, picks adapters, starts services.
//!
//! The first thing it does is to see whether it was started as a container's shim: that path must run before any
//! thread or asynchronous runtime exists. Everything else is parsed by the command line crate; the commands
//! that are this machine's own business (`up`, `down`, `recover`, and reading backups) are executed here.

mod backup;
mod cluster;
mod down;
mod failure;
mod identity;
mod image_file;
mod logging;
mod machine;
mod membership;
mod program;
mod recover;
mod up;

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use univrs_cli::Invocation;

use crate::failure::Failure;
use crate::identity::DataDir;
use crate::program::guard::{self, Part};
use crate::program::release;
use crate::up::Ending;

fn main() -> ExitCode {
    if let Some(code) = univrs_runtime::shim::main_if_requested() {
        return code;
    }
    match univrs_cli::parse(std::env::args_os(), version()) {
        Ok(Invocation::Up(args)) => run_up(*args),
        Ok(Invocation::Down(args)) => block_on(down::run(args)),
        Ok(Invocation::Recover(args)) => block_on(recover::run(args)),
        Ok(Invocation::Inspect(args)) => match backup::inspect(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => fail(&failure),
        },
        Ok(Invocation::Restore(args)) => block_on(backup::restore(args)),
        Ok(Invocation::Client(command)) => {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(univrs_cli::run(*command, Arc::new(image_file::Files))),
                Err(error) => fail(&Failure::Tokio(error)),
            }
        }
        Err(code) => code,
    }
}

/// The version that this program says it has.
fn version() -> &'static str {
    static OWN: OnceLock<String> = OnceLock::new();
    OWN.get_or_init(|| release::own().version)
}

/// Runs the daemon, or stands by while it is another program.
fn run_up(args: univrs_cli::UpArgs) -> ExitCode {
    if let Err(failure) = logging::start(&args) {
        return fail(&failure);
    }
    let place = DataDir::new(args.data_dir()).programs();
    let trial = match guard::begin(&place) {
        Part::Daemon => None,
        Part::Trial(change) => Some(*change),
        Part::Ended(code) => return code,
    };
    univrs_runtime::allocator::share_heaps();
    match finish(up::run(args, trial)) {
        Ok(Ending::Stopped) => ExitCode::SUCCESS,
        // Nothing of the daemon is left in this process by now.
        Ok(Ending::Change(change)) => guard::change_to(&place, &change),
        Ok(Ending::Again) => guard::start_again(),
        Err(failure) => fail(&failure),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    match finish(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn finish<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Err(Failure::Tokio(error)),
    };
    let result = runtime.block_on(work);
    // Work that blocks (a fetch, a file) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    result
}

fn fail(failure: &Failure) -> ExitCode {
    // Without a place to complain, the exit code still tells.
    drop(writeln!(std::io::stderr(), "{}", failure.explain()));
    ExitCode::FAILURE
}
