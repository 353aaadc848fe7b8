//! What this machine has to give.

use std::fs;
use std::path::Path;

use univrs_cli::Share;
use univrs_model::name::Name;
use univrs_model::node::Capacity;
use univrs_model::quantity::{Bytes, Cpu};

use crate::failure::Failure;

/// Processor time, memory and disk of this machine or of the given share of it, times the factors by which it gives
/// away more than it has.
pub(crate) fn capacity(data_dir: &Path, share: Share, cpu_factor: f64, memory_factor: f64) -> Capacity {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let scale = |amount: u64, factor: f64| (amount as f64 * factor) as u64;
    let disk = nix::sys::statvfs::statvfs(data_dir)
        .map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()))
        .unwrap_or_default();
    let cpu = share.cpu.map_or(cores as u64 * 1000, Cpu::as_millicores);
    let memory = share.memory.map_or_else(|| memory().unwrap_or(1 << 30), Bytes::get);
    Capacity {
        cpu: Cpu::millicores(scale(cpu, cpu_factor)),
        memory: Bytes::new(scale(memory, memory_factor)),
        disk: share.disk.unwrap_or(Bytes::new(disk)),
    }
}

/// The memory this process may use: the machine's, or less in a container.
fn memory() -> Option<u64> {
    let total = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    Some(limit.map_or(total, |limit| limit.min(total)))
}

fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The machine's name as a node's: lower case, up to the first dot, other characters as `-`.
pub(crate) fn name() -> Result<Name, Failure> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    as_name(&host)
}

fn as_name(host: &str) -> Result<Name, Failure> {
    let first = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let clean: String =
        first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let clean = clean.trim_matches('-');
    let clean = if clean.is_empty() { "node" } else { clean };
    clean.parse().map_err(|source| Failure::NodeName { name: host.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::{as_name, meminfo};

    #[test]
    fn host_names_become_node_names() {
        for (host, name) in [("web-1.example", "web-1"), ("My_Box", "my-box"), ("", "node"), ("_", "node")] {
            assert_eq!(as_name(host).unwrap().as_str(), name);
        }
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(meminfo("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(meminfo("nothing"), None);
    }
}
