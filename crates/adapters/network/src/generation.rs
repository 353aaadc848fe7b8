//! The generation of the kernel's packet rules: a number that every change counts up, whoever makes it. Who knows it need
//! not list the rules to see that they are as they were, and asks for it with three system calls instead of a program.

use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// The subsystem of nftables, in the upper byte of a message's type.
const NFTABLES: u16 = 10 << 8;
const NEW_GENERATION: u16 = NFTABLES | 15;
const GET_GENERATION: u16 = NFTABLES | 16;
const REQUEST: u16 = 1;
/// The attribute that holds the number.
const GENERATION: u16 = 1;
/// Length, type, flags, sequence, port; then family, version and resource of the packet filter.
const HEADER: usize = 16 + 4;

/// The generation in the network namespace of this thread; nothing where the kernel does not tell.
pub(crate) fn now() -> Option<u32> {
    let protocol = SockProtocol::NetlinkNetFilter;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).ok()?;
    let mut request = [0_u8; HEADER];
    request[..4].copy_from_slice(&u32::try_from(HEADER).ok()?.to_ne_bytes());
    request[4..6].copy_from_slice(&GET_GENERATION.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    send(socket.as_raw_fd(), &request, MsgFlags::empty()).ok()?;
    let mut reply = [0_u8; 512];
    // The kernel has answered before the request is sent.
    let length = recv(socket.as_raw_fd(), &mut reply, MsgFlags::MSG_DONTWAIT).ok()?;
    read(&reply[..length])
}

/// The number in a reply.
fn read(reply: &[u8]) -> Option<u32> {
    let half = |at: usize| Some(u16::from_ne_bytes(reply.get(at..at + 2)?.try_into().ok()?));
    if half(4)? != NEW_GENERATION {
        return None;
    }
    let mut at = HEADER;
    loop {
        let (length, kind) = (usize::from(half(at)?), half(at + 2)?);
        if kind == GENERATION {
            return Some(u32::from_be_bytes(reply.get(at + 4..at + 8)?.try_into().ok()?));
        }
        // An attribute begins where a number of four bytes may; one shorter than its head would be read for ever.
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        for (kind, value) in attributes {
            bytes.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_number_is_found_among_the_attributes() {
        let process: (u16, &[u8]) = (3, b"nft\0\0");
        let whole = reply(NEW_GENERATION, &[process, (GENERATION, &[0, 0, 1, 4])]);
        assert_eq!(read(&whole), Some(260));
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "cut off after {length} bytes");
        }
        assert_eq!(read(&reply(2, &[(GENERATION, &[0, 0, 1, 4])])), None, "an error");
        assert_eq!(read(&reply(NEW_GENERATION, &[process])), None);
    }

    #[test]
    fn the_kernel_tells_it() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: the packet filter speaks with root only");
            return;
        }
        let first = now();
        assert!(first.is_some());
        assert!(now() >= first);
    }
}
