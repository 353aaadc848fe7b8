//! The process that a lab keeps in the background: the relay between regions and the port of the API.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::processes::{Life, life};
use crate::state::Lab;
use crate::{forward, namespace, relay, wires};

/// How long the process may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the process writes when it serves: the port of the API.
const READY: &str = "keeper.port";

/// Relay and forwarder of the lab in `dir`, until the process ends.
///
/// # Errors
/// When one of them cannot begin.
pub async fn run(dir: &Path) -> Result<(), LabError> {
    let lab = Lab::load(dir)?;
    if lab.delayed {
        namespace::inside(&lab.router(), || relay::start(&lab.layout))??;
        wires::through_relay(&lab)?;
    }
    let failed = |error: std::io::Error| LabError::step("listen for the API", error);
    // The same port again after a restart, so that nobody has to look it up.
    let wanted = lab.api_port.unwrap_or(0);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let ready = dir.join(READY);
    std::fs::write(&ready, port.to_string()).map_err(LabError::file("write", &ready))?;
    forward::run(listener, dir).await
}

/// Starts the process and waits until it serves.
pub(crate) fn start(lab: &mut Lab) -> Result<(), LabError> {
    let ready = lab.dir.join(READY);
    match std::fs::remove_file(&ready) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(LabError::File { doing: "remove", path: ready, source: error });
        }
        _ => {}
    }
    let path = lab.dir.join("keeper.log");
    let log = OpenOptions::new().create(true).append(true).open(&path);
    let log = log.map_err(LabError::file("open", &path))?;
    let step = "start the lab's background process";
    let mut child = Command::new("/proc/self/exe")
        .arg0("univrs-lab-keeper")
        .args(["lab", "keep", "--dir"])
        .arg(&lab.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C in the terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(|error| LabError::step(step, error))?;
    let pid = child.id().cast_signed();
    let begun = Instant::now();
    loop {
        if let Some(port) = std::fs::read_to_string(&ready).ok().and_then(|text| text.parse().ok()) {
            lab.keeper = Some(pid);
            lab.api_port = Some(port);
            return Ok(());
        }
        let ended = child.try_wait().is_ok_and(|ended| ended.is_some()) || life(pid) == Life::Gone;
        if ended || begun.elapsed() > PATIENCE {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            return Err(LabError::step(step, said.lines().last().unwrap_or("it said nothing")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
