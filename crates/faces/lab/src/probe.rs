//! Small questions to a node's API over plain HTTP, with a short patience.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Asks for a path; the status and the body, or nothing when there is no answer in time.
pub(crate) fn get(address: SocketAddr, path: &str, patience: Duration) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    // HTTP/1.0: the body ends with the connection, so its length needs no reading.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&reply[..end]);
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, reply[end + 4..].to_vec()))
}

/// The body of a successful reply as JSON.
pub(crate) fn json(address: SocketAddr, path: &str, patience: Duration) -> Option<serde_json::Value> {
    let (status, body) = get(address, path, patience)?;
    if status == 200 { serde_json::from_slice(&body).ok() } else { None }
}
