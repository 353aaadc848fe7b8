//! The store as a client sees it over the wire.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use univrs_ports::store::{
    ClusterId, Consistency, Error, Key, LeaseGrant, LeaseId, Limits, Page, Prefix, RangeOut, Result,
    Revision, SnapshotMeta, StateStore, StoredValue, Txn, TxnOutcome, WatchBatch, WatchError, WatchStream,
    check_ttl,
};

use super::asker::{Again, Asker, PAUSE, decode_piece, unfit};
use super::connection::Incoming;
use super::dial::{Dial, TcpDial};
use super::words::{Answer, Ask, Open, Piece};

/// How to reach a store on other nodes.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Nodes that serve the store, tried in turn.
    pub nodes: Vec<String>,
    /// How to connect.
    pub dial: Arc<dyn Dial>,
    /// Nodes of another cluster are refused, when it is given.
    pub cluster: Option<ClusterId>,
    /// How long a request may take, all attempts together. More than the nodes themselves wait for a leader.
    pub timeout: Duration,
    /// Whether to go to the leader, where writes need no forwarding. Otherwise the node that was reached forwards.
    pub to_leader: bool,
}

impl RemoteOptions {
    /// Plain connections to these nodes.
    pub fn new(nodes: Vec<String>) -> Self {
        Self {
            nodes,
            dial: Arc::new(TcpDial),
            cluster: None,
            timeout: Duration::from_secs(10),
            to_leader: true,
        }
    }
}

/// A store on other nodes. Clones share their connections.
///
/// A request goes to one node and, when that fails before anything was sent, to the next. What may have been acted on
/// is sent again only when that is safe: reads, and transactions with a request id (STORE-5). A watch goes on at
/// another node where it stopped (STORE-4).
///
/// [`StateStore::revision`] is the newest revision seen in an answer; a node may be further.
#[derive(Clone)]
pub struct RemoteStore {
    asker: Arc<Asker>,
}

impl RemoteStore {
    /// Connects to the first node that answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when none does in time, [`Error::OtherCluster`] when one belongs to another cluster.
    pub async fn connect(options: RemoteOptions) -> Result<Self> {
        let store = Self { asker: Arc::new(Asker::new(options)) };
        match store.asker.ask(&Ask::Where, Again::Safe).await? {
            Answer::Here(here) => store.asker.note(here.revision),
            _ => return Err(unfit()),
        }
        Ok(store)
    }
}

/// A watch that goes on at another node when its connection ends.
struct Watching {
    asker: Arc<Asker>,
    prefix: Prefix,
    /// Everything up to here was told.
    told: Revision,
    stream: Option<Incoming>,
    ended: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchBatch, WatchError>> {
        while !self.ended {
            let Some(stream) = &mut self.stream else {
                if let Err(oldest) = self.resume().await {
                    self.ended = true;
                    return Some(Err(WatchError::Compacted { oldest }));
                }
                continue;
            };
            let piece = match stream.next().await {
                Some(Ok(body)) => decode_piece(&body).ok(),
                Some(Err(_)) | None => None,
            };
            match piece {
                Some(Piece::Batch(batch)) => {
                    self.told = batch.revision;
                    self.asker.note(batch.revision);
                    return Some(Ok(batch));
                }
                Some(Piece::Compacted(oldest)) => {
                    self.ended = true;
                    return Some(Err(WatchError::Compacted { oldest }));
                }
                _ => self.stream = None,
            }
        }
        None
    }

    /// Opens the watch anew; an error says where history begins.
    async fn resume(&mut self) -> Result<(), Revision> {
        loop {
            let open = Open::Watch { prefix: self.prefix.clone(), from: self.told };
            match self.asker.open(&open).await {
                Ok((stream, Piece::Watching)) => {
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(Error::Compacted { oldest }) => return Err(oldest),
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

#[async_trait]
impl StateStore for RemoteStore {
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Option<StoredValue>> {
        match self.asker.ask(&Ask::Get { key: key.clone(), consistency }, Again::Safe).await? {
            Answer::Value(value) => Ok(value),
            _ => Err(unfit()),
        }
    }

    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut> {
        let deadline = Instant::now() + self.asker.options.timeout;
        loop {
            match self.asker.range(prefix, &page, consistency).await {
                Err(error) if error.is_retryable() && Instant::now() + PAUSE < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        txn.validate(&Limits::DEFAULT)?;
        let again = if txn.request.is_some() { Again::Once } else { Again::Never };
        match self.asker.ask(&Ask::Txn(txn), again).await? {
            Answer::Txn(outcome) => {
                outcome.committed().into_iter().for_each(|revision| self.asker.note(revision));
                Ok(outcome)
            }
            _ => Err(unfit()),
        }
    }

    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        let (stream, first) = self.asker.open(&Open::Watch { prefix: prefix.clone(), from }).await?;
        let Piece::Watching = first else { return Err(unfit()) };
        let watching = Watching {
            asker: Arc::clone(&self.asker),
            prefix: prefix.clone(),
            told: from,
            stream: Some(stream),
            ended: false,
        };
        Ok(Box::pin(futures::stream::unfold(watching, |mut watching| async move {
            let item = watching.next().await?;
            Some((item, watching))
        })))
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant> {
        check_ttl(ttl)?;
        match self.asker.ask(&Ask::Grant { ttl }, Again::Never).await? {
            Answer::Lease(grant) => Ok(grant),
            _ => Err(unfit()),
        }
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        match self.asker.ask(&Ask::KeepAlive(lease), Again::Once).await? {
            Answer::Lease(grant) => Ok(grant),
            _ => Err(unfit()),
        }
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        match self.asker.ask(&Ask::Revoke(lease), Again::Never).await? {
            Answer::Revoked => Ok(()),
            _ => Err(unfit()),
        }
    }

    async fn snapshot(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta> {
        let failed = |source| Error::SnapshotWrite { source };
        let (mut stream, mut piece) = self.asker.open(&Open::Snapshot).await?;
        loop {
            match piece {
                Piece::Bytes(bytes) => writer.write_all(&bytes).await.map_err(failed)?,
                Piece::SnapshotEnd(meta) => {
                    writer.flush().await.map_err(failed)?;
                    self.asker.note(meta.revision);
                    return Ok(meta);
                }
                _ => return Err(unfit()),
            }
            piece = self.asker.next_piece(&mut stream).await?;
        }
    }

    fn revision(&self) -> Revision {
        self.asker.revision()
    }
}
