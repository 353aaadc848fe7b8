//! Checks of health over TCP and HTTP. The engine could only make them with a program of the image, which need not be
//! there; so they are made here, from inside the network of the container.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use nix::sched::{CloneFlags, setns};
use univrs_model::workload::HealthCheck;

/// Tries once; `Err` says in a few words why the container does not pass. `pid` is a process of it on this machine.
pub(crate) async fn probe(pid: i32, check: HealthCheck) -> Result<(), String> {
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread of its own: it goes into another network and never comes back.
    let spawned = std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
        // Nobody may be waiting any more.
        let _ = tell.send(inside(pid, &check));
    });
    spawned.map_err(|error| error.to_string())?;
    told.await.map_err(|_| "the check was broken off".to_owned())?
}

fn inside(pid: i32, check: &HealthCheck) -> Result<(), String> {
    let network = File::open(format!("/proc/{pid}/ns/net")).map_err(|_| "it is not running".to_owned())?;
    setns(network, CloneFlags::CLONE_NEWNET).map_err(|error| format!("its network: {error}"))?;
    let timeout = check.timeout.duration();
    let connect = |port: u16| {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpStream::connect_timeout(&target, timeout).map_err(|error| format!("port {port}: {error}"))
    };
    if let Some(tcp) = &check.tcp {
        return connect(tcp.port).map(drop);
    }
    let Some(http) = &check.http else { return Ok(()) };
    let mut stream = connect(http.port)?;
    let failed = |error: std::io::Error| format!("port {}: {error}", http.port);
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: univrs-probe\r\nConnection: close\r\n\r\n",
        http.path
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).map_err(failed)?;
    match status(&head) {
        Some(200..=399) => Ok(()),
        Some(code) => Err(format!("GET {} answered {code}", http.path)),
        None => Err(format!("port {} does not speak HTTP", http.port)),
    }
}

/// The code of a reply that begins `HTTP/1.1 200`.
fn status(head: &[u8; 12]) -> Option<u16> {
    std::str::from_utf8(head).ok()?.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn the_code_is_read_off_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 204"), Some(204));
        assert_eq!(status(b"SSH-2.0-Open"), None);
    }
}
