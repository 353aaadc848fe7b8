//! Version and feature level of a program, as they stand in a section of its file: whoever gets a file can read them
//! without running it, and whoever builds one can stamp it afterwards
//! (`objcopy --update-section .univrs.release=FILE`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use univrs_ports::store::SUPPORTED_FEATURE_LEVEL;

/// The name of the section.
const SECTION: &[u8] = b".univrs.release";
/// Its length.
const LENGTH: usize = 64;
/// The machine that this program is for, as ELF numbers them.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// `univrs VERSION level N`, and zeros.
#[used]
#[allow(unsafe_code, reason = "it only gives the section a name of its own")]
#[unsafe(link_section = ".univrs.release")]
static RELEASE: [u8; LENGTH] = text();

/// What a program says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) version: String,
    pub(crate) feature_level: u32,
}

const fn text() -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    let mut at = 0;
    at = append(&mut text, at, b"univrs ");
    at = append(&mut text, at, env!("CARGO_PKG_VERSION").as_bytes());
    at = append(&mut text, at, b" level ");
    let mut divisor = 1;
    while SUPPORTED_FEATURE_LEVEL / divisor >= 10 {
        divisor *= 10;
    }
    while divisor > 0 {
        text[at] = b'0' + (SUPPORTED_FEATURE_LEVEL / divisor % 10) as u8;
        at += 1;
        divisor /= 10;
    }
    text
}

const fn append(text: &mut [u8; LENGTH], mut at: usize, words: &[u8]) -> usize {
    let mut next = 0;
    while next < words.len() {
        text[at] = words[next];
        at += 1;
        next += 1;
    }
    at
}

/// What the running program says of itself.
pub(crate) fn own() -> Release {
    // The file may have been stamped after it was built, and the compiler may have read the value before.
    of(Path::new("/proc/self/exe")).unwrap_or_else(|_| {
        let built = std::hint::black_box(&RELEASE);
        parse(built).unwrap_or_else(|| Release {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            feature_level: SUPPORTED_FEATURE_LEVEL,
        })
    })
}

/// What a file says of itself.
///
/// # Errors
/// When it cannot be read, is no program for this kind of machine, or not this program.
pub(crate) fn of(path: &Path) -> io::Result<Release> {
    let file = File::open(path)?;
    let section = section(&file)?.ok_or_else(|| odd("it does not say which version of univrs it is"))?;
    parse(&section).ok_or_else(|| odd("what it says of its version cannot be read"))
}

fn odd(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn parse(bytes: &[u8]) -> Option<Release> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    let words: Vec<&str> = std::str::from_utf8(text).ok()?.split_whitespace().collect();
    match words.as_slice() {
        ["univrs", version, "level", level] => {
            Some(Release { version: (*version).to_owned(), feature_level: level.parse().ok()? })
        }
        _ => None,
    }
}

/// The section's bytes. Only what ELF says for 64 bits, least byte first, is read: see elf(5).
fn section(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).map_err(|_| odd("it is too short for a program"))?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Err(odd("it is no program for Linux on 64 bits"));
    }
    let machine = u16::from_le_bytes([header[18], header[19]]);
    if machine != MACHINE {
        return Err(odd(&format!(
            "it is for another kind of machine (ELF number {machine}, here {MACHINE})"
        )));
    }
    let table = number(&header, 40, 8);
    let (size, count, names) = (number(&header, 58, 2), number(&header, 60, 2), number(&header, 62, 2));
    if size < 64 || names >= count {
        return Ok(None);
    }
    let entry = |index: u64| -> io::Result<[u8; 64]> {
        let mut entry = [0; 64];
        let at = index.checked_mul(size).and_then(|offset| table.checked_add(offset));
        file.read_exact_at(&mut entry, at.ok_or_else(|| odd("its sections lie nowhere"))?)?;
        Ok(entry)
    };
    let names_at = number(&entry(names)?, 24, 8);
    for index in 0..count {
        let entry = entry(index)?;
        let mut name = [0; SECTION.len() + 1];
        let at = names_at.checked_add(number(&entry, 0, 4)).ok_or_else(|| odd("its names lie nowhere"))?;
        // The last name may be shorter than this one, and then it is another.
        if file.read_exact_at(&mut name, at).is_err()
            || name[..SECTION.len()] != *SECTION
            || name[SECTION.len()] != 0
        {
            continue;
        }
        let mut bytes = vec![0; LENGTH.min(usize::try_from(number(&entry, 32, 8)).unwrap_or(LENGTH))];
        file.read_exact_at(&mut bytes, number(&entry, 24, 8))?;
        return Ok(Some(bytes));
    }
    Ok(None)
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes.iter().skip(at).take(length).rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use univrs_ports::store::SUPPORTED_FEATURE_LEVEL;

    use super::{Release, of, own, parse};

    #[test]
    fn a_program_says_which_it_is() {
        let wanted =
            Release { version: env!("CARGO_PKG_VERSION").to_owned(), feature_level: SUPPORTED_FEATURE_LEVEL };
        assert_eq!(own(), wanted);
        assert_eq!(of(&std::env::current_exe().unwrap()).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_such_program_is_refused() {
        for (path, reason) in [("/bin/ls", "does not say"), ("/etc/os-release", "no program for Linux")] {
            let error = of(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(reason), "{path}: {error}");
        }
    }

    #[test]
    fn stamps_are_read_strictly() {
        let read = |text: &[u8]| parse(text).map(|release| (release.version, release.feature_level));
        assert_eq!(read(b"univrs 1.2.3+x level 4\0\0"), Some(("1.2.3+x".to_owned(), 4)));
        for bad in [&b""[..], b"univrs 1", b"other 1 level 2", b"univrs 1 level x", b"univrs 1 level 2 more"]
        {
            assert_eq!(read(bad), None);
        }
    }
}
