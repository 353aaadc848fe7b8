//! Stands between a provider and its engine: at a chosen request the engine acts and its answer is lost, or the request
//! never arrives.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// What becomes of the chosen request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The engine never sees it.
    Request,
    /// The engine acts, and nobody hears of it.
    Answer,
}

/// The proxy; it ends when this is dropped.
pub(crate) struct Proxy {
    pub(crate) socket: PathBuf,
    /// Changes that were asked for so far.
    pub(crate) changes: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Proxy {
    /// A proxy at `socket` before the engine at `engine`. The change with this number, from 0, is struck.
    pub(crate) fn start(socket: PathBuf, engine: &Path, number: usize, loss: Loss) -> Self {
        let listener = UnixListener::bind(&socket).unwrap();
        let changes = Arc::new(AtomicUsize::new(0));
        let (counter, engine) = (Arc::clone(&changes), engine.to_owned());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = UnixStream::connect(&engine).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&counter), number, loss));
            }
        });
        Self { socket, changes, task }
    }
}

/// Carries one connection, on which one request follows the answer to the one before.
async fn carry(client: UnixStream, server: UnixStream, counter: Arc<AtomicUsize>, number: usize, loss: Loss) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut struck = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let begins = up[..length].starts_with(b"POST ") || up[..length].starts_with(b"DELETE ");
                if begins && counter.fetch_add(1, Ordering::SeqCst) == number {
                    if loss == Loss::Request {
                        return;
                    }
                    struck = true;
                }
                if to_server.write_all(&up[..length]).await.is_err() {
                    return;
                }
            }
            read = from_server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if struck || to_client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
