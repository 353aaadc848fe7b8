//! An image that holds a network namespace: one program of a few instructions that waits for ever.
//!
//! Docker keeps a network namespace only as long as a container runs in it, and lets others join only a running one.
//! So each group of containers has one that does nothing. Its program is written here byte by byte: it takes one page
//! of memory, needs no library, and is loaded into the engine in milliseconds.

use std::io;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

/// Where the program is in its image.
pub const PROGRAM: &str = "/pause";

const FILE_HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
const ADDRESS: u64 = 0x40_0000;

/// A kind of machine that there is a program for.
struct Machine {
    /// As the image specification calls it.
    architecture: &'static str,
    /// As the ELF header calls it.
    elf: u16,
    code: &'static [u8],
}

/// `for (;;) pause();`
const X86_64: Machine = Machine {
    architecture: "amd64",
    elf: 62,
    // mov eax, 34 (pause); syscall; jmp to the start
    code: &[0xb8, 0x22, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7],
};

/// `for (;;) ppoll(NULL, 0, NULL, NULL, 0);`, for want of `pause`.
const AARCH64: Machine = Machine {
    architecture: "arm64",
    elf: 183,
    code: &[
        0x00, 0x00, 0x80, 0xd2, // mov x0, 0
        0x01, 0x00, 0x80, 0xd2, // mov x1, 0
        0x02, 0x00, 0x80, 0xd2, // mov x2, 0
        0x03, 0x00, 0x80, 0xd2, // mov x3, 0
        0x04, 0x00, 0x80, 0xd2, // mov x4, 0
        0x28, 0x09, 0x80, 0xd2, // mov x8, 73 (ppoll)
        0x01, 0x00, 0x00, 0xd4, // svc 0
        0xf9, 0xff, 0xff, 0x17, // b to the start
    ],
};

fn machine() -> io::Result<&'static Machine> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(&X86_64),
        "aarch64" => Ok(&AARCH64),
        other => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("there is no program to hold a namespace for {other} machines"),
        )),
    }
}

/// The program as an ELF file with one segment.
fn program(machine: &Machine) -> Vec<u8> {
    let length = FILE_HEADER + PROGRAM_HEADER + machine.code.len() as u64;
    let mut elf = Vec::new();
    // 64 bits, least significant byte first, version 1, no particular system.
    elf.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let put16 = |elf: &mut Vec<u8>, value: u16| elf.extend_from_slice(&value.to_le_bytes());
    let put32 = |elf: &mut Vec<u8>, value: u32| elf.extend_from_slice(&value.to_le_bytes());
    let put64 = |elf: &mut Vec<u8>, value: u64| elf.extend_from_slice(&value.to_le_bytes());
    put16(&mut elf, 2); // an executable
    put16(&mut elf, machine.elf);
    put32(&mut elf, 1);
    put64(&mut elf, ADDRESS + FILE_HEADER + PROGRAM_HEADER); // where it starts
    put64(&mut elf, FILE_HEADER); // where the program header is
    put64(&mut elf, 0); // no sections
    put32(&mut elf, 0);
    put16(&mut elf, FILE_HEADER as u16);
    put16(&mut elf, PROGRAM_HEADER as u16);
    put16(&mut elf, 1); // one program header
    for _ in 0..3 {
        put16(&mut elf, 0);
    }
    put32(&mut elf, 1); // loaded
    put32(&mut elf, 5); // readable and executable
    put64(&mut elf, 0); // from the start of the file
    put64(&mut elf, ADDRESS);
    put64(&mut elf, ADDRESS);
    put64(&mut elf, length);
    put64(&mut elf, length);
    put64(&mut elf, 0x1_0000); // no page is larger
    elf.extend_from_slice(machine.code);
    elf
}

/// The image as `docker save` would write it. The same bytes each time.
///
/// # Errors
/// When there is no program for this kind of machine.
pub fn archive(reference: &str) -> io::Result<Vec<u8>> {
    let machine = machine()?;
    let layer = tar_of(&[(PROGRAM.trim_start_matches('/'), &program(machine), 0o755)])?;
    let config = json!({
        "architecture": machine.architecture,
        "os": "linux",
        "config": { "Entrypoint": [PROGRAM] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))] },
    })
    .to_string();
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"] }]).to_string();
    tar_of(&[
        ("layer.tar", &layer, 0o644),
        ("config.json", config.as_bytes(), 0o644),
        ("manifest.json", manifest.as_bytes(), 0o644),
    ])
}

fn tar_of(files: &[(&str, &[u8], u32)]) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes, mode) in files {
        let mut header = Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(0);
        builder.append_data(&mut header, name, *bytes)?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;
    use std::time::Duration;

    use super::{archive, machine, program};

    #[test]
    fn the_program_waits_until_it_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pause");
        std::fs::write(&path, program(machine().unwrap())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(&path).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(child.try_wait().unwrap(), None, "it still waits");
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn the_image_is_always_the_same() {
        assert_eq!(archive("a:1").unwrap(), archive("a:1").unwrap());
    }
}
