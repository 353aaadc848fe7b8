//! A copy of the whole state, as a stream of bytes.
//!
//! Secrets and the authority's key are in it as they are in the state: sealed. Only who has the key file of a
//! validator opens them.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::keys;
use univrs_ports::store::{Consistency, Key, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write};

/// How much of it waits in memory for a slow reader.
const BUFFER: usize = 256 << 10;

/// A backup on its way. One that cannot be completed ends with an error, never early and quietly.
pub type BackupStream = BoxStream<'static, std::io::Result<Bytes>>;

impl Control {
    /// The whole state, as fresh as everything that was acknowledged before the call. That it was copied is recorded
    /// first, and the copy has that record.
    ///
    /// # Errors
    /// When the caller may not, or this node holds no copy of the state.
    pub async fn backup(&self, caller: &Caller) -> Result<BackupStream, Error> {
        let allowed_by = self.allow(caller, Action::BackupRead, "cluster")?;
        let recorded = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::BackupRead,
                object: "cluster".to_owned(),
                summary: "copied the whole state into a backup".to_owned(),
                ..Write::nothing(caller.clone())
            })
            .await?;
        if let TxnOutcome::Committed { revision } = recorded {
            let here = Consistency::Local { min_revision: Some(revision) };
            self.store.get(&Key::new(keys::CLUSTER)?, here).await?;
        }
        let (reader, mut writer) = tokio::io::duplex(BUFFER);
        let store = self.store.clone();
        let writing = tokio::spawn(async move {
            store.snapshot(&mut writer).await.map_err(std::io::Error::other)?;
            writer.shutdown().await
        });
        let end = stream::once(async move {
            match writing.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(Err(error)),
                Err(error) => Some(Err(std::io::Error::other(error))),
            }
        });
        Ok(ReaderStream::new(reader).chain(end.filter_map(std::future::ready)).boxed())
    }
}
