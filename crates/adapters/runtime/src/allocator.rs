//! Keeps the memory of a daemon that mostly waits near what it uses.
//!
//! The C library keeps a heap per thread and core and gives little of them back: a daemon that unpacked an image once
//! would look for ever as if it still did. It stands here because this crate holds the few calls without safe wrappers.
//! With another C library both functions do nothing.

/// Heaps for all threads together: one waits for another rarely, as few threads allocate at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: i32 = 2;

/// Shares few heaps among all threads. To be called before there are any.
pub fn share_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::sys::limit_heaps(HEAPS);
}

/// Gives what is free in the heaps back to the system. Takes some milliseconds when there is much.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::sys::trim_heaps();
}
