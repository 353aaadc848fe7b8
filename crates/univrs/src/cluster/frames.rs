//! Words with their length before them, for exchanges of a few words outside the node RPC.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Writes one frame: its length, then its bytes.
pub(super) async fn write_bytes(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a frame is too large"))?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(bytes).await?;
    io.flush().await
}

/// Reads one frame of at most `limit` bytes.
pub(super) async fn read_bytes(io: &mut (impl AsyncRead + Unpin), limit: u32) -> io::Result<Vec<u8>> {
    let length = io.read_u32().await?;
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
    }
    // What was announced but not sent costs nothing.
    let mut bytes = Vec::new();
    let read = io.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if read < length as usize { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

/// Writes a word as JSON.
pub(super) async fn write<T: Serialize>(io: &mut (impl AsyncWrite + Unpin), word: &T) -> io::Result<()> {
    write_bytes(io, &serde_json::to_vec(word)?).await
}

/// Reads a word as JSON.
pub(super) async fn read<T: DeserializeOwned>(
    io: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> io::Result<T> {
    Ok(serde_json::from_slice(&read_bytes(io, limit).await?)?)
}
