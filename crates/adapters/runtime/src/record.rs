//! What is written down about a container: the plan it was made from, that it runs, how it ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, ContainerState, Exit, Limits, LogLimits, Mount,
};

use crate::layout::{self, Layout};

/// All that a shim needs to know, so that it asks nobody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) id: ContainerId,
    pub(crate) attempt: u32,
    pub(crate) image_digest: String,
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// The names of the variables that came to the shim by word of mouth; their values stand nowhere.
    #[serde(default)]
    pub(crate) secret_env: Vec<String>,
    pub(crate) working_dir: String,
    pub(crate) user: String,
    pub(crate) hostname: String,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) limits: Limits,
    pub(crate) stop_signal: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) log: LogLimits,
    pub(crate) netns: PathBuf,
    pub(crate) cgroup: String,
    pub(crate) data: PathBuf,
    /// The filter for system calls.
    pub(crate) filter: PathBuf,
}

impl Plan {
    pub(crate) fn new(spec: &ContainerSpec, layout: &Layout) -> Self {
        Self {
            id: spec.id.clone(),
            attempt: spec.attempt,
            image_digest: spec.image.digest.clone(),
            layers: spec.image.layers.clone(),
            command: spec.command.clone(),
            env: spec.env.clone(),
            secret_env: spec.secret_env.keys().cloned().collect(),
            working_dir: spec.working_dir.clone(),
            user: spec.user.clone(),
            hostname: spec.hostname.clone(),
            mounts: spec.mounts.clone(),
            limits: spec.limits,
            stop_signal: spec.stop_signal.clone(),
            labels: spec.labels.clone(),
            log: spec.log,
            netns: layout.netns(&spec.id.instance),
            cgroup: layout.cgroup(&spec.id),
            data: layout.data(&spec.id),
            filter: layout.filter(),
        }
    }

    /// Where its log is.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.data.join(layout::LOG)
    }
}

/// That a container was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) id: ContainerId,
    pub(crate) attempt: u32,
    pub(crate) pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: with the pid it names one process until the machine goes down.
    pub(crate) start_time: u64,
    /// Which run of the machine that is.
    pub(crate) boot: String,
    pub(crate) started_at: Timestamp,
    pub(crate) image_digest: String,
}

impl Started {
    /// Whether the container's first process still runs, and not another one under its pid.
    pub(crate) fn runs(&self) -> bool {
        self.boot == boot() && start_time(self.pid) == Some(self.start_time)
    }
}

/// Names this run of the machine.
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What a container's directory says about it; `None` when it never started.
pub(crate) fn state(dir: &Path) -> io::Result<Option<ContainerState>> {
    let Some(started) = read::<Started>(&dir.join(layout::STATE))? else { return Ok(None) };
    let exit = read::<Exit>(&dir.join(layout::EXIT))?;
    Ok(Some(ContainerState {
        id: started.id,
        attempt: started.attempt,
        pid: exit.is_none().then_some(started.pid),
        started_at: started.started_at,
        phase: exit.map_or(ContainerPhase::Running, ContainerPhase::Exited),
        image_digest: started.image_digest,
    }))
}

/// Reads a record; `None` when there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a record so that a reader sees all of it or none.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    put(path, value, false)
}

/// Like [`write()`], and on the disk before it returns.
pub(crate) fn write_durably<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    put(path, value, true)
}

fn put<T: Serialize>(path: &Path, value: &T, durable: bool) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(&part, path)?;
    if durable && let Some(dir) = path.parent() {
        // A relative path without a directory is one in the current directory.
        File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all()?;
    }
    Ok(())
}

/// When a process started, in ticks since boot; `None` when there is no such process or it is a zombie.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may itself have spaces and parentheses.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{read, start_time, write, write_durably};

    #[test]
    fn records_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        assert_eq!(read::<u32>(&path).unwrap(), None);
        write(&path, &7_u32).unwrap();
        write_durably(&path, &8_u32).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(8));
        std::fs::write(&path, "{").unwrap();
        assert!(read::<u32>(&path).is_err());
    }

    #[test]
    fn a_process_has_a_start_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(start_time(own).is_some_and(|ticks| ticks > 0));
        assert_eq!(start_time(i32::MAX), None);
    }
}
