//! Keeps the memory of a daemon that mostly waits near what it uses.
//!
//! The C library keeps a heap per thread and core and gives little of them back: a daemon that unpacked an image once
//! would look for ever as if it still did. It stands here because this crate holds the few calls without safe wrappers.
//! With another C library the functions about heaps do nothing.

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

/// Unmaps the program's code, of which a start uses far more than a daemon that waits: what is needed is mapped again
/// when it runs, some hundred short faults in all. Does nothing where the mappings cannot be read.
pub fn forget_code() {
    #[cfg(target_os = "linux")]
    if let (Ok(maps), Ok(program)) =
        (std::fs::read_to_string("/proc/self/maps"), std::fs::read_link("/proc/self/exe"))
    {
        for (first, end) in code(&maps, &program.to_string_lossy()) {
            // Refused where the pages are locked in memory: then they stay, as whoever locked them wants.
            let _ = crate::sys::unmap_code(first, end);
        }
    }
}

/// Where `program` is mapped to be run and not to be written, by what the kernel says of a process
/// (`proc_pid_maps(5)`: `first-end permissions offset device inode path`).
fn code<'a>(maps: &'a str, program: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    maps.lines().filter_map(move |line| {
        let (range, rest) = line.split_once(' ')?;
        if !rest.starts_with("r-xp ") || !rest.trim_end().ends_with(program) || program.is_empty() {
            return None;
        }
        let (first, end) = range.split_once('-')?;
        Some((usize::from_str_radix(first, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::{code, forget_code};

    #[test]
    fn only_code_of_the_program_is_found() {
        let maps = "00200000-00c00000 r--p 00000000 fe:00 77 /opt/univrs\n\
                    00c00000-04f00000 r-xp 00a00000 fe:00 77 /opt/univrs\n\
                    04f00000-05100000 rw-p 04d00000 fe:00 77 /opt/univrs\n\
                    7f0000000000-7f0000100000 r-xp 00026000 fe:00 12 /usr/lib/libc.so.6\n\
                    7f0000200000-7f0000300000 rwxp 00000000 fe:00 77 /opt/univrs\n";
        assert_eq!(code(maps, "/opt/univrs").collect::<Vec<_>>(), [(0x00c0_0000, 0x04f0_0000)]);
        assert_eq!(code(maps, "").count(), 0);
    }

    #[test]
    fn what_was_forgotten_still_runs() {
        for _ in 0..3 {
            forget_code();
            assert_eq!("after".to_uppercase(), "AFTER");
        }
    }
}
