//! Images of other nodes, both ends: one connection for each manifest or blob.
//!
//! A blob is named by its digest, so any member may give it. What a name means is asked of members that hold the
//! state: a machine that only runs workloads may be anybody's, and could give its own image a name that others trust.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt as _;
use univrs_control::Mirror;
use univrs_model::ids::NodeId;
use univrs_ports::images::{Archive, ImagePeers, PeerImage};
use univrs_trust::tls::IMAGES;

use crate::cluster::dial::NodeDial;
use crate::cluster::directory::Directory;
use crate::cluster::port::Offers;
use crate::cluster::{frames, programs};

/// How long a node may take to say whether it has something.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node may take to say that it has a blob, before it is passed over.
const SHORT: Duration = Duration::from_millis(1500);
/// How long a node may stay silent in the middle of a blob.
const SILENCE: Duration = Duration::from_secs(30);
/// How many nodes are asked for an image before the registry is.
const MOST_ASKED: usize = 16;
/// How many of them at once.
const AT_ONCE: usize = 4;
/// Largest manifest that is taken.
const LARGEST_MANIFEST: u64 = 8 << 20;
/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// Largest question or answer.
const LARGEST: u32 = 8 << 10;

/// What is asked for.
#[derive(Serialize, Deserialize)]
enum Wanted {
    Manifest {
        reference: String,
    },
    Blob {
        digest: String,
    },
    /// A copy of the program of nodes.
    Program {
        digest: String,
    },
    /// Whether there is such a blob; nothing follows.
    Has {
        digest: String,
    },
}

/// What follows.
#[derive(Serialize, Deserialize)]
enum Answer {
    /// This many bytes of it.
    Have {
        length: u64,
    },
    No,
}

/// Asks other nodes.
pub(crate) struct ClusterImages {
    pub(crate) dial: Arc<NodeDial>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) mirror: Mirror,
    pub(crate) own: NodeId,
}

impl ClusterImages {
    /// Who is asked, in this order: first those that run something of the image.
    fn candidates(&self, reference: &str) -> Vec<NodeId> {
        let running = self.mirror.state().nodes_with_image(reference);
        let mut known = self.directory.state_holders(&self.own);
        known.sort_by_key(|node| !running.contains(node));
        known.truncate(MOST_ASKED);
        known
    }

    async fn ask(&self, node: &NodeId, wanted: &Wanted) -> io::Result<(u64, Archive)> {
        ask(&self.dial, node, wanted).await
    }

    async fn manifest(&self, node: NodeId, reference: String) -> Option<PeerImage> {
        let (length, body) = self.ask(&node, &Wanted::Manifest { reference }).await.ok()?;
        let mut manifest = Vec::new();
        let mut body = body.take(LARGEST_MANIFEST);
        let read = tokio::time::timeout(PATIENCE, body.read_to_end(&mut manifest)).await.ok()?.ok()?;
        (read as u64 == length).then(|| PeerImage { peer: node.to_string(), manifest })
    }
}

async fn ask(dial: &NodeDial, node: &NodeId, wanted: &Wanted) -> io::Result<(u64, Archive)> {
    let asking = async {
        let mut stream = dial.connect(node, IMAGES).await?;
        frames::write(&mut stream, wanted).await?;
        match frames::read::<Answer>(&mut stream, LARGEST).await? {
            Answer::Have { length } => Ok((length, Box::new(stream.take(length)) as Archive)),
            Answer::No => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("node {node} does not have it")))
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A stream that fails when nothing comes for too long.
fn patiently(body: Archive) -> Archive {
    let body = tokio_util::io::ReaderStream::with_capacity(body, PIECE);
    let pieces = futures::StreamExt::map(body.timeout(SILENCE), |piece| {
        piece.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    });
    Box::new(tokio_util::io::StreamReader::new(Box::pin(pieces)))
}

/// A copy of the program of nodes, from one that has it.
pub(super) async fn program(dial: &NodeDial, node: &NodeId, digest: &str) -> io::Result<Archive> {
    let (_, body) = ask(dial, node, &Wanted::Program { digest: digest.to_owned() }).await?;
    Ok(patiently(body))
}

#[async_trait]
impl ImagePeers for ClusterImages {
    async fn offers(&self, reference: &str) -> Vec<PeerImage> {
        let asked =
            self.candidates(reference).into_iter().map(|node| self.manifest(node, reference.to_owned()));
        // In the order in which they were asked: where names differ, all nodes should decide alike.
        let answers: Vec<Option<PeerImage>> =
            futures::StreamExt::collect(futures::stream::iter(asked).buffered(AT_ONCE)).await;
        answers.into_iter().flatten().collect()
    }

    async fn blob(&self, peer: &str, digest: &str) -> io::Result<Archive> {
        let node =
            peer.parse::<NodeId>().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (_, body) = self.ask(&node, &Wanted::Blob { digest: digest.to_owned() }).await?;
        Ok(patiently(body))
    }

    async fn holder(&self, digest: &str) -> Option<String> {
        let mut known = self.directory.state_holders(&self.own);
        known.truncate(MOST_ASKED);
        let asked = known.into_iter().map(|node| async move {
            let wanted = Wanted::Has { digest: digest.to_owned() };
            let answer = tokio::time::timeout(SHORT, self.ask(&node, &wanted)).await;
            matches!(answer, Ok(Ok(_))).then(|| node.to_string())
        });
        let answers = futures::stream::iter(asked).buffer_unordered(MOST_ASKED);
        let mut holders = std::pin::pin!(futures::StreamExt::filter_map(answers, std::future::ready));
        futures::StreamExt::next(&mut holders).await
    }
}

/// Answers one member.
pub(super) async fn serve(mut stream: TlsStream<TcpStream>, offers: &Offers) -> io::Result<()> {
    let wanted = tokio::time::timeout(PATIENCE, frames::read::<Wanted>(&mut stream, LARGEST)).await;
    let wanted = wanted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let images = || {
        let opened = offers.images.get();
        opened.ok_or_else(|| io::Error::other("this node has not opened its images yet"))
    };
    let found: Option<(u64, Archive)> = match wanted {
        Wanted::Program { digest } => {
            let copy = programs::offered(offers.programs.copies(), &digest).await?;
            copy.map(|(file, length)| (length, Box::new(file.take(length)) as Archive))
        }
        Wanted::Has { digest } => {
            let blob = images()?.blob(&digest).await.map_err(io::Error::other)?;
            blob.map(|_| (0, Box::new(tokio::io::empty()) as Archive))
        }
        Wanted::Manifest { reference } => {
            let manifest = images()?.offered(&reference).await.map_err(io::Error::other)?;
            manifest.map(|bytes| (bytes.len() as u64, Box::new(io::Cursor::new(bytes)) as Archive))
        }
        Wanted::Blob { digest } => {
            let blob = images()?.blob(&digest).await.map_err(io::Error::other)?;
            blob.map(|(file, length)| (length, Box::new(file.take(length)) as Archive))
        }
    };
    match found {
        None => frames::write(&mut stream, &Answer::No).await?,
        Some((length, mut body)) => {
            frames::write(&mut stream, &Answer::Have { length }).await?;
            tokio::io::copy(&mut body, &mut stream).await?;
        }
    }
    stream.shutdown().await
}
