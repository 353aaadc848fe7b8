//! Questions that are not ours go to the host's resolvers, byte for byte apart from the id.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::answer::Carrier;

const PORT: u16 = 53;
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How long the host's list of resolvers is believed.
const REREAD: Duration = Duration::from_secs(5);

/// Who answers what we cannot.
#[derive(Clone, Debug)]
pub enum Upstreams {
    /// The resolvers of the host, read anew every few seconds.
    Host,
    /// These, in order.
    Fixed(Vec<SocketAddr>),
}

/// The resolvers named by a `resolv.conf`, without those that are the name server itself.
///
/// A resolver on the host's loopback is no loop: this process asks it from the host. `own` is where the name server
/// listens; when that is every address, all loopback resolvers are itself.
pub fn host_resolvers(resolv_conf: &Path, own: SocketAddr) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    parse(&text).into_iter().filter(|resolver| !is_self(*resolver, own)).collect()
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server)?.parse::<IpAddr>().ok()
    };
    text.lines().filter_map(address).map(|address| SocketAddr::new(address, PORT)).collect()
}

fn is_self(resolver: SocketAddr, own: SocketAddr) -> bool {
    let everywhere = own.ip().is_unspecified() && resolver.ip().is_loopback();
    resolver.port() == own.port() && (resolver.ip() == own.ip() || everywhere)
}

/// Asks resolvers in turn.
#[derive(Debug)]
pub(crate) struct Forwarder {
    upstreams: Upstreams,
    own: SocketAddr,
    timeout: Duration,
    resolv_conf: PathBuf,
    known: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

impl Forwarder {
    pub(crate) fn new(upstreams: Upstreams, own: SocketAddr, timeout: Duration) -> Self {
        Self { upstreams, own, timeout, resolv_conf: RESOLV_CONF.into(), known: Mutex::new(None) }
    }

    fn resolvers(&self) -> Vec<SocketAddr> {
        let Upstreams::Fixed(fixed) = &self.upstreams else {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((read_at, resolvers)) = known.as_ref()
                && read_at.elapsed() < REREAD
            {
                return resolvers.clone();
            }
            let resolvers = host_resolvers(&self.resolv_conf, self.own);
            *known = Some((Instant::now(), resolvers.clone()));
            return resolvers;
        };
        fixed.iter().copied().filter(|resolver| !is_self(*resolver, self.own)).collect()
    }

    /// The first answer of a resolver, under the client's id; `None` when nobody answers in time.
    pub(crate) async fn ask(&self, query: &[u8], carrier: Carrier) -> Option<Vec<u8>> {
        let id = query.get(..2)?;
        for resolver in self.resolvers() {
            let asking = async {
                match carrier {
                    Carrier::Datagram => by_datagram(resolver, query).await,
                    Carrier::Stream => match by_stream(resolver, query).await {
                        // Some resolvers speak datagrams only.
                        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                            by_datagram(resolver, query).await
                        }
                        other => other,
                    },
                }
            };
            match tokio::time::timeout(self.timeout, asking).await {
                Ok(Ok(mut reply)) => {
                    reply[..2].copy_from_slice(id);
                    return Some(reply);
                }
                Ok(Err(error)) => tracing::debug!(%resolver, %error, "a resolver failed"),
                Err(_) => tracing::debug!(%resolver, "a resolver did not answer in time"),
            }
        }
        None
    }
}

/// The query under an id that only this exchange knows, which with the port makes forging hard.
fn disguised(query: &[u8]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[..2].copy_from_slice(&rand::random::<[u8; 2]>());
    bytes
}

fn answers(reply: &[u8], query: &[u8]) -> bool {
    reply.len() >= 12 && reply[..2] == query[..2] && reply[2] & 0x80 != 0
}

async fn by_datagram(resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if resolver.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    let query = disguised(query);
    socket.send(&query).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(&buffer[..length], &query) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_stream(resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let query = disguised(query);
    write_message(&mut stream, &query).await?;
    let reply = read_message(&mut stream).await?;
    if answers(&reply, &query) { Ok(reply) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// One message on a stream: its length, then its bytes.
pub(crate) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}

/// See [`write_message`].
pub(crate) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::{host_resolvers, parse};

    #[test]
    fn resolv_conf_is_read_leniently() {
        let text =
            "# x\nsearch a b\nnameserver 10.0.0.1\n nameserver\t::1 # y\nnameserver x\nnameservers 1.1.1.1\n";
        let found: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53"]);
    }

    #[test]
    fn the_name_server_never_asks_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 127.0.0.53\nnameserver 100.64.0.1\nnameserver 10.0.0.1\n").unwrap();
        let count = |own: &str| host_resolvers(&path, own.parse().unwrap()).len();
        assert_eq!(count("100.64.0.1:53"), 2);
        assert_eq!(count("0.0.0.0:53"), 2);
        assert_eq!(count("100.64.9.1:53"), 3);
        assert_eq!(count("100.64.0.1:5353"), 3);
        assert!(host_resolvers(&dir.path().join("none"), "0.0.0.0:53".parse().unwrap()).is_empty());
    }
}
