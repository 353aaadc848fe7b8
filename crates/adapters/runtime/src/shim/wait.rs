//! `shim-wait`: keeps a container's logs, passes signals on, and records how it ended.
//!
//! One thread, one `poll`, little memory: there is one of these for each container.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use univrs_ports::runtime::{Exit, LogStream};

use super::complaints;
use super::control::{Reply, Request};
use crate::cgroup::Cgroups;
use crate::logfile::Writer;
use crate::record::{self, Plan, Started};
use crate::{layout, signals, sys, teardown};

/// How long the container's remains may resist before they are left to the daemon.
const PATIENCE: Duration = Duration::from_secs(2);
/// No request is longer.
const LONGEST_REQUEST: usize = 256;

/// Waits in `dir`, with the open files that the making process left: outputs, control socket, lock.
pub(super) fn main(dir: &Path, numbers: &[RawFd]) -> ExitCode {
    let Ok(mut waiter) = Waiter::new(dir, numbers) else { return ExitCode::FAILURE };
    let code = loop {
        match waiter.turn() {
            Ok(Some(code)) => break code,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "waiting failed");
                // Nothing can be waited for any more, but the end is still worth recording.
                break waiter.wait_only();
            }
        }
    };
    waiter.end(code);
    ExitCode::SUCCESS
}

struct Waiter {
    plan: Plan,
    pid: Pid,
    signals: SignalFd,
    stdout: Option<File>,
    stderr: Option<File>,
    control: UnixListener,
    talks: Vec<Talk>,
    logs: Writer,
    /// Held until the process ends.
    _lock: OwnedFd,
}

/// One connection to the control socket.
struct Talk {
    stream: UnixStream,
    heard: Vec<u8>,
}

