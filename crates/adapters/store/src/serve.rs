//! Answers the questions of other members.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use openraft::ReadPolicy;
use tokio::sync::Mutex;
use univrs_ports::store::{Error, Result, SUPPORTED_FEATURE_LEVEL};

use crate::batch;
use crate::leases;
use crate::message::{Answer, Envelope, Question, Refusal, SnapshotPiece};
use crate::network::Peers;
use crate::node::{Core, Leader};
use crate::snapshot::{self, SnapshotFile};
use crate::transport::PeerHandler;
use crate::types::Types;

type Snapshot = openraft::type_config::alias::SnapshotOf<Types, SnapshotFile>;

/// A snapshot that is being received.
struct Transfer {
    id: u64,
    path: PathBuf,
    file: File,
    received: u64,
}

/// The server side of the members' conversation.
pub(crate) struct Service {
    core: Arc<Core>,
    dir: PathBuf,
    transfer: Mutex<Option<Transfer>>,
}

impl Service {
    pub(crate) fn new(core: Arc<Core>, snapshot_dir: PathBuf) -> Self {
        Self { core, dir: snapshot_dir, transfer: Mutex::new(None) }
    }

    async fn answer(&self, question: Question) -> Result<Answer> {
        let raft = &self.core.raft;
        let fatal = |_| Error::Closed;
        Ok(match question {
            Question::Append(rpc) => {
                Answer::Append(raft.append_entries(rpc).await.map_err(|_| Error::Closed)?)
            }
            Question::Vote(rpc) => Answer::Vote(raft.vote(rpc).await.map_err(|_| Error::Closed)?),
            Question::PreVote(rpc) => Answer::Vote(raft.pre_vote(rpc).await.map_err(|_| Error::Closed)?),
            Question::TransferLeader(rpc) => {
                Answer::TransferLeader(raft.handle_transfer_leader(rpc).await.map_err(fatal)?)
            }
            Question::Snapshot(piece) => self.receive(piece).await?,
            Question::Forward(proposal) => {
                let answers = batch::propose_forwarded(&self.core, proposal).await?;
                Answer::Forwarded(answers.into_iter().map(Ok).collect())
            }
            Question::KeepAlive(lease) => {
                Answer::KeptAlive(leases::keep_alive_here(&self.core, lease).await?)
            }
            Question::ReadIndex => match self.core.leader() {
                Leader::Here => Answer::ReadIndex(self.core.read_index_here(ReadPolicy::ReadIndex).await?),
                Leader::At(leader, _) => return Err(Error::NotLeader { leader: Some(leader) }),
                Leader::Unknown => return Err(Error::NotLeader { leader: None }),
            },
            Question::SupportedLevel => Answer::SupportedLevel(SUPPORTED_FEATURE_LEVEL),
        })
    }

    /// Stores one piece of a snapshot. A piece out of order ends the transfer; the sender starts again.
    async fn receive(&self, piece: SnapshotPiece) -> Result<Answer> {
        let path = self.dir.join("incoming.tmp");
        let mut slot = self.transfer.lock().await;
        if piece.offset == 0 && !piece.bytes.is_empty() {
            let file = File::create(&path).map_err(crate::disk::io_error("create", &path))?;
            *slot = Some(Transfer { id: piece.transfer, path: path.clone(), file, received: 0 });
        }
        let fits = slot.as_ref().is_some_and(|t| t.id == piece.transfer && t.received == piece.offset);
        let Some(mut transfer) = slot.take().filter(|_| fits) else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "a piece of a snapshot is out of order");
            return Err(Error::Io { action: "receive", path, source });
        };
        if piece.offset == piece.total {
            let done = transfer.path.with_file_name(format!("received-{}.tmp", transfer.id));
            std::fs::rename(&transfer.path, &done).map_err(crate::disk::io_error("rename", &path))?;
            drop(slot);
            return self.install(piece, done).await;
        }
        let length = piece.bytes.len() as u64;
        let written =
            tokio::task::spawn_blocking(move || transfer.file.write_all(&piece.bytes).map(|()| transfer));
        let mut transfer = written
            .await
            .map_err(io::Error::other)
            .and_then(|written| written)
            .map_err(crate::disk::io_error("write", &path))?;
        transfer.received += length;
        *slot = Some(transfer);
        Ok(Answer::SnapshotPiece)
    }

    async fn install(&self, piece: SnapshotPiece, path: PathBuf) -> Result<Answer> {
        let cluster = self.core.cluster;
        let checked = tokio::task::spawn_blocking(move || {
            let file = SnapshotFile::open(path)?;
            let (_, position) = snapshot::read(&file, Some(cluster))?;
            Ok::<_, Error>((file, position.meta()))
        });
        let (snapshot, meta) = checked.await.map_err(|_| Error::Closed)??;
        let path = snapshot.path.clone();
        let installed = self.core.raft.install_full_snapshot(piece.vote, Snapshot { meta, snapshot }).await;
        if path.exists() {
            // openraft did not need it.
            let _best_effort = std::fs::remove_file(&path);
        }
        Ok(Answer::SnapshotInstalled(installed.map_err(|_| Error::Closed)?))
    }

    fn check<T>(&self, envelope: Envelope<T>, peers: &Peers) -> Result<T, Refusal> {
        if envelope.cluster != peers.cluster {
            return Err(Refusal::OtherCluster { found: peers.cluster });
        }
        if envelope.to != self.core.member {
            return Err(Refusal::OtherMember { found: self.core.member });
        }
        Ok(envelope.body)
    }
}

#[async_trait]
impl PeerHandler for Service {
    async fn handle(&self, frame: Bytes) -> Bytes {
        let answer = match postcard::from_bytes::<Envelope<Question>>(&frame) {
            Err(error) => Answer::Refused(Refusal::Failed(error.to_string())),
            Ok(envelope) => match self.check(envelope, &self.core.peers) {
                Err(refusal) => Answer::Refused(refusal),
                Ok(question) => {
                    self.answer(question).await.unwrap_or_else(|error| Answer::Refused(error.into()))
                }
            },
        };
        postcard::to_stdvec(&answer).map(Bytes::from).unwrap_or_default()
    }
}
