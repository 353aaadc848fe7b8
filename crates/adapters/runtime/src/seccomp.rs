//! Which system calls a container may make: an allow list, everything else answers `EPERM`.
//!
//! Allowed is what programs need. Denied is what reaches beyond the container: mounting, namespaces, modules,
//! keyrings, clocks, tracing by kernel events, raw input and output, `io_uring` (which would pass the filter by).

//!
//! Working out the program that the kernel runs at each call takes longer than anything else in a start. It is done
//! once, by the daemon, and kept in a file; shims only hand it to the kernel.

use std::fs::File;
use std::io;
use std::path::Path;

use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;
/// How large a program the kernel takes, in instructions of eight bytes.
const LONGEST: usize = 4096;
/// The bits of `clone` that make namespaces (all but the one for time, which `clone` does not take).
const NAMESPACE_FLAGS: u64 = 0x7E02_0000;
/// Virtual machine sockets: a way to the host that no network rule sees.
const AF_VSOCK: u64 = 40;
/// What programs ask of `personality`: Linux, 32 bit, no randomisation of addresses for either, and reading it.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];

/// Allowed whatever the arguments. Names that a machine does not have are skipped there.
const ALLOWED: &[&[&str]] = &[
    FILES,
    DIRECTORIES,
    READ_WRITE,
    WAITING,
    MEMORY,
    PROCESSES,
    SIGNALS,
    TIME,
    NETWORK,
    MESSAGES,
    IDENTITY,
    MACHINE,
];

#[rustfmt::skip]
const FILES: &[&str] = &[
    "access", "chmod", "chown", "chown32", "close", "close_range", "creat", "dup", "dup2", "dup3", "faccessat",
    "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fanotify_mark", "fchmod", "fchmodat", "fchmodat2",
    "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock",
    "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
    "ftruncate64", "futimesat", "getxattr", "getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1",
    "inotify_rm_watch", "ioctl", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listxattr", "listxattrat",
    "llistxattr", "lremovexattr", "lsetxattr", "lstat", "lstat64", "mknod", "mknodat", "name_to_handle_at",
    "newfstatat", "open", "openat", "openat2", "readlink", "readlinkat", "removexattr", "removexattrat", "rename",
    "renameat", "renameat2", "setxattr", "setxattrat", "stat", "stat64", "statfs", "statfs64", "statx", "symlink",
    "symlinkat", "sync", "sync_file_range", "sync_file_range2", "arm_sync_file_range", "arm_fadvise64_64",
    "syncfs", "truncate", "truncate64", "umask", "unlink", "unlinkat", "utime", "utimensat", "utimensat_time64",
    "utimes", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "statmount", "listmount",
];
#[rustfmt::skip]
const DIRECTORIES: &[&str] =
    &["chdir", "chroot", "fchdir", "getcwd", "getdents", "getdents64", "mkdir", "mkdirat", "rmdir"];
#[rustfmt::skip]
const READ_WRITE: &[&str] = &[
    "_llseek", "copy_file_range", "lseek", "pipe", "pipe2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev",
    "pwritev2", "read", "readahead", "readv", "sendfile", "sendfile64", "splice", "tee", "vmsplice", "write",
    "writev", "io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64",
];
#[rustfmt::skip]
const WAITING: &[&str] = &[
    "_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "futex", "futex_time64", "futex_waitv", "futex_wait",
    "futex_wake", "futex_requeue", "poll", "ppoll", "ppoll_time64", "pselect6", "pselect6_time64", "select",
];
#[rustfmt::skip]
const MEMORY: &[&str] = &[
    "brk", "cachestat", "madvise", "membarrier", "memfd_create", "memfd_secret", "mincore", "mlock", "mlock2",
    "mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "process_mrelease", "remap_file_pages", "map_shadow_stack",
];
#[rustfmt::skip]
const PROCESSES: &[&str] = &[
    "arch_prctl", "cacheflush", "breakpoint", "set_tls", "execve", "execveat", "exit", "exit_group", "fork",
    "get_robust_list", "get_thread_area", "getcpu", "getpgid", "getpgrp", "getpid", "getppid", "getpriority",
    "getrlimit", "getrusage", "getsid", "gettid", "ioprio_get", "ioprio_set", "modify_ldt", "pidfd_open", "prctl",
    "prlimit64", "process_vm_readv", "process_vm_writev", "ptrace", "restart_syscall", "riscv_flush_icache",
    "riscv_hwprobe", "rseq", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
    "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "sched_yield", "seccomp", "set_robust_list", "set_thread_area", "set_tid_address", "setpgid", "setpriority",
    "setrlimit", "setsid", "ugetrlimit", "uretprobe", "vfork", "wait4", "waitid", "waitpid",
];
#[rustfmt::skip]
const SIGNALS: &[&str] = &[
    "alarm", "kill", "pause", "pidfd_send_signal", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo", "sigaltstack", "signalfd", "signalfd4", "sigprocmask", "sigreturn", "tgkill", "tkill",
];
#[rustfmt::skip]
const TIME: &[&str] = &[
    "adjtimex", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep",
    "setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
    "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
    "timerfd_settime", "timerfd_settime64", "times",
];
#[rustfmt::skip]
const NETWORK: &[&str] = &[
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv",
    "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt",
    "shutdown", "socketcall", "socketpair",
];
#[rustfmt::skip]
const MESSAGES: &[&str] = &[
    "ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop",
    "semtimedop", "semtimedop_time64", "shmat", "shmctl", "shmdt", "shmget",
];
#[rustfmt::skip]
const IDENTITY: &[&str] = &[
    "capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
    "getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid", "getuid32", "setfsgid",
    "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setregid",
    "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setuid",
    "setuid32",
];
#[rustfmt::skip]
const MACHINE: &[&str] = &["getrandom", "sysinfo", "uname"];

