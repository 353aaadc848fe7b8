//! Tests with real containers. The test program is its own shim, so its `main` must come before everything else.
//!
//! Without the rights to make containers the tests that need them are left out and say so.

mod bundle;
mod docker;
mod docker_own;
mod dockerd;
mod harness;
mod hostile;
mod latency;
mod oci;
mod secrets;
mod simulated;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = univrs_runtime::shim::main_if_requested() {
        return code;
    }
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("test-daemon") {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(hostile::doomed_daemon(arguments));
        return ExitCode::SUCCESS;
    }
    let mut tests = Vec::new();
    simulated::add(&mut tests);
    oci::add(&mut tests);
    hostile::add(&mut tests);
    secrets::add(&mut tests);
    docker::add(&mut tests);
    docker_own::add(&mut tests);
    latency::add(&mut tests);
    let code = harness::run(tests);
    docker::finish();
    code
}
