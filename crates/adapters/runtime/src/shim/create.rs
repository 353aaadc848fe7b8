//! `shim`: makes a container and starts it, then becomes the process that waits for it.

use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, pipe2};
use univrs_ports::runtime::{Mount, MountSource};

use super::program::Program;
use super::secret_env::SecretEnv;
use super::{Trouble, chain, complaints};
use crate::cgroup::Cgroups;
use crate::record::{self, Plan, Started};
use crate::{layout, overlay, seccomp, spec, teardown};
use univrs_docker::users::{self, User};

/// What the waiting process needs of what this one opened.
struct Kept {
    stdout: OwnedFd,
    stderr: OwnedFd,
    control: UnixListener,
    lock: Flock<File>,
}

/// Does all that and tells the outcome on standard output.
pub(super) fn main(dir: &Path) -> ExitCode {
    let trouble = match begin(dir) {
        Ok((pid, kept)) => {
            tell(&format!("ready {pid}\n"));
            become_waiter(dir, &kept)
        }
        Err(trouble) => trouble,
    };
    match trouble {
        Trouble::Refused(reason) => tell(&format!("refused {}\n", one_line(&reason))),
        Trouble::Failed(step, reason) => tell(&format!("failed {step}: {}\n", one_line(&reason))),
    }
    ExitCode::FAILURE
}

