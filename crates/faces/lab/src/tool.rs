//! The programs of the system that a lab calls: `ip` and `nft`.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use crate::error::LabError;

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &[&str]) -> Result<(), LabError> {
    run("ip", arguments, None).map(drop)
}

/// Runs these commands of `ip` in a namespace, all in one process.
pub(crate) fn ip_in(namespace: &str, commands: &str) -> Result<(), LabError> {
    run("ip", &["-n", namespace, "-batch", "-"], Some(commands)).map(drop)
}

/// Gives `nft` a script in a namespace.
pub(crate) fn nft_in(namespace: &str, script: &str) -> Result<(), LabError> {
    crate::namespace::inside(namespace, || run("nft", &["-f", "-"], Some(script)).map(drop))?
}

/// Whether the programs are there.
pub(crate) fn check() -> Result<(), LabError> {
    run("ip", &["-V"], None)?;
    run("nft", &["--version"], None).map(drop)
}

fn run(program: &'static str, arguments: &[&str], input: Option<&str>) -> Result<String, LabError> {
    let step = || format!("run `{program} {}`", arguments.join(" "));
    let path = std::env::var("PATH").unwrap_or_default();
    let spawned = Command::new(program)
        .args(arguments)
        // Programs of the system are not in every user's path.
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(LabError::Missing { program }),
        Err(error) => return Err(LabError::step(step(), error)),
    };
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that gave up early says why in its output.
        match stdin.write_all(text.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                return Err(LabError::step(step(), error));
            }
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(|error| LabError::step(step(), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(LabError::step(step(), said.lines().next().unwrap_or("it failed without a word")))
}
