//! What waits to be written to a connection. One task writes; everything that gathered meanwhile goes with one call.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::{HIGH_WATER, WireError};

/// A buffer larger than this is given back after it was written.
const KEEP: usize = 256 << 10;

/// Frames on their way out.
#[derive(Default)]
pub(crate) struct Outbox {
    buffer: Mutex<BytesMut>,
    filled: Notify,
    drained: Notify,
}

impl Outbox {
    fn buffer(&self) -> MutexGuard<'_, BytesMut> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for another frame (WIRE-1).
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.buffer().len() < HIGH_WATER {
                return;
            }
            drained.await;
        }
    }

    /// Appends a frame.
    pub(crate) fn push(
        &self,
        put: impl FnOnce(&mut BytesMut) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut buffer = self.buffer();
        let was_empty = buffer.is_empty();
        put(&mut buffer)?;
        drop(buffer);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Writes what gathers until writing fails.
    pub(crate) async fn write_to(&self, mut io: impl AsyncWrite + Unpin) -> WireError {
        let mut writing = BytesMut::new();
        loop {
            self.filled.notified().await;
            // Whoever is about to ask as well gets a place in the same write.
            tokio::task::yield_now().await;
            loop {
                std::mem::swap(&mut *self.buffer(), &mut writing);
                if writing.is_empty() {
                    break;
                }
                self.drained.notify_waiters();
                let written = async {
                    io.write_all(&writing).await?;
                    io.flush().await
                };
                if let Err(error) = written.await {
                    return error.into();
                }
                writing.clear();
                if writing.capacity() > KEEP {
                    writing = BytesMut::new();
                }
            }
        }
    }
}