impl Waiter {
    fn new(dir: &Path, numbers: &[RawFd]) -> std::io::Result<Self> {
        std::env::set_current_dir(dir)?;
        nix::sys::prctl::set_name(c"univrs-shim")?;
        complaints::write_to(Path::new(layout::COMPLAINTS))?;
        // Told by a descriptor instead of interrupting; none of them ends this process.
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let mut adopted = numbers.iter().map(|number| sys::adopt_fd(*number));
        let mut next =
            || adopted.next().flatten().ok_or_else(|| std::io::Error::from(ErrorKind::InvalidInput));
        let (stdout, stderr) = (File::from(next()?), File::from(next()?));
        let control = UnixListener::from(next()?);
        let lock = next()?;
        for output in [&stdout, &stderr] {
            fcntl(output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        quiet()?;
        let missing = || std::io::Error::from(ErrorKind::NotFound);
        let plan: Plan = record::read(Path::new(layout::PLAN))?.ok_or_else(missing)?;
        let started: Started = record::read(Path::new(layout::STATE))?.ok_or_else(missing)?;
        let logs = Writer::open(&plan.log_dir(), plan.log)?;
        Ok(Self {
            pid: Pid::from_raw(started.pid),
            plan,
            signals,
            stdout: Some(stdout),
            stderr: Some(stderr),
            control,
            talks: Vec::new(),
            logs,
            _lock: lock,
        })
    }

    /// Looks for an end, then waits for something to do and does it. Answers the exit code when there is one.
    fn turn(&mut self) -> std::io::Result<Option<i32>> {
        if let Some(code) = self.reap() {
            return Ok(Some(code));
        }
        let ready = self.poll()?;
        if ready.signals {
            self.heed_signals();
        }
        if ready.stdout {
            self.stdout = copy(self.stdout.take(), LogStream::Stdout, &mut self.logs, 1);
        }
        if ready.stderr {
            self.stderr = copy(self.stderr.take(), LogStream::Stderr, &mut self.logs, 1);
        }
        let pid = self.pid;
        let mut number = 0;
        self.talks.retain_mut(|talk| {
            number += 1;
            !ready.talks[number - 1] || talk.listen(pid)
        });
        if ready.control {
            self.welcome();
        }
        Ok(None)
    }

    /// Waits until something can be read somewhere.
    fn poll(&self) -> std::io::Result<Ready> {
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
        ];
        let outputs = [&self.stdout, &self.stderr];
        fds.extend(outputs.into_iter().flatten().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.talks.iter().map(|talk| PollFd::new(talk.stream.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            // A signal that is not blocked, such as one that stops and continues.
            Err(nix::Error::EINTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        let mut next = || ready.next().unwrap_or(false);
        let (signals, control) = (next(), next());
        let stdout = self.stdout.is_some() && next();
        let stderr = self.stderr.is_some() && next();
        Ok(Ready { signals, control, stdout, stderr, talks: ready.collect() })
    }

    /// Collects ended children; answers the exit code if the container's first process is among them.
    fn reap(&self) -> Option<i32> {
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Err(nix::Error::EINTR) => continue,
                Ok(_) | Err(_) => return None,
            };
            if pid == self.pid {
                return Some(code);
            }
        }
    }

    /// Waits for the end and nothing else.
    fn wait_only(&self) -> i32 {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, code)) => return code,
                Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(_) => return 255,
            }
        }
    }

    fn heed_signals(&self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            // The machine goes down: the container is asked to end, and its end recorded.
            if i32::try_from(info.ssi_signo) == Ok(Signal::SIGTERM as i32) {
                let number = signals::number(&self.plan.stop_signal).unwrap_or(Signal::SIGTERM as i32);
                // It may have ended; that is seen next.
                let _ = sys::send_signal(self.pid.as_raw(), number);
            }
        }
    }

    fn welcome(&mut self) {
        while let Ok((stream, _)) = self.control.accept() {
            let greeted = stream.set_nonblocking(true).is_ok()
                && (&stream).write_all(Reply::Hello.line().as_bytes()).is_ok();
            if greeted {
                self.talks.push(Talk { stream, heard: Vec::new() });
            }
        }
    }

    /// Records the end and tells everyone who listens.
    fn end(mut self, code: i32) {
        // The pipes may be held open by nobody: all processes of the container ended with its first. What they wrote
        // is still in them.
        self.stdout = copy(self.stdout.take(), LogStream::Stdout, &mut self.logs, u32::MAX);
        self.stderr = copy(self.stderr.take(), LogStream::Stderr, &mut self.logs, u32::MAX);
        self.logs.finish();
        let cgroups = Cgroups::find();
        // A process that the kernel did not kill for memory itself may end like that too; so both must hold.
        let out_of_memory =
            code == 128 + Signal::SIGKILL as i32 && cgroups.memory_kills(&self.plan.cgroup) > 0;
        let exit = Exit { code: Some(code), out_of_memory, at: Timestamp::now() };
        if let Err(error) = record::write_durably(Path::new(layout::EXIT), &exit) {
            tracing::error!(%error, "the end could not be recorded");
        }
        if let Err(problem) = teardown::release(Path::new("."), &cgroups, &self.plan.cgroup, PATIENCE) {
            tracing::error!(problem, "the container left something behind");
        }
        let line = Reply::Ended(exit).line();
        for talk in &self.talks {
            // Whoever is gone can read the record.
            let _ = (&talk.stream).write_all(line.as_bytes());
        }
        let _ = std::fs::remove_file(layout::CONTROL);
    }
}

/// What can be read.
struct Ready {
    signals: bool,
    control: bool,
    stdout: bool,
    stderr: bool,
    talks: Vec<bool>,
}

impl Talk {
    /// Reads requests and serves them. Answers whether the connection is still of use.
    fn listen(&mut self, pid: Pid) -> bool {
        let mut bytes = [0; LONGEST_REQUEST];
        loop {
            match (&self.stream).read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                let request = std::str::from_utf8(&line[..end]).ok().and_then(Request::parse);
                if let Some(Request::Signal(number)) = request {
                    // It is not reaped yet, so the pid is still its own.
                    let _ = sys::send_signal(pid.as_raw(), number);
                }
            }
            if self.heard.len() > LONGEST_REQUEST {
                return false;
            }
        }
    }
}

/// Copies what is there into the log, at most `turns` times a buffer. Answers the output if it may yield more.
fn copy(output: Option<File>, stream: LogStream, logs: &mut Writer, turns: u32) -> Option<File> {
    let mut output = output?;
    let mut bytes = [0; 8192];
    for _ in 0..turns {
        match output.read(&mut bytes) {
            Ok(0) => return None,
            Ok(count) => logs.append(stream, &bytes[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(output),
            Err(_) => return None,
        }
    }
    Some(output)
}

/// Lets go of the outputs of the process that made the container, which its caller reads to the end.
fn quiet() -> std::io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}
