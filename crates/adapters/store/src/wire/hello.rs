//! The first words on a connection: which protocol, which version, which cluster, how large a frame may be.

use std::time::Duration;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use univrs_ports::store::{ClusterId, MemberId};

use super::WireError;
use super::frame::{self, FrameReader, Kind};

/// The oldest version of the protocol that this program speaks.
pub const OLDEST_VERSION: u16 = 1;
/// The newest version of the protocol that this program speaks.
pub const NEWEST_VERSION: u16 = 1;

/// Sent before anything else, so that another protocol is told apart at once.
const PREFACE: &[u8; 12] = b"univrs wire\n";
/// How long the first words may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first words are short.
const LIMIT: u32 = 4096;

/// What the side that dialled says. Fields are only ever appended; a reader ignores what it does not know.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hello {
    oldest: u16,
    newest: u16,
    /// The largest frame it accepts.
    max_frame: u32,
    /// The cluster it wants, if it knows.
    cluster: Option<ClusterId>,
}

/// What the other side answers. Fields are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// The version that both speak from now on.
    pub(crate) version: u16,
    /// The largest frame it accepts.
    pub(crate) max_frame: u32,
    /// How many requests it works on at once.
    pub(crate) in_flight: u32,
    pub(crate) cluster: ClusterId,
    pub(crate) member: MemberId,
}

/// Why somebody is not welcome. Variants are only ever appended.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Unwelcome {
    Version { oldest: u16, newest: u16 },
    OtherCluster { found: ClusterId },
}

fn encode<T: Serialize>(kind: Kind, body: &T) -> Result<BytesMut, WireError> {
    let body = postcard::to_stdvec(body).map_err(|_| WireError::Broken("a greeting cannot be encoded"))?;
    let mut out = BytesMut::new();
    frame::put(&mut out, LIMIT, kind, 0, &[&body])?;
    Ok(out)
}

/// Reads what is known and leaves what a newer version appended.
fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, WireError> {
    let decoded = postcard::take_from_bytes(body).map(|(known, _)| known);
    decoded.map_err(|_| WireError::Broken("a greeting cannot be understood"))
}

/// Greets as the side that dialled. Returns a reader that goes on with frames.
pub(crate) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    mut io: S,
    max_frame: u32,
    cluster: Option<ClusterId>,
) -> Result<(FrameReader<S>, Welcome), WireError> {
    let hello = Hello { oldest: OLDEST_VERSION, newest: NEWEST_VERSION, max_frame, cluster };
    let frame = encode(Kind::Hello, &hello)?;
    let exchange = async {
        io.write_all(PREFACE).await?;
        io.write_all(&frame).await?;
        io.flush().await?;
        let mut reader = FrameReader::new(io, LIMIT);
        let answer = reader.next().await?.ok_or(WireError::Ended)?;
        reader.limit = max_frame;
        let welcome = match answer.kind {
            Kind::Welcome => decode::<Welcome>(&answer.body)?,
            Kind::Unwelcome => {
                return Err(match decode(&answer.body)? {
                    Unwelcome::Version { oldest, newest } => WireError::Version { oldest, newest },
                    Unwelcome::OtherCluster { found } => {
                        WireError::OtherCluster { expected: cluster.unwrap_or(found), found }
                    }
                });
            }
            _ => return Err(WireError::NotOurs),
        };
        if !(OLDEST_VERSION..=NEWEST_VERSION).contains(&welcome.version) {
            return Err(WireError::Version { oldest: welcome.version, newest: welcome.version });
        }
        Ok((reader, welcome))
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        // Another protocol answers with what is no frame.
        Ok(Err(WireError::TooLarge { .. })) => Err(WireError::NotOurs),
        Ok(done) => done,
        Err(_) => Err(WireError::Silent),
    }
}

/// Greets as the side that was dialled: what it is, in `own`, whose version is not looked at. Returns a reader that
/// goes on with frames, and the largest frame that the other side accepts.
pub(crate) async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    mut io: S,
    own: Welcome,
) -> Result<(FrameReader<S>, u32), WireError> {
    let exchange = async {
        let mut preface = [0; PREFACE.len()];
        io.read_exact(&mut preface).await?;
        if &preface != PREFACE {
            return Err(WireError::NotOurs);
        }
        let mut reader = FrameReader::new(io, LIMIT);
        let frame = reader.next().await?.ok_or(WireError::Ended)?;
        if frame.kind != Kind::Hello {
            return Err(WireError::Broken("the first frame is not a greeting"));
        }
        let hello = decode::<Hello>(&frame.body)?;
        let (answer, refused) = if hello.newest < OLDEST_VERSION || hello.oldest > NEWEST_VERSION {
            let refusal = Unwelcome::Version { oldest: OLDEST_VERSION, newest: NEWEST_VERSION };
            let error = WireError::Version { oldest: hello.oldest, newest: hello.newest };
            (encode(Kind::Unwelcome, &refusal)?, Some(error))
        } else if let Some(wanted) = hello.cluster.filter(|wanted| *wanted != own.cluster) {
            let refusal = Unwelcome::OtherCluster { found: own.cluster };
            let error = WireError::OtherCluster { expected: own.cluster, found: wanted };
            (encode(Kind::Unwelcome, &refusal)?, Some(error))
        } else {
            let version = hello.newest.min(NEWEST_VERSION);
            (encode(Kind::Welcome, &Welcome { version, ..own.clone() })?, None)
        };
        reader.io.write_all(&answer).await?;
        reader.io.flush().await?;
        if let Some(error) = refused {
            return Err(error);
        }
        reader.limit = own.max_frame;
        Ok((reader, hello.max_frame))
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(WireError::Silent))
}
