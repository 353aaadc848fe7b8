//! Processes: who belongs to a node, whether they run, and signals to all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::LabError;

/// How long the kernel may take to end processes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a process does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs or could.
    Running,
    /// It is stopped and may go on.
    Stopped,
    /// It is gone.
    Gone,
}

/// Whether a process does something.
pub(crate) fn life(pid: i32) -> Life {
    match stat(pid) {
        None | Some(('Z' | 'X', _)) => Life::Gone,
        Some(('T', _)) => Life::Stopped,
        Some(_) => Life::Running,
    }
}

/// The state of a process and its parent.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, so what follows the last bracket counts.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Everything that runs on the machine whose network namespace has this number: the processes in the namespace, and
/// what descends from them, since containers have namespaces of their own.
pub(crate) fn of_machine(inode: u64) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Some((state, parent)) = stat(pid) else { continue };
        if matches!(state, 'Z' | 'X') {
            continue;
        }
        children.entry(parent).or_default().push(pid);
        if std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|meta| meta.ino() == inode) {
            found.insert(pid);
        }
    }
    let mut open: Vec<i32> = found.iter().copied().collect();
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                open.push(*child);
            }
        }
    }
    // Never this process, whoever started it where.
    found.remove(&std::process::id().cast_signed());
    found
}

/// Stops everything on a machine, as when it is suspended.
pub(crate) fn pause(inode: u64) {
    // What was started between the look and the signal is found by the next look.
    for _ in 0..3 {
        signal(&of_machine(inode), Signal::SIGSTOP);
    }
}

/// Lets everything on a machine go on.
pub(crate) fn resume(inode: u64) {
    signal(&of_machine(inode), Signal::SIGCONT);
}

/// Ends everything on a machine at once, as a power cut does: first nobody moves, then nobody is left.
pub(crate) fn end(inode: u64) -> Result<(), LabError> {
    let begun = Instant::now();
    signal(&of_machine(inode), Signal::SIGSTOP);
    loop {
        let left = of_machine(inode);
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(LabError::step("end the processes of a node", format!("{left:?} do not end")));
        }
        signal(&left, Signal::SIGKILL);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends one process and waits until it is gone.
pub(crate) fn end_one(pid: i32) -> Result<(), LabError> {
    let begun = Instant::now();
    while life(pid) != Life::Gone {
        if begun.elapsed() > PATIENCE {
            return Err(LabError::step("end a process", format!("{pid} does not end")));
        }
        signal(&BTreeSet::from([pid]), Signal::SIGKILL);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn signal(pids: &BTreeSet<i32>, signal: Signal) {
    for pid in pids {
        // One that is gone needs no signal.
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::{Life, life};

    #[test]
    fn this_process_runs_and_an_ended_one_is_gone() {
        assert_eq!(life(std::process::id().cast_signed()), Life::Running);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        child.wait().unwrap();
        assert_eq!(life(pid), Life::Gone);
    }
}
