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
mod logging;
mod machine;
mod membership;
mod recover;
mod up;

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use univrs_cli::Invocation;

use crate::failure::Failure;

fn main() -> ExitCode {
    if let Some(code) = univrs_runtime::shim::main_if_requested() {
        return code;
    }
    match univrs_cli::parse(std::env::args_os()) {
        Ok(Invocation::Up(args)) => {
            univrs_runtime::allocator::share_heaps();
            block_on(up::run(*args))
        }
        Ok(Invocation::Down(args)) => block_on(down::run(args)),
        Ok(Invocation::Recover(args)) => block_on(recover::run(args)),
        Ok(Invocation::Inspect(args)) => match backup::inspect(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => fail(&failure),
        },
        Ok(Invocation::Restore(args)) => block_on(backup::restore(args)),
        Ok(Invocation::Client(command)) => {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(univrs_cli::run(*command)),
                Err(error) => fail(&Failure::Tokio(error)),
            }
        }
        Err(code) => code,
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::Tokio(error)),
    };
    let result = runtime.block_on(work);
    // Work that blocks (a fetch, a file) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    // Without a place to complain, the exit code still tells.
    drop(writeln!(std::io::stderr(), "{}", failure.explain()));
    ExitCode::FAILURE
}
