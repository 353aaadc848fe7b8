//! Machines that have no certificate yet: they may ask to join, once, and nothing else.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use univrs_model::member::JoinRequest;

use crate::cluster::frames;
use crate::cluster::port::Offers;
use crate::cluster::service;

/// How long a machine may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest request to join.
const LARGEST: u32 = 64 << 10;

/// Answers one request to join.
pub(super) async fn serve(mut stream: TlsStream<TcpStream>, offers: &Offers) -> io::Result<()> {
    let request = tokio::time::timeout(PATIENCE, frames::read::<JoinRequest>(&mut stream, LARGEST)).await;
    let request = request.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let reply = service::join(offers, request).await;
    let answered = async {
        frames::write(&mut stream, &reply).await?;
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
