//! Answers what clients ask of the store.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use serde::Serialize;
use tokio::io::AsyncReadExt;
use univrs_ports::store::{
    ClusterAdmin, Consistency, Error, KeyValue, Page, Prefix, Result, Revision, StateStore, check_ttl,
};

use super::session::{Refused, Service};
use super::words::{Answer, Ask, Fault, Here, Open, Piece, check_keys};

/// A range and a snapshot go in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// Answers by a store, on behalf of nodes that do not replicate it.
///
/// It serves whoever may connect: what a client may read and write is decided by what accepts connections.
#[derive(Clone)]
pub struct StoreService {
    store: Arc<dyn StateStore>,
    cluster: Option<Arc<dyn ClusterAdmin>>,
}

impl StoreService {
    /// Answers by `store`. With `cluster` it also tells who leads, so that clients can go there.
    pub fn new(store: Arc<dyn StateStore>, cluster: Option<Arc<dyn ClusterAdmin>>) -> Self {
        Self { store, cluster }
    }

    async fn answer(&self, ask: Ask) -> Result<Answer> {
        let store = &self.store;
        Ok(match ask {
            Ask::Txn(txn) => {
                check_keys(&txn)?;
                Answer::Txn(store.txn(txn).await?)
            }
            Ask::Get { key, consistency } => {
                key.check()?;
                Answer::Value(store.get(&key, consistency).await?)
            }
            Ask::KeepAlive(lease) => Answer::Lease(store.lease_keep_alive(lease).await?),
            Ask::Grant { ttl } => {
                check_ttl(ttl)?;
                Answer::Lease(store.lease_grant(ttl).await?)
            }
            Ask::Revoke(lease) => {
                store.lease_revoke(lease).await?;
                Answer::Revoked
            }
            Ask::Where => Answer::Here(self.here().await?),
        })
    }

    async fn here(&self) -> Result<Here> {
        let revision = self.store.revision();
        let Some(cluster) = &self.cluster else {
            return Ok(Here { revision, member: univrs_ports::store::MemberId(0), leader: None });
        };
        let status = cluster.status().await?;
        let leader = status.leader.and_then(|leader| {
            let member = status.members.into_iter().find(|member| member.id == leader)?;
            Some((leader, member.address)).filter(|(_, address)| !address.is_empty())
        });
        Ok(Here { revision, member: status.member, leader })
    }

    /// The pieces of one page, all of one view.
    async fn range(&self, prefix: Prefix, page: Page, consistency: Consistency) -> Result<Vec<Piece>> {
        let out = self.store.range(&prefix, page, consistency).await?;
        let (mut pieces, mut some, mut bytes) = (Vec::new(), Vec::new(), 0);
        for item in out.items {
            bytes += item.key.as_str().len() + item.value.value.len();
            some.push(item);
            if bytes >= PIECE {
                pieces.push(Piece::Items(std::mem::take::<Vec<KeyValue>>(&mut some)));
                bytes = 0;
            }
        }
        if !some.is_empty() {
            pieces.push(Piece::Items(some));
        }
        pieces.push(Piece::RangeEnd { revision: out.revision, next: out.next });
        Ok(pieces)
    }

    async fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'static, Piece> {
        match self.store.watch(&prefix, from).await {
            Ok(batches) => {
                let batches = batches.map(|batch| batch.map_or_else(Piece::from, Piece::Batch));
                stream::iter([Piece::Watching]).chain(batches).boxed()
            }
            Err(error) => failed(error),
        }
    }

    /// Reads the snapshot back from a pipe while the store writes it, no faster than it is taken.
    fn snapshot(&self) -> BoxStream<'static, Piece> {
        let (reader, mut writer) = tokio::io::duplex(PIECE);
        let store = Arc::clone(&self.store);
        let written = tokio::spawn(async move { store.snapshot(&mut writer).await });
        let state = (reader, Some(written));
        stream::unfold(state, async |(mut reader, written)| {
            let mut bytes = Vec::with_capacity(PIECE);
            let read = (&mut reader).take(PIECE as u64).read_to_end(&mut bytes).await;
            match read {
                Ok(1..) => Some((Piece::Bytes(bytes.into()), (reader, written))),
                Ok(0) | Err(_) => {
                    let meta = written?.await.unwrap_or(Err(Error::Closed));
                    let last = meta.map_or_else(|error| Piece::Fault(error.into()), Piece::SnapshotEnd);
                    Some((last, (reader, None)))
                }
            }
        })
        .boxed()
    }
}

fn failed(error: Error) -> BoxStream<'static, Piece> {
    stream::iter([Piece::Fault(error.into())]).boxed()
}

fn encode<T: Serialize>(answer: &T) -> Result<Bytes, Refused> {
    let bytes = postcard::to_stdvec(answer).map(Bytes::from);
    bytes.map_err(|error| Refused(format!("the answer cannot be encoded: {error}")))
}

fn not_understood(error: postcard::Error) -> Refused {
    Refused(format!("the request is not understood, it may be of a newer version: {error}"))
}

impl Service for StoreService {
    fn call(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Refused>> {
        let service = self.clone();
        async move {
            let ask = postcard::from_bytes::<Ask>(&body).map_err(not_understood)?;
            drop(body);
            let answer = service.answer(ask).await;
            encode(&answer.unwrap_or_else(|error| Answer::Fault(Fault::from(error))))
        }
        .boxed()
    }

    fn open(&self, body: Bytes) -> Result<BoxStream<'static, Bytes>, Refused> {
        let service = self.clone();
        let open = postcard::from_bytes::<Open>(&body).map_err(not_understood)?;
        let pieces = async move {
            match open {
                Open::Range { prefix, page, consistency } => service
                    .range(prefix, page, consistency)
                    .await
                    .map_or_else(failed, |pieces| stream::iter(pieces).boxed()),
                Open::Watch { prefix, from } => service.watch(prefix, from).await,
                Open::Snapshot => service.snapshot(),
            }
        };
        // A piece that cannot be encoded ends the stream, which the client takes for a failure.
        let encoded = pieces.flatten_stream().map(|piece| encode(&piece));
        Ok(encoded
            .take_while(|piece| std::future::ready(piece.is_ok()))
            .filter_map(async |piece| piece.ok())
            .boxed())
    }
}
