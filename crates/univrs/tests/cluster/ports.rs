//! Ports of their own for the daemons of tests.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;

/// Below those that the kernel gives to whoever asks for any, and above those that the product gives to resources.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The locks of the ports that this process has given away.
static GIVEN: Mutex<Vec<(u16, File)>> = Mutex::new(Vec::new());

/// A port that is free for TCP and UDP and that nobody else gets until this process ends: neither while its daemon has
/// not begun to listen, nor while it is down.
pub(crate) fn free_port() -> u16 {
    let mut given = GIVEN.lock().unwrap();
    let locks = std::env::temp_dir().join("univrs-test-ports");
    std::fs::create_dir_all(&locks).unwrap();
    // Processes of tests that run side by side rarely meet.
    let first = given.last().map_or_else(
        || std::process::id() % u32::from(RANGE.end - RANGE.start),
        |last| u32::from(last.0 - RANGE.start) + 1,
    );
    let count = u32::from(RANGE.end - RANGE.start);
    for number in (first..first + count).map(|number| number % count) {
        let port = RANGE.start + u16::try_from(number).unwrap();
        let lock = File::options().create(true).append(true).open(locks.join(port.to_string())).unwrap();
        let at = ("127.0.0.1", port);
        if lock.try_lock().is_ok() && UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok() {
            given.push((port, lock));
            return port;
        }
    }
    panic!("no port is free");
}
