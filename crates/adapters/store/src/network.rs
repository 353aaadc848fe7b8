//! openraft's network on top of a [`Transport`], and the client side of the
//! members' conversation.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::entry::RaftEntry;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::BasicNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use univrs_ports::store::{ClusterId, Error, MemberId, Result};

use crate::message::{Answer, Envelope, Question, SnapshotPiece};
use crate::snapshot::SnapshotFile;
use crate::transport::{Transport, TransportError};
use crate::types::{Types, Vote};

/// How much of a snapshot goes into one frame.
const PIECE_BYTES: usize = 1 << 20;
/// How long an answer of the farthest members may take. The library's own limit follows the heartbeat, which is shorter
/// than a round trip between continents.
const FARTHEST: Duration = Duration::from_millis(400);
/// How long one piece, or the installation, may take.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// Appends on their way to one follower: as many as there are entries on their way at the leader, and one that tells of a
/// commit.
const APPENDS_IN_FLIGHT: usize = 3;

/// What a follower says of one append.
type AppendAnswer = Result<StreamAppendResult<Types>, RPCError<Types>>;
type Snapshot = openraft::type_config::alias::SnapshotOf<Types, SnapshotFile>;

/// Asks other members.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) cluster: ClusterId,
    pub(crate) transport: Arc<dyn Transport>,
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("the question could not be delivered")]
    Transport(#[from] TransportError),
    #[error("the member refused")]
    Refused(#[source] Error),
    #[error("the message cannot be encoded or decoded")]
    Codec(#[from] postcard::Error),
    #[error("the answer does not fit the question")]
    Unfit,
    #[error("the member no longer leads")]
    Deposed,
}

impl AskError {
    /// Whether the question may have been acted on.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            AskError::Transport(TransportError::Unreachable { .. }) => false,
            AskError::Refused(Error::Unavailable { may_have_committed, .. }) => *may_have_committed,
            AskError::Refused(_) => false,
            AskError::Transport(TransportError::Lost { .. })
            | AskError::Codec(_)
            | AskError::Unfit
            | AskError::Deposed => true,
        }
    }
}

impl Peers {
    /// One question, one answer; refusals are errors.
    pub(crate) async fn ask(
        &self,
        to: MemberId,
        address: &str,
        question: Question,
        timeout: Duration,
    ) -> Result<Answer, AskError> {
        let frame = postcard::to_stdvec(&Envelope { cluster: self.cluster, to, body: question })?;
        let answer = self.transport.call(to, address, frame.into(), timeout).await?;
        match postcard::from_bytes(&answer)? {
            Answer::Refused(refusal) => Err(AskError::Refused(refusal.into_error(self.cluster, to))),
            answer => Ok(answer),
        }
    }
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        Peer { peers: self.clone(), id: MemberId(target), address: node.addr.clone() }
    }
}

/// One other member.
pub(crate) struct Peer {
    peers: Peers,
    id: MemberId,
    address: String,
}

impl Peer {
    async fn ask(&self, question: Question, timeout: Duration) -> Result<Answer, RPCError<Types>> {
        self.peers.ask(self.id, &self.address, question, timeout).await.map_err(|error| match error {
            AskError::Transport(TransportError::Lost { .. })
            | AskError::Codec(_)
            | AskError::Unfit
            | AskError::Deposed => RPCError::Network(NetworkError::new(&error)),
            AskError::Transport(TransportError::Unreachable { .. }) | AskError::Refused(_) => {
                RPCError::Unreachable(Unreachable::new(&error))
            }
        })
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        file: SnapshotFile,
    ) -> Result<SnapshotResponse<Types>, RPCError<Types>> {
        let transfer = rand::random();
        let total = file.bytes;
        let mut offset = 0;
        loop {
            let length = usize::try_from(total - offset).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let source = Arc::clone(&file.file);
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; length];
                source.read_exact_at(&mut bytes, offset).map(|()| bytes)
            });
            let bytes = read.await.map_err(io::Error::other).and_then(|read| read);
            let bytes = bytes.map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
            let piece = SnapshotPiece { vote, transfer, offset, total, bytes: bytes.into() };
            match self.ask(Question::Snapshot(piece), PIECE_TIMEOUT).await? {
                Answer::SnapshotPiece => offset += length as u64,
                Answer::SnapshotInstalled(response) => return Ok(response),
                _ => return Err(unfit()),
            }
        }
    }
}

/// What a stream of appends has heard.
#[derive(Default)]
struct Heard {
    /// The follower took one.
    taken: bool,
    /// What was sent after the last answer is not taken.
    over: bool,
}

impl Heard {
    /// Lets an answer through, or ends the stream. With each comes whether the append was taken whole.
    fn take_in(
        &mut self,
        answer: Result<(StreamAppendResult<Types>, bool), RPCError<Types>>,
    ) -> Option<AppendAnswer> {
        if self.over {
            return None;
        }
        self.over = !matches!(answer, Ok((Ok(_), true)));
        let answer = answer.map(|(answer, _)| answer);
        // The follower has what it took, so it misses the append before this one for the order of their arrival alone.
        if self.taken && matches!(answer, Ok(Err(StreamAppendError::Conflict(_)))) {
            return None;
        }
        self.taken |= matches!(answer, Ok(Ok(_)));
        Some(answer)
    }
}

fn unfit() -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&AskError::Unfit))
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        match self.ask(Question::Append(rpc), option.soft_ttl().max(FARTHEST)).await? {
            Answer::Append(answer) => Ok(answer),
            _ => Err(unfit()),
        }
    }

    /// Does not wait for an answer before it sends what comes next, so that a follower may write it while the disk is
    /// busy with what came before. Small frames may overtake large ones: the follower refuses an append that came before
    /// the one it follows. That tells nothing of the follower's log, so the stream ends there, and the library sends
    /// again what was not taken.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, AppendAnswer>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let peer: &'s Self = self;
        let timeout = option.soft_ttl().max(FARTHEST);
        let answers = input
            .map(move |request| async move {
                let before = request.prev_log_id;
                let last = request.entries.last().map(RaftEntry::log_id).or(before);
                match peer.ask(Question::Append(request), timeout).await? {
                    Answer::Append(answer) => {
                        let whole =
                            !matches!(&answer, AppendEntriesResponse::PartialSuccess(upto) if *upto != last);
                        Ok((answer.into_stream_result(before, last), whole))
                    }
                    _ => Err(unfit()),
                }
            })
            .buffered(APPENDS_IN_FLIGHT);
        let answers =
            answers.scan(Heard::default(), |heard, answer| std::future::ready(heard.take_in(answer)));
        Box::pin(std::future::ready(Ok(answers.boxed())))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.ask(Question::Vote(rpc), option.soft_ttl().max(FARTHEST)).await? {
            Answer::Vote(answer) => Ok(answer),
            _ => Err(unfit()),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.ask(Question::PreVote(rpc), option.soft_ttl().max(FARTHEST)).await? {
            Answer::Vote(answer) => Ok(answer),
            _ => Err(unfit()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = self.send_snapshot(vote, snapshot.snapshot) => Ok(sent?),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        match self.ask(Question::TransferLeader(req), option.soft_ttl()).await? {
            Answer::TransferLeader(answer) => Ok(answer),
            _ => Err(unfit()),
        }
    }
}
