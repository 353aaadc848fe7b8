//! One node: starting its daemon in its namespace, waiting for it, and taking apart what it made.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::forward::NODE_API;
use crate::layout::Seat;
use crate::namespace;
use crate::probe;
use crate::processes::{Life, life};
use crate::state::Lab;

/// How long a node may take to answer a question.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(25);
/// How many of the last lines of a log are told.
const LAST_LINES: usize = 4;

/// The program that runs, for nodes and for taking them apart: the same binary, without settings of whoever calls, but
/// with the authority for certificates, which a lab may rehearse with.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("univrs").args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let is_own = |name: &str| name.starts_with("UNIVRS_") && !name.starts_with("UNIVRS_ACME_");
        if name.to_str().is_some_and(is_own) {
            command.env_remove(name);
        }
    }
    command
}

/// Starts the daemon of a node and returns its process.
pub(crate) fn start(lab: &Lab, seat: &Seat) -> Result<i32, LabError> {
    let (data, log_path) = (lab.data_dir(&seat.name), lab.log(&seat.name));
    fs::create_dir_all(lab.node_dir(&seat.name))
        .map_err(LabError::file("create", lab.node_dir(&seat.name)))?;
    let log = OpenOptions::new().create(true).append(true).open(&log_path);
    let log = log.map_err(LabError::file("open", &log_path))?;
    let mut command = program(&["up", "--name", &seat.name, "--zone", &seat.zone, "--role", &seat.role]);
    if let Some(region) = lab.layout.region(seat) {
        command.args(["--cloud", &region.cloud, "--region", &region.region]);
    }
    command.args(["--runtime", &lab.runtime, "--capacity", &lab.capacity]);
    // Who is hidden does not know the address that others see.
    if seat.nat.is_none() {
        command.arg("--advertise").arg(seat.address.to_string());
    }
    command.arg("--api").arg(NODE_API.to_string()).arg("--data-dir").arg(&data);
    if seat.number == 1 {
        command.args(["--bootstrap", "--voters", &lab.layout.voters.to_string()]);
    } else {
        command.arg("--join").arg(gates(lab));
        command.env("UNIVRS_JOIN_TOKEN", lab.join_token.clone().unwrap_or_default());
    }
    // Ctrl-C in the terminal is not meant for it.
    command.stdout(Stdio::null()).stderr(log).process_group(0);
    let started = namespace::inside(&lab.namespace(&seat.name), || command.spawn())?;
    let child = started.map_err(|error| LabError::step(format!("start node {}", seat.name), error))?;
    Ok(child.id().cast_signed())
}

/// Where nodes join: at every validator.
fn gates(lab: &Lab) -> String {
    let validators = lab.layout.seats.iter().filter(|seat| seat.role.contains("validator"));
    validators.map(|seat| seat.address.to_string()).collect::<Vec<_>>().join(",")
}

/// Waits until a node's API is ready.
pub(crate) fn until_ready(lab: &Lab, node: &str, patience: Duration) -> Result<(), LabError> {
    let begun = Instant::now();
    let not_ready = || LabError::NotReady {
        what: format!("node {node}"),
        seconds: begun.elapsed().as_secs(),
        said: last_words(lab, node),
    };
    loop {
        let asked = namespace::inside(&lab.namespace(node), || probe::get(NODE_API, "/readyz", PATIENCE))?;
        if matches!(asked, Some((200, _))) {
            return Ok(());
        }
        let ended = lab.pids.get(node).is_some_and(|pid| life(*pid) == Life::Gone);
        if ended || begun.elapsed() > patience {
            return Err(not_ready());
        }
        std::thread::sleep(PAUSE);
    }
}

/// The end of a node's log.
pub(crate) fn last_words(lab: &Lab, node: &str) -> String {
    let text = fs::read(lab.log(node)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    if last.is_empty() { "it wrote nothing".to_owned() } else { last.join(" / ") }
}

/// Removes everything that a node made in the kernel; its daemon is gone by now.
pub(crate) fn take_apart(lab: &Lab, node: &str) -> Result<(), LabError> {
    let data = lab.data_dir(node);
    if !data.join("node.json").exists() {
        return Ok(());
    }
    let run = || program(&["down", "--data-dir"]).arg(&data).output();
    let output = namespace::inside(&lab.namespace(node), run)?;
    let step = format!("take node {node} apart");
    let output = output.map_err(|error| LabError::step(&step, error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(LabError::step(step, said.lines().last().unwrap_or("it failed without a word")))
}