/// Writes the program for the filter that every container gets.
pub(crate) fn write(path: &Path) -> io::Result<()> {
    let filter = filter().map_err(io::Error::other)?;
    let part = path.with_extension("part");
    filter.export_bpf(File::create(&part)?).map_err(io::Error::other)?;
    std::fs::rename(part, path)
}

/// Reads what [`write()`] wrote.
pub(crate) fn read(path: &Path) -> io::Result<Vec<nix::libc::sock_filter>> {
    let bytes = std::fs::read(path)?;
    let (instructions, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || instructions.is_empty() || instructions.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a filter"));
    }
    let instruction = |[c0, c1, jt, jf, k0, k1, k2, k3]: [u8; 8]| nix::libc::sock_filter {
        code: u16::from_ne_bytes([c0, c1]),
        jt,
        jf,
        k: u32::from_ne_bytes([k0, k1, k2, k3]),
    };
    Ok(instructions.iter().copied().map(instruction).collect())
}

fn filter() -> Result<ScmpFilterContext, SeccompError> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(EPERM))?;
    for architecture in architectures() {
        filter.add_arch(*architecture)?;
    }
    // As a tree, so that no call has to be compared with all others first.
    filter.set_ctl_optimize(2)?;
    for name in ALLOWED.iter().flat_map(|group| group.iter()) {
        rule(&mut filter, ScmpAction::Allow, name, None)?;
    }
    let namespaces = ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(NAMESPACE_FLAGS), 0);
    rule(&mut filter, ScmpAction::Allow, "clone", Some(namespaces))?;
    let family = ScmpArgCompare::new(0, ScmpCompareOp::NotEqual, AF_VSOCK);
    rule(&mut filter, ScmpAction::Allow, "socket", Some(family))?;
    for value in PERSONALITIES {
        let same = ScmpArgCompare::new(0, ScmpCompareOp::Equal, value);
        rule(&mut filter, ScmpAction::Allow, "personality", Some(same))?;
    }
    // Its flags are behind a pointer, where a filter cannot look; without it programs fall back to `clone`.
    rule(&mut filter, ScmpAction::Errno(ENOSYS), "clone3", None)?;
    Ok(filter)
}

fn rule(
    filter: &mut ScmpFilterContext,
    action: ScmpAction,
    name: &str,
    condition: Option<ScmpArgCompare>,
) -> Result<(), SeccompError> {
    // A name that the library does not know cannot be allowed, so it stays denied.
    let Ok(call) = ScmpSyscall::from_name(name) else { return Ok(()) };
    filter.add_rule_conditional(action, call, condition.as_slice()).map(drop)
}

/// This machine's own and the older ones whose programs it also runs.
fn architectures() -> &'static [ScmpArch] {
    if cfg!(target_arch = "x86_64") {
        &[ScmpArch::X8664, ScmpArch::X86, ScmpArch::X32]
    } else if cfg!(target_arch = "aarch64") {
        &[ScmpArch::Aarch64, ScmpArch::Arm]
    } else {
        &[ScmpArch::Native]
    }
}

#[cfg(test)]
mod tests {
    use super::{ALLOWED, read, write};

    #[test]
    fn what_reaches_beyond_the_container_is_not_allowed() {
        let allowed: Vec<&str> = ALLOWED.iter().flat_map(|group| group.iter().copied()).collect();
        for name in [
            "mount",
            "umount2",
            "unshare",
            "setns",
            "keyctl",
            "add_key",
            "request_key",
            "bpf",
            "perf_event_open",
            "init_module",
            "finit_module",
            "delete_module",
            "kexec_load",
            "reboot",
            "swapon",
            "pivot_root",
            "open_by_handle_at",
            "io_uring_setup",
            "clock_settime",
            "settimeofday",
            "userfaultfd",
            "iopl",
            "quotactl",
            "acct",
            "move_mount",
            "fsopen",
            "open_tree",
            "process_madvise",
            "pidfd_getfd",
            "clone",
            "clone3",
            "socket",
            "personality",
            "syslog",
            "kcmp",
            "lookup_dcookie",
            "nfsservctl",
            "vhangup",
        ] {
            assert!(!allowed.contains(&name), "{name}");
        }
        let mut sorted = allowed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), allowed.len(), "every name once");
    }

    #[test]
    fn the_filter_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("filter");
        write(&path).unwrap();
        let program = read(&path).unwrap();
        assert!(program.len() > 100 && program.len() * 8 == std::fs::read(&path).unwrap().len());
        std::fs::write(&path, "short").unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(read(&path).is_err());
    }
}