fn tell(line: &str) {
    // Whoever asked may be gone; the container's records tell the same.
    let _ = std::io::stdout().write_all(line.as_bytes());
    let _ = std::io::stdout().flush();
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn begin(dir: &Path) -> Result<(i32, Kept), Trouble> {
    std::env::set_current_dir(dir).map_err(Trouble::at("enter the container's directory"))?;
    complaints::write_to(Path::new(layout::COMPLAINTS)).map_err(Trouble::at("open the error log"))?;
    let secrets = SecretEnv::receive().map_err(Trouble::at("hear the secrets"))?;
    nix::unistd::setsid().map_err(Trouble::at("start a session"))?;
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    // The library leaves groups as they are when a container asks for none.
    nix::unistd::setgroups(&[]).map_err(Trouble::at("leave all groups"))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(Trouble::at("adopt orphans"))?;
    let lock = File::create(layout::LOCK).map_err(Trouble::at("lock the container"))?;
    let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| Trouble::Failed("lock the container", error.to_string()))?;
    let plan: Plan = record::read(Path::new(layout::PLAN))
        .and_then(|plan| plan.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
        .map_err(Trouble::at("read the plan"))?;
    let cgroups = Cgroups::find();
    match start(&plan, secrets, &cgroups) {
        Ok((pid, stdout, stderr, control)) => Ok((pid, Kept { stdout, stderr, control, lock })),
        Err(trouble) => {
            super::reap_children();
            // The reason matters more than what remains: the next start or the node's end removes it.
            let _ = teardown::release(Path::new("."), &cgroups, &plan.cgroup, Duration::from_secs(2));
            Err(trouble)
        }
    }
}

fn start(
    plan: &Plan,
    secrets: SecretEnv,
    cgroups: &Cgroups,
) -> Result<(i32, OwnedFd, OwnedFd, UnixListener), Trouble> {
    if let Some(problem) = spec::problem(plan) {
        return Err(Trouble::Refused(problem));
    }
    let control = UnixListener::bind(layout::CONTROL).map_err(Trouble::at("open the control socket"))?;
    control.set_nonblocking(true).map_err(Trouble::at("open the control socket"))?;
    overlay::mount_layers(&plan.layers, &plan.data).map_err(Trouble::at("mount the image"))?;
    let rootfs = std::path::absolute(layout::ROOTFS).map_err(Trouble::at("mount the image"))?;
    let user = users::look_up(&rootfs, &plan.user).map_err(Trouble::Refused)?;
    make_working_dir(&rootfs, spec::working_dir(plan))?;
    if let Some(problem) = plan.mounts.iter().find_map(|mount| target_problem(&rootfs, mount)) {
        return Err(Trouble::Refused(problem));
    }
    hand_over(&plan.mounts, &user)?;
    let config = spec::configuration(plan, &user, cgroups);
    record::write(Path::new("config.json"), &config).map_err(Trouble::at("write the configuration"))?;

    let (out_read, out_write) = pipe2(OFlag::O_CLOEXEC).map_err(Trouble::at("open the log pipes"))?;
    let (err_read, err_write) = pipe2(OFlag::O_CLOEXEC).map_err(Trouble::at("open the log pipes"))?;
    let (report_read, report_write) = pipe2(OFlag::O_CLOEXEC).map_err(Trouble::at("open the log pipes"))?;
    let filter = seccomp::read(&plan.filter).map_err(Trouble::at("read the filter for system calls"))?;
    let program = Program::new(filter, File::from(report_write)).with_secrets(secrets);
    let built = build(program, out_write, err_write);
    let mut container = match built {
        Ok(container) => container,
        Err(reason) => {
            let told = drain(report_read);
            return Err(if told.is_empty() {
                Trouble::Failed("make it", reason)
            } else {
                Trouble::Refused(told)
            });
        }
    };
    let pid = container
        .pid()
        .map(|pid| Pid::from_raw(pid.as_raw()))
        .ok_or_else(|| Trouble::Failed("make it", "it has no process".to_owned()))?;
    if let Some(limit) = plan.limits.memory {
        cgroups.forbid_swap(&plan.cgroup, limit.get());
    }
    let started = run(&mut container, pid, plan, report_read);
    if started.is_err() {
        // It may have ended by itself.
        let _ = kill(pid, Signal::SIGKILL);
        let _ = std::fs::remove_file(layout::STATE);
    }
    started.map(|()| (pid.as_raw(), out_read, err_read, control))
}

fn build(program: Program, stdout: OwnedFd, stderr: OwnedFd) -> Result<Container, String> {
    let own = std::env::current_dir().map_err(|error| error.to_string())?;
    ContainerBuilder::new(layout::LIBRARY.to_owned(), SyscallType::default())
        .with_root_path(own.clone())
        .and_then(|builder| {
            builder
                .with_executor(program)
                .with_stdout(stdout)
                .with_stderr(stderr)
                .as_init(own)
                .with_systemd(false)
                .with_detach(true)
                .build()
        })
        .map_err(|error| {
            let text = chain(&error);
            match complaints::last(Path::new(layout::COMPLAINTS)) {
                Some(last) if !text.contains(&last) => format!("{text} ({last})"),
                _ => text,
            }
        })
}

/// Makes secret files the property of the container's user, for whom alone they are.
fn hand_over(mounts: &[Mount], user: &User) -> Result<(), Trouble> {
    for mount in mounts {
        match &mount.source {
            MountSource::Owned(path) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
                .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o400)))
                .map_err(Trouble::at("hand over a secret"))?,
            MountSource::Volume(path) if !mount.read_only => {
                users::give_if_empty(path, user).map_err(Trouble::at("hand over a volume"))?;
            }
            MountSource::Volume(_) | MountSource::Host(_) | MountSource::Memory { .. } => {}
        }
    }
    Ok(())
}

/// Lets the container's program run and waits until it does.
fn run(container: &mut Container, pid: Pid, plan: &Plan, report: OwnedFd) -> Result<(), Trouble> {
    // The daemon may be protected from the kernel's search for memory; containers are not.
    let score = PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
    std::fs::write(&score, "0").map_err(Trouble::at("make it a candidate when memory is short"))?;
    let start_time = record::start_time(pid.as_raw())
        .ok_or_else(|| Trouble::Failed("start it", "it ended before its program ran".to_owned()))?;
    let started = Started {
        id: plan.id.clone(),
        attempt: plan.attempt,
        pid: pid.as_raw(),
        start_time,
        boot: record::boot(),
        started_at: Timestamp::now(),
        image_digest: plan.image_digest.clone(),
    };
    // Written first: whatever happens to this process from here on, the container can be found.
    record::write(Path::new(layout::STATE), &started).map_err(Trouble::at("write the state"))?;
    container.start().map_err(|error| Trouble::Failed("start it", chain(&error)))?;
    let told = drain(report);
    if told.is_empty() { Ok(()) } else { Err(Trouble::Refused(told)) }
}

