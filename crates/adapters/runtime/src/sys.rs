//! The few system calls that have no safe wrapper. Nothing else in this crate is unsafe.

#![expect(
    unsafe_code,
    reason = "calls without a safe wrapper in the libraries used; each says why it is sound"
)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

/// Puts signals back to how a new program expects them: default actions, nothing blocked.
///
/// Ignored and blocked signals survive `execve`, and Rust's own start-up ignores `SIGPIPE`.
pub(crate) fn reset_signals() -> nix::Result<()> {
    for number in Signal::iterator().filter(|one| !matches!(one, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action installs no handler, so no code of ours can run inside a signal.
        unsafe { signal(number, SigHandler::SigDfl) }?;
    }
    SigSet::empty().thread_set_mask()
}

/// Takes over a file descriptor that this program was started with.
///
/// Answers `None` when nothing is open under that number.
pub(crate) fn adopt_fd(number: RawFd) -> Option<OwnedFd> {
    if number < 3 {
        return None;
    }
    // SAFETY: the number is only borrowed for this one call, which fails cleanly when nothing is open there.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    nix::fcntl::fcntl(borrowed, nix::fcntl::FcntlArg::F_GETFD).ok()?;
    // SAFETY: it is open, and the program that executed this one left it for us alone: the number came on our
    // command line, and each number is adopted once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes over a file descriptor that arrived in a control message.
pub(crate) fn received_fd(number: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed the number in this process for the receiver of the message.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Tells a terminal its size.
pub(crate) fn resize(terminal: BorrowedFd<'_>, columns: u16, rows: u16) -> nix::Result<()> {
    let size = nix::libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open for the length of the call and the kernel only reads the structure.
    let result = unsafe { nix::libc::ioctl(terminal.as_raw_fd(), nix::libc::TIOCSWINSZ, &raw const size) };
    nix::errno::Errno::result(result).map(drop)
}

/// Sends a signal by its number, which may be a real-time one.
pub(crate) fn send_signal(pid: i32, number: i32) -> nix::Result<()> {
    if pid <= 1 {
        return Err(nix::errno::Errno::ESRCH);
    }
    // SAFETY: the call takes two numbers and touches no memory of this process.
    nix::errno::Errno::result(unsafe { nix::libc::kill(pid, number) }).map(drop)
}

/// Restricts the system calls of this process and all it starts, for good. It must not be able to gain privileges.
pub(crate) fn restrict(program: &mut [nix::libc::sock_filter]) -> nix::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| nix::errno::Errno::E2BIG)?;
    let program = nix::libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: the pointer and the length describe one slice, which outlives the call; the kernel copies and checks it.
    let result = unsafe {
        nix::libc::prctl(nix::libc::PR_SET_SECCOMP, nix::libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    nix::errno::Errno::result(result).map(drop)
}

/// Bounds how many separate heaps the allocator of the C library keeps for threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn limit_heaps(most: i32) {
    // SAFETY: the call sets a number inside the allocator and touches nothing else; it refuses what it cannot set.
    unsafe { nix::libc::mallopt(nix::libc::M_ARENA_MAX, most) };
}

/// Gives pages that hold nothing back to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn trim_heaps() {
    // SAFETY: the allocator locks its heaps one by one and returns pages that no allocation uses.
    unsafe { nix::libc::malloc_trim(0) };
}
