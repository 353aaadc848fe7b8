//! Control groups as files, in both versions: reading use, killing what is left, removing.
//!
//! Limits are set where containers are made; here is only what must also work without that: on containers that a
//! dead shim left behind, and on a node that is being emptied.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use univrs_ports::runtime::ContainerUsage;

/// Where the control groups of this machine are mounted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cgroups {
    /// The one hierarchy of version 2, when it is the one in use.
    unified: Option<PathBuf>,
    /// Version 1: controllers and where each is mounted.
    controllers: Vec<(String, PathBuf)>,
}

impl Cgroups {
    /// Looks at this process's mounts.
    pub(crate) fn find() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, kind)) = line.split_once(" - ") else { continue };
            let Some(point) = mount.split(' ').nth(4) else { continue };
            let mut kind = kind.split(' ');
            match kind.next() {
                // On a hybrid machine version 2 hangs below version 1 and has no controllers.
                Some("cgroup2") if point == "/sys/fs/cgroup" => found.unified = Some(point.into()),
                Some("cgroup") if point.starts_with("/sys/fs/cgroup") => {
                    for controller in kind.nth(1).unwrap_or_default().split(',') {
                        found.controllers.push((controller.to_owned(), point.into()));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether containers can be limited here at all.
    pub(crate) fn usable(&self) -> bool {
        self.unified.is_some() || self.controllers.iter().any(|(name, _)| name == "memory")
    }

    /// Whether the one hierarchy of version 2 is in use.
    pub(crate) fn is_unified(&self) -> bool {
        self.unified.is_some()
    }

    /// Where the given controller keeps the given group.
    pub(crate) fn dir(&self, controller: &str, group: &str) -> Option<PathBuf> {
        let group = group.trim_start_matches('/');
        if let Some(root) = &self.unified {
            return Some(root.join(group));
        }
        self.controllers.iter().find(|(name, _)| name == controller).map(|(_, root)| root.join(group))
    }

    /// Every directory that stands for the group.
    fn dirs(&self, group: &str) -> Vec<PathBuf> {
        let group = group.trim_start_matches('/');
        let mut dirs: Vec<PathBuf> = match &self.unified {
            Some(root) => vec![root.join(group)],
            None => self.controllers.iter().map(|(_, root)| root.join(group)).collect(),
        };
        dirs.sort();
        dirs.dedup();
        dirs
    }

    /// The group of a process, by its place under the controller that counts memory.
    pub(crate) fn group_of(&self, pid: i32) -> Option<String> {
        self.parse_group(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
    }

    fn parse_group(&self, text: &str) -> Option<String> {
        text.lines().find_map(|line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            let wanted = if self.is_unified() { "" } else { "memory" };
            controllers.split(',').any(|one| one == wanted).then(|| group.to_owned())
        })
    }

    /// What the group uses now; `None` when it is gone. What cannot be read is not taken for nothing.
    pub(crate) fn usage(&self, group: &str) -> Option<ContainerUsage> {
        let memory = self.dir("memory", group)?;
        let pids = self.dir("pids", group).and_then(|dir| number(&dir.join("pids.current")));
        if self.is_unified() {
            let used = number(&memory.join("memory.current"))?;
            let reclaimable = keyed(&memory.join("memory.stat"), "inactive_file").unwrap_or(0);
            Some(ContainerUsage {
                cpu_micros: keyed(&memory.join("cpu.stat"), "usage_usec")?,
                memory: used.saturating_sub(reclaimable),
                pids: pids.unwrap_or(0),
            })
        } else {
            let used = number(&memory.join("memory.usage_in_bytes"))?;
            let reclaimable = keyed(&memory.join("memory.stat"), "total_inactive_file").unwrap_or(0);
            let cpu = number(&self.dir("cpuacct", group)?.join("cpuacct.usage"))?;
            Some(ContainerUsage {
                cpu_micros: cpu / 1000,
                memory: used.saturating_sub(reclaimable),
                pids: pids.unwrap_or(0),
            })
        }
    }

    /// How many processes of the group the kernel killed for want of memory.
    pub(crate) fn memory_kills(&self, group: &str) -> u64 {
        let Some(dir) = self.dir("memory", group) else { return 0 };
        let file = if self.is_unified() { "memory.events" } else { "memory.oom_control" };
        keyed(&dir.join(file), "oom_kill").unwrap_or(0)
    }

    /// Makes swap part of the memory limit, where the kernel counts swap.
    pub(crate) fn forbid_swap(&self, group: &str, limit: u64) {
        let Some(dir) = self.dir("memory", group) else { return };
        let (file, value) =
            if self.is_unified() { ("memory.swap.max", 0) } else { ("memory.memsw.limit_in_bytes", limit) };
        let path = dir.join(file);
        if path.exists()
            && let Err(error) = std::fs::write(&path, value.to_string())
        {
            tracing::warn!(path = %path.display(), %error, "swap could not be limited");
        }
    }

    /// Kills all processes of the group and the groups below it.
    pub(crate) fn kill(&self, group: &str) {
        for dir in self.dirs(group) {
            kill_below(&dir);
        }
    }

    /// Removes the group and the groups below it, killing what runs there. Answers whether it is gone.
    pub(crate) fn remove(&self, group: &str, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            let left = self.dirs(group).iter().filter(|dir| !remove_below(dir)).count();
            if left == 0 {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            self.kill(group);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Removes the group itself if nothing is below it.
    pub(crate) fn remove_if_empty(&self, group: &str) {
        for dir in self.dirs(group) {
            // Not empty or not there: both are fine.
            let _ = std::fs::remove_dir(dir);
        }
    }
}

fn kill_below(dir: &Path) {
    for child in subgroups(dir) {
        kill_below(&child);
    }
    // Version 2 has one file that kills without a race.
    if std::fs::write(dir.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let Ok(pids) = std::fs::read_to_string(dir.join("cgroup.procs")) else { return };
    for pid in pids.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Answers whether the directory is gone.
fn remove_below(dir: &Path) -> bool {
    for child in subgroups(dir) {
        remove_below(&child);
    }
    match std::fs::remove_dir(dir) {
        Ok(()) => true,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn subgroups(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .map(|entries| {
            entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
                .collect()
        })
        .unwrap_or_default()
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn keyed(path: &Path, key: &str) -> Option<u64> {
    std::fs::read_to_string(path)
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Cgroups;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn version_one_has_a_directory_for_each_controller() {
        let found = Cgroups::parse(HYBRID);
        assert!(found.usable() && !found.is_unified());
        assert_eq!(found.dir("memory", "/a/b").as_deref(), Some(Path::new("/sys/fs/cgroup/memory/a/b")));
        assert_eq!(found.dir("cpuacct", "/a").as_deref(), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/a")));
        assert_eq!(found.dir("pids", "/a"), None);
    }

    #[test]
    fn a_process_is_in_a_group() {
        let text = "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/cd\n0::/init.scope\n";
        assert_eq!(Cgroups::parse(HYBRID).parse_group(text).as_deref(), Some("/docker/ab"));
        let unified = Cgroups::parse("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert_eq!(unified.parse_group(text).as_deref(), Some("/init.scope"));
    }

    #[test]
    fn version_two_has_one_directory() {
        let found = Cgroups::parse("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert!(found.usable() && found.is_unified());
        assert_eq!(found.dir("pids", "/a").as_deref(), Some(Path::new("/sys/fs/cgroup/a")));
    }
}
