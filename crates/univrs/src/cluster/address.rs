//! Where other nodes are told to reach this one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The port of nodes, where nobody says another.
pub(crate) const NODE_PORT: u16 = 9443;

/// `HOST:PORT` out of `HOST[:PORT]`.
pub(crate) fn with_port(text: &str, port: u16) -> String {
    let has_port = match text.strip_prefix('[') {
        Some(_) => text.contains("]:"),
        None => text.matches(':').count() == 1,
    };
    match (has_port, text.parse::<std::net::Ipv6Addr>()) {
        (true, _) => text.to_owned(),
        (false, Ok(address)) => format!("[{address}]:{port}"),
        (false, Err(_)) => format!("{text}:{port}"),
    }
}

/// What others are told: what was said, or the address that is listened on, or that of the interface towards `peer`
/// or, without one, towards everything.
pub(crate) fn advertised(said: Option<&str>, listening: SocketAddr, peer: Option<&str>) -> String {
    if let Some(said) = said {
        return with_port(said, listening.port());
    }
    let address = if listening.ip().is_unspecified() { towards(peer) } else { listening.ip() };
    SocketAddr::new(address, listening.port()).to_string()
}

/// The address of this machine on the way to `peer`. Nothing is sent.
fn towards(peer: Option<&str>) -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let found = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        match peer {
            Some(peer) => socket.connect(with_port(peer, NODE_PORT)).ok()?,
            // An address that belongs to nobody: the kernel only looks up the way.
            None => socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?,
        }
        socket.local_addr().ok().map(|address| address.ip())
    };
    found().unwrap_or(loopback)
}

#[cfg(test)]
mod tests {
    use super::{advertised, with_port};

    #[test]
    fn a_port_is_added_where_none_is() {
        for (text, full) in [
            ("a.test", "a.test:9443"),
            ("a.test:1", "a.test:1"),
            ("10.0.0.1", "10.0.0.1:9443"),
            ("::1", "[::1]:9443"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(with_port(text, 9443), full);
        }
    }

    #[test]
    fn others_are_told_what_was_said_or_what_is_listened_on() {
        let listening = "127.0.0.1:7000".parse().unwrap();
        assert_eq!(advertised(Some("n1.test"), listening, None), "n1.test:7000");
        assert_eq!(advertised(None, listening, Some("10.9.9.9:9443")), "127.0.0.1:7000");
        assert_eq!(advertised(None, "0.0.0.0:7000".parse().unwrap(), Some("127.0.0.1:1")), "127.0.0.1:7000");
    }
}
