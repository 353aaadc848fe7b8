//! What passes the wire between two machines, as raw frames.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// Everything that is seen in this thread's namespace until `stop`, except what the bridge or loopback carry: those
/// frames are the plain ones of the machine itself. The wire is told by its addresses, 10.77.0.x.
/// Says `ready` when it begins to watch, and reads what came before `stop` even when it is late.
pub(crate) fn frames(stop: &Arc<AtomicBool>, ready: &Sender<()>) -> Vec<Vec<u8>> {
    let all =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll).unwrap();
    setsockopt(&all, sockopt::ReceiveTimeout, &TimeVal::new(0, 100_000)).unwrap();
    ready.send(()).unwrap();
    let mut seen = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let stopping = stop.load(Ordering::SeqCst);
        let Ok(length) = recv(all.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
            if stopping {
                return seen;
            }
            continue;
        };
        let frame = &buffer[..length];
        let on_the_wire = frame.len() > 34 && frame[12..14] == [8, 0] && frame[26..29] == [10, 77, 0];
        if on_the_wire {
            seen.push(frame.to_vec());
        }
    }
}
