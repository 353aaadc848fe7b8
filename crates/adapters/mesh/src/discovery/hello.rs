//! The first words between two peers: each says what it is. The transport has proved the key of either.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::{self, ProtocolSupport};
use univrs_ports::discovery::PeerRecord;

/// The protocol's name.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/univrs/1/hello");
/// Bytes of a record at most.
const LONGEST: u64 = 16 * 1024;

/// Reads and writes records as JSON, one for each stream.
#[derive(Clone, Default)]
pub(super) struct Codec;

/// Requests and replies are records alike.
pub(super) type Behaviour = request_response::Behaviour<Codec>;

pub(super) fn behaviour() -> Behaviour {
    request_response::Behaviour::new([(PROTOCOL, ProtocolSupport::Full)], request_response::Config::default())
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<PeerRecord> {
    let mut bytes = Vec::new();
    io.take(LONGEST + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the record is too long"));
    }
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, record: &PeerRecord) -> io::Result<()> {
    let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
    io.write_all(&bytes).await?;
    io.close().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = PeerRecord;
    type Response = PeerRecord;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<PeerRecord>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<PeerRecord>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, record: PeerRecord) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &record).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        record: PeerRecord,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &record).await
    }
}
