//! `shim-exec`: runs one more command in a running container.
//!
//! Its standard input is a socket to the daemon. The call and the command's inputs and outputs come through it, the
//! outcome goes back; with a terminal, the terminal's other end goes back too. When the socket closes, the command
//! is killed: nobody is left who could use it.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program::Program;
use super::secret_env::SecretEnv;
use super::{chain, complaints};
use crate::record::{self, Plan};
use crate::{layout, seccomp, sys, teardown};

/// What is to be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    /// The command line.
    pub(crate) command: Vec<String>,
    /// Added to the container's environment.
    pub(crate) env: Vec<(String, String)>,
    /// Whether it gets a terminal; otherwise three descriptors come with the call.
    pub(crate) tty: bool,
}

/// What is said back, one line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It runs. With a terminal, its other end comes with this answer.
    Running,
    /// It cannot be run.
    Refused(String),
    /// Something else failed.
    Failed(String),
    /// It ended.
    Ended(i32),
}

impl Answer {
    fn send(&self, socket: &UnixStream, terminal: Option<&OwnedFd>) {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        let fds: Vec<i32> = terminal.iter().map(|fd| fd.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let messages = if fds.is_empty() { &rights[..0] } else { &rights[..] };
        // The daemon may be gone; then the command is killed next.
        let _ = sendmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &[IoSlice::new(&line)],
            messages,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
    }
}

/// Longest call that is accepted.
const LONGEST_CALL: usize = 256 << 10;

/// Runs a command in the container whose directory is `dir`.
pub(super) fn main(dir: &Path) -> ExitCode {
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    let workspace = PathBuf::from(format!("e{}", std::process::id()));
    let outcome = begin(dir, &workspace, &socket);
    // What is left there harms nobody and goes with the container.
    let _ = teardown::remove_dir(&workspace);
    match outcome {
        Ok(command) => {
            Answer::Running.send(&socket, command.terminal.as_ref());
            drop(command.terminal);
            if let Some(code) = wait(command.pid, &command.signals, &socket) {
                Answer::Ended(code).send(&socket, None);
            }
            ExitCode::SUCCESS
        }
        Err(answer) => {
            super::reap_children();
            answer.send(&socket, None);
            ExitCode::FAILURE
        }
    }
}

struct Command {
    pid: Pid,
    terminal: Option<OwnedFd>,
    signals: SignalFd,
}

fn failed(step: &str) -> impl Fn(&dyn std::fmt::Display) -> Answer {
    move |error| Answer::Failed(format!("{step}: {error}"))
}

fn begin(dir: &Path, workspace: &Path, socket: &UnixStream) -> Result<Command, Answer> {
    std::env::set_current_dir(dir).map_err(|error| failed("enter the container's directory")(&error))?;
    complaints::write_to(Path::new(layout::COMPLAINTS))
        .map_err(|error| failed("open the error log")(&error))?;
    let (call, fds) = receive(socket).map_err(|error| failed("read the call")(&error))?;
    // The library takes its state from a directory and leaves sockets in it: each command has its own copy.
    let state = workspace.join(layout::LIBRARY);
    std::fs::create_dir_all(&state)
        .and_then(|()| std::fs::copy(Path::new(layout::LIBRARY).join("state.json"), state.join("state.json")))
        .map_err(|error| failed("copy the state")(&error))?;
    let process = workspace.join("process.json");
    describe(&call, &process).map_err(|error| failed("describe the command")(&error))?;
    // Like the container's first process; the command inherits it.
    std::fs::write("/proc/self/oom_score_adj", "0").map_err(|error| failed("lower the priority")(&error))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::unistd::setgroups(&[]).map_err(|error| failed("leave all groups")(&error))?;
    launch(workspace, &process, &call, fds)
}

/// Takes what the container's own process has, but for the command, the additional environment and the terminal.
fn describe(call: &Call, path: &Path) -> std::io::Result<()> {
    let config: Value = serde_json::from_slice(&std::fs::read("config.json")?)?;
    let mut process = config["process"].clone();
    let mut env: Vec<String> = process["env"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str())
        .filter(|entry| {
            let key = entry.split('=').next().unwrap_or_default();
            !call.env.iter().any(|(added, _)| added == key)
        })
        .map(str::to_owned)
        .collect();
    env.extend(call.env.iter().map(|(key, value)| format!("{key}={value}")));
    if call.tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    process["env"] = env.into();
    process["args"] = call.command.clone().into();
    process["terminal"] = call.tty.into();
    std::fs::write(path, serde_json::to_vec(&process)?)
}

fn launch(workspace: &Path, process: &Path, call: &Call, fds: Vec<OwnedFd>) -> Result<Command, Answer> {
    let (report_read, report_write) =
        pipe2(OFlag::O_CLOEXEC).map_err(|error| failed("open the report pipe")(&error))?;
    let plan = record::read::<Plan>(Path::new(layout::PLAN))
        .and_then(|plan| plan.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
        .map_err(|error| failed("read the plan")(&error))?;
    let filter =
        seccomp::read(&plan.filter).map_err(|error| failed("read the filter for system calls")(&error))?;
    let names: Vec<&String> =
        plan.secret_env.iter().filter(|name| !call.env.iter().any(|(added, _)| added == *name)).collect();
    let secrets = SecretEnv::of_container(&names).map_err(|error| failed("read the secrets")(&error))?;
    let own = std::env::current_dir().map_err(|error| failed("find the container's directory")(&error))?;
    let program = Program::new(filter, File::from(report_write)).with_secrets(secrets);
    let mut builder = ContainerBuilder::new(layout::LIBRARY.to_owned(), SyscallType::default())
        .with_root_path(own.join(workspace))
        .map_err(|error| Answer::Failed(chain(&error)))?
        .with_executor(program);
    let mut console = None;
    if call.tty {
        let path = own.join(workspace).join("tty");
        let relative = workspace.join("tty");
        console = Some(
            UnixListener::bind(&relative).map_err(|error| failed("open the terminal's socket")(&error))?,
        );
        builder = builder.with_console_socket(Some(path));
    } else {
        let mut fds = fds.into_iter();
        let (Some(stdin), Some(stdout), Some(stderr)) = (fds.next(), fds.next(), fds.next()) else {
            return Err(Answer::Failed("the call came without inputs and outputs".to_owned()));
        };
        builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
    }
    let built = builder.as_tenant().with_process(Some(process)).with_detach(call.tty).build();
    let pid = built.map_err(|error| {
        let mut told = String::new();
        // Nothing was told when it cannot be read.
        let _ = File::from(report_read).take(4096).read_to_string(&mut told);
        if told.is_empty() { Answer::Failed(chain(&error)) } else { Answer::Refused(told) }
    })?;
    // From here on the end of the command is told by a descriptor. Not earlier: the command would inherit it.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    let signals = mask
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
        .map_err(|error| failed("wait for the command")(&error))?;
    let terminal = match console {
        Some(console) => Some(take_terminal(&console).map_err(|error| failed("get the terminal")(&error))?),
        None => None,
    };
    Ok(Command { pid: Pid::from_raw(pid.as_raw()), terminal, signals })
}

fn take_terminal(console: &UnixListener) -> std::io::Result<OwnedFd> {
    let (stream, _) = console.accept()?;
    let mut bytes = [0; 64];
    let (_, mut fds) = receive_with_fds(&stream, &mut bytes)?;
    fds.pop().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// Waits for the command's end; `None` when the daemon left first and the command was killed.
fn wait(pid: Pid, signals: &SignalFd, socket: &UnixStream) -> Option<i32> {
    let mut left = false;
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => return (!left).then_some(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => return (!left).then_some(128 + signal as i32),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return None,
        }
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if !left {
            fds.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        }
        // Interrupted or not, the state is looked at again.
        let _ = poll(&mut fds, PollTimeout::NONE);
        let closed = fds.get(1).is_some_and(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if closed {
            left = true;
            // It leads a session of its own, and may just have ended.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = kill(pid, Signal::SIGKILL);
        }
        // Only read so that it does not wake again for the same signal.
        while let Ok(Some(_)) = signals.read_signal() {}
    }
}

fn receive(socket: &UnixStream) -> std::io::Result<(Call, Vec<OwnedFd>)> {
    let mut text = Vec::new();
    let mut fds = Vec::new();
    let mut bytes = vec![0; 64 << 10];
    while text.last() != Some(&b'\n') {
        let (count, more) = receive_with_fds(socket, &mut bytes)?;
        if count == 0 || text.len() > LONGEST_CALL {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&bytes[..count]);
        fds.extend(more);
    }
    Ok((serde_json::from_slice(&text)?, fds))
}

/// One message and the descriptors that came with it.
pub(crate) fn receive_with_fds(
    socket: &UnixStream,
    bytes: &mut [u8],
) -> std::io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([i32; 3]);
    let mut parts = [IoSliceMut::new(bytes)];
    let message =
        recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            fds.extend(numbers.into_iter().map(sys::received_fd));
        }
    }
    Ok((message.bytes, fds))
}

/// Sends a call with the command's inputs and outputs.
pub(crate) fn send_call(socket: &UnixStream, call: &Call, fds: &[OwnedFd]) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(call)?;
    line.push(b'\n');
    let numbers: Vec<i32> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let messages = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
    let sent = sendmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &[IoSlice::new(&line)],
        messages,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    let mut socket = socket;
    socket.write_all(&line[sent..])
}
