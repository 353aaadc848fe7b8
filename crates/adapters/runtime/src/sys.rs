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

/// Unmaps pages of this program's code. What runs next is mapped again from the file, which the system keeps as long as
/// it has room.
#[cfg(target_os = "linux")]
pub(crate) fn unmap_code(first: usize, end: usize) -> nix::Result<()> {
    let length = end.saturating_sub(first);
    // SAFETY: the caller names a private mapping of a file that can be read and run and not be written, so its pages
    // are as in the file and come back from there.
    let result = unsafe { nix::libc::madvise(first as *mut _, length, nix::libc::MADV_DONTNEED) };
    nix::errno::Errno::result(result).map(drop)
}

/// What a loop device is told of itself, as the kernel lays it out (`struct loop_info64`).
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    file: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `LOOP_CTL_GET_FREE`, `LOOP_CONFIGURE`, `LOOP_SET_CAPACITY` and `LO_FLAGS_AUTOCLEAR` of the kernel's `linux/loop.h`.
const LOOP_GET_FREE: nix::libc::Ioctl = 0x4c82;
const LOOP_CONFIGURE: nix::libc::Ioctl = 0x4c0a;
const LOOP_SET_CAPACITY: nix::libc::Ioctl = 0x4c07;
const LOOP_AUTOCLEAR: u32 = 4;

/// The number of a loop device that nobody uses now.
pub(crate) fn free_loop(control: BorrowedFd<'_>) -> nix::Result<u64> {
    // SAFETY: the call takes no argument and touches no memory of this process.
    let number = unsafe { nix::libc::ioctl(control.as_raw_fd(), LOOP_GET_FREE) };
    nix::errno::Errno::result(number).map(|number| u64::try_from(number).unwrap_or(0))
}

/// Puts a file behind a loop device, which lets it go by itself when its last user has closed it. It takes Linux 5.8.
pub(crate) fn configure_loop(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> nix::Result<()> {
    let info = LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LOOP_AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let number = u32::try_from(file.as_raw_fd()).map_err(|_| nix::errno::Errno::EBADF)?;
    let config = LoopConfig { file: number, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: both descriptors are open for the length of the call, and the kernel only reads the structure, which has
    // its layout.
    let result = unsafe { nix::libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    nix::errno::Errno::result(result).map(drop)
}

/// Makes a loop device as large as its file is now.
pub(crate) fn resize_loop(device: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: the call takes no argument and touches no memory of this process.
    let result = unsafe { nix::libc::ioctl(device.as_raw_fd(), LOOP_SET_CAPACITY, 0) };
    nix::errno::Errno::result(result).map(drop)
}

/// How long the machine has been up, its sleep included.
pub(crate) fn uptime() -> std::time::Duration {
    let mut time = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours for the length of the call. It cannot fail: the kernel has had this clock since 2.6.39.
    unsafe { nix::libc::clock_gettime(nix::libc::CLOCK_BOOTTIME, &raw mut time) };
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    std::time::Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

/// A number at the beginning of a file. It is written as memory is: without a call, and never halfway.
#[derive(Debug)]
pub(crate) struct SharedNumber {
    at: std::ptr::NonNull<std::sync::atomic::AtomicU64>,
}

// SAFETY: what it points at is an atomic number, which threads may share, and stays where it is until the drop.
unsafe impl Send for SharedNumber {}
// SAFETY: as above.
unsafe impl Sync for SharedNumber {}

impl SharedNumber {
    const SIZE: usize = size_of::<u64>();

    /// Maps the number; the file is made as long as it takes. Nobody may make it shorter.
    pub(crate) fn map(file: &std::fs::File) -> std::io::Result<Self> {
        if file.metadata()?.len() < Self::SIZE as u64 {
            file.set_len(Self::SIZE as u64)?;
        }
        let access = nix::libc::PROT_READ | nix::libc::PROT_WRITE;
        // SAFETY: the kernel chooses a place that is free, and the file has what is mapped.
        let mapped = unsafe {
            let (anywhere, shared) = (std::ptr::null_mut(), nix::libc::MAP_SHARED);
            nix::libc::mmap(anywhere, Self::SIZE, access, shared, file.as_raw_fd(), 0)
        };
        if mapped == nix::libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // A mapping begins with a page, which is aligned for anything.
        let at = std::ptr::NonNull::new(mapped.cast()).ok_or_else(std::io::Error::last_os_error)?;
        Ok(Self { at })
    }

    pub(crate) fn number(&self) -> &std::sync::atomic::AtomicU64 {
        // SAFETY: it is mapped until the drop, aligned, and written as an atomic number only.
        unsafe { self.at.as_ref() }
    }
}

impl Drop for SharedNumber {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and nobody borrows it any more.
        unsafe { nix::libc::munmap(self.at.as_ptr().cast(), Self::SIZE) };
    }
}