/// Reads until the program runs or is given up.
fn drain(report: OwnedFd) -> String {
    let mut text = String::new();
    // What was read until an error is what there is.
    let _ = File::from(report).take(4096).read_to_string(&mut text);
    text
}

/// Why a mount does not fit what the image has in its place.
fn target_problem(rootfs: &Path, wanted: &Mount) -> Option<String> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};
    let wants_dir = match &wanted.source {
        MountSource::Host(path) | MountSource::Volume(path) | MountSource::Owned(path) => path.is_dir(),
        MountSource::Memory { .. } => true,
    };
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    // What is not there will be made.
    let found = File::from(openat2(File::open(rootfs).ok()?, &wanted.target, how).ok()?);
    let is_dir = found.metadata().ok()?.is_dir();
    let kind = |dir| if dir { "a directory" } else { "a file" };
    (is_dir != wants_dir).then(|| {
        format!(
            "{} is {} in the image, its source is {}",
            wanted.target.display(),
            kind(is_dir),
            kind(wants_dir)
        )
    })
}

/// Makes the working directory below `rootfs` if the image has none, as the container would see the path.
fn make_working_dir(rootfs: &Path, path: &str) -> Result<(), Trouble> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};
    let refuse =
        |reason: &dyn std::fmt::Display| Trouble::Refused(format!("working directory `{path}`: {reason}"));
    if !path.starts_with('/') {
        return Err(refuse(&"it is not absolute"));
    }
    let root = File::open(rootfs).map_err(Trouble::at("open the image"))?;
    let how = OpenHow::new()
        .flags(OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut inside = PathBuf::from("/");
    let mut parent = openat2(&root, "/", how).map_err(|error| refuse(&error.desc()))?;
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        inside.push(part);
        parent = match openat2(&root, &inside, how) {
            Ok(found) => found,
            Err(nix::Error::ENOENT) => {
                nix::sys::stat::mkdirat(&parent, part, Mode::from_bits_truncate(0o755))
                    .and_then(|()| openat2(&root, &inside, how))
                    .map_err(|error| refuse(&error.desc()))?
            }
            Err(error) => return Err(refuse(&error.desc())),
        };
    }
    Ok(())
}

/// Runs the same program again as the waiting process: same pid, same children, none of the memory used here.
fn become_waiter(dir: &Path, kept: &Kept) -> Trouble {
    let fds = [
        &kept.stdout.as_raw_fd(),
        &kept.stderr.as_raw_fd(),
        &kept.control.as_raw_fd(),
        &kept.lock.as_raw_fd(),
    ];
    let keep = || -> nix::Result<()> {
        fcntl(&kept.stdout, FcntlArg::F_SETFD(FdFlag::empty()))?;
        fcntl(&kept.stderr, FcntlArg::F_SETFD(FdFlag::empty()))?;
        fcntl(&kept.control, FcntlArg::F_SETFD(FdFlag::empty()))?;
        fcntl(&*kept.lock, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(())
    };
    let execute = || -> Result<std::convert::Infallible, String> {
        keep().map_err(|error| error.to_string())?;
        let mut arguments =
            vec!["univrs".to_owned(), super::WAIT.to_owned(), dir.to_string_lossy().into_owned()];
        arguments.extend(fds.iter().map(|fd| fd.to_string()));
        let arguments = arguments
            .into_iter()
            .map(|argument| CString::new(argument).map_err(|error| error.to_string()))
            .collect::<Result<Vec<_>, _>>()?;
        let environment: [CString; 0] = [];
        nix::unistd::execve(c"/proc/self/exe", &arguments, &environment).map_err(|error| error.to_string())
    };
    match execute() {
        Ok(never) => match never {},
        Err(reason) => Trouble::Failed("become the waiting process", reason),
    }
}
