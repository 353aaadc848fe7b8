//! TCP through the API: the raw bytes of one connection in the binary frames of one WebSocket.
//!
//! An empty frame says that its sender will send no more, as a half-closed TCP connection does.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::error::Error;
use crate::request::Client;
use crate::socket::Socket;

impl Client {
    /// Opens a connection to a port of a workload's instance.
    ///
    /// # Errors
    /// As every request.
    pub async fn tunnel(&self, workload: &str, port: u16) -> Result<Socket, Error> {
        self.socket(&["api", "workloads", workload, "proxy"], &[("port", port.to_string())]).await
    }

    /// Joins a local connection and a port of a workload's instance until both ends are done.
    ///
    /// # Errors
    /// When either connection breaks.
    pub async fn forward<C>(&self, workload: &str, port: u16, local: C) -> Result<(), Error>
    where
        C: AsyncRead + AsyncWrite + Send,
    {
        let socket = self.tunnel(workload, port).await?;
        pump(local, socket).await.map_err(|error| self.broken(error))
    }
}

/// Copies bytes both ways between a connection and a WebSocket until both ends are done.
///
/// # Errors
/// When either of the two breaks.
pub async fn pump<C>(local: C, socket: Socket) -> Result<(), tokio_tungstenite::tungstenite::Error>
where
    C: AsyncRead + AsyncWrite + Send,
{
    let (mut reader, mut writer) = tokio::io::split(local);
    let (mut sink, mut stream) = socket.split();
    let upward = async {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        while reader.read_buf(&mut buffer).await? != 0 {
            sink.send(Message::Binary(buffer.split().freeze())).await?;
            buffer.reserve(16 * 1024);
        }
        sink.send(Message::Binary(Bytes::new())).await
    };
    let finished = AtomicBool::new(false);
    let downward = async {
        loop {
            let message = match stream.next().await {
                None => break,
                // After its last byte the server may go without a farewell.
                Some(Err(_)) if finished.load(Ordering::Relaxed) => break,
                Some(message) => message?,
            };
            match message {
                Message::Binary(bytes) if bytes.is_empty() => {
                    end(&mut writer).await?;
                    finished.store(true, Ordering::Relaxed);
                }
                Message::Binary(bytes) => {
                    writer.write_all(&bytes).await?;
                    writer.flush().await?;
                }
                Message::Close(_) => break,
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        end(&mut writer).await
    };
    // The server's end ends the whole: nothing that is still sent would be heard.
    tokio::pin!(upward, downward);
    let mut sent = false;
    while !(sent && finished.load(Ordering::Relaxed)) {
        tokio::select! {
            received = &mut downward => return received,
            outcome = &mut upward, if !sent => {
                outcome?;
                sent = true;
            }
        }
    }
    Ok(())
}

/// Says that no more will be written; the reader may be gone already.
async fn end(writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    match writer.shutdown().await {
        Err(error) if error.kind() != std::io::ErrorKind::NotConnected => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
