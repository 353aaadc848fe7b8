//! Asks a container whether it serves.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use univrs_model::workload::HealthCheck;
use univrs_ports::runtime::{ContainerId, ExecSpec, Runtime};

/// As much of a reply as is read to find its status.
const REPLY_HEAD: usize = 64;

/// Tries once; `Err` says in a few words why the container does not pass.
///
/// # Errors
/// What the container answered, or that it did not.
pub(crate) async fn probe(
    runtime: &dyn Runtime,
    id: &ContainerId,
    address: Option<Ipv4Addr>,
    check: &HealthCheck,
) -> Result<(), String> {
    let timeout = check.timeout.duration();
    match tokio::time::timeout(timeout, attempt(runtime, id, address, check)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {}", check.timeout)),
    }
}

async fn attempt(
    runtime: &dyn Runtime,
    id: &ContainerId,
    address: Option<Ipv4Addr>,
    check: &HealthCheck,
) -> Result<(), String> {
    if let Some(exec) = &check.exec {
        let spec =
            ExecSpec { command: exec.command.clone(), env: std::collections::BTreeMap::new(), tty: false };
        let session = runtime.exec(id, spec).await.map_err(|error| error.to_string())?;
        // The command may write more than a pipe holds; nobody wants to read it here.
        let (mut out, mut err) = (session.stdout, session.stderr);
        let drain = async {
            let mut sink = (tokio::io::sink(), tokio::io::sink());
            drop(tokio::join!(
                tokio::io::copy(&mut out, &mut sink.0),
                tokio::io::copy(&mut err, &mut sink.1)
            ));
        };
        let (code, ()) = tokio::join!(session.exit, drain);
        return match code.map_err(|error| error.to_string())? {
            0 => Ok(()),
            code => Err(format!("the command ended with code {code}")),
        };
    }
    let address = address.ok_or("it has no address")?;
    if let Some(tcp) = &check.tcp {
        let target = SocketAddr::from((address, tcp.port));
        return TcpStream::connect(target).await.map(drop).map_err(|error| format!("{target}: {error}"));
    }
    let Some(http) = &check.http else { return Err("it has no check".to_owned()) };
    let target = SocketAddr::from((address, http.port));
    let mut stream = TcpStream::connect(target).await.map_err(|error| format!("{target}: {error}"))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: univrs-probe\r\nConnection: close\r\n\r\n",
        http.path
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("{target}: {error}"))?;
    let mut head = Vec::with_capacity(REPLY_HEAD);
    while !head.contains(&b'\n') && head.len() < REPLY_HEAD {
        let mut buffer = [0; REPLY_HEAD];
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => head.extend_from_slice(&buffer[..length]),
            Ok(0) => break,
            Err(error) => return Err(format!("{target}: {error}")),
        }
    }
    match status(&head) {
        Some(200..=399) => Ok(()),
        Some(code) => Err(format!("GET {} answered {code}", http.path)),
        None => Err(format!("{target} does not speak HTTP")),
    }
}

/// The status code of a reply that begins with `head`.
fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\n').next()?).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn the_status_is_found_in_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 500\r\n"), Some(500));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
