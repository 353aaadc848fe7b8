//! Frames: how they are laid out, written into a buffer and taken out of one.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};

use super::WireError;

/// Kind and id.
const HEADER: usize = 1 + 8;
/// Room made for reading when there is little left.
const READ_AHEAD: usize = 8 << 10;

/// What a frame is. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asks for one answer; the first byte of the body is the service.
    Call = 1,
    /// Asks for a stream; the first byte of the body is the service.
    Open = 2,
    /// Lets a stream send so many bytes more: a `u32`.
    Credit = 3,
    /// Ends a stream that the asker has lost interest in.
    Cancel = 4,
    /// Asks for a sign of life.
    Ping = 5,
    /// The answer to a call.
    Answer = 6,
    /// One item of a stream.
    Item = 7,
    /// No more items.
    End = 8,
    /// The request was not acted on; the body says why, in words.
    Refused = 9,
    /// The sign of life.
    Pong = 10,
    /// First frame of the side that dialled.
    Hello = 11,
    /// Answers a hello.
    Welcome = 12,
    /// Answers a hello that is not welcome.
    Unwelcome = 13,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Kind::Call,
            2 => Kind::Open,
            3 => Kind::Credit,
            4 => Kind::Cancel,
            5 => Kind::Ping,
            6 => Kind::Answer,
            7 => Kind::Item,
            8 => Kind::End,
            9 => Kind::Refused,
            10 => Kind::Pong,
            11 => Kind::Hello,
            12 => Kind::Welcome,
            13 => Kind::Unwelcome,
            _ => return None,
        })
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) body: Bytes,
}

/// The size that a body of `body` bytes has as a frame, as far as limits count it.
pub(crate) fn size(body: usize) -> usize {
    HEADER + body
}

/// Appends a frame whose body is the parts one after the other. Fails without a change when it is above `limit`.
pub(crate) fn put(
    out: &mut BytesMut,
    limit: u32,
    kind: Kind,
    id: u64,
    parts: &[&[u8]],
) -> Result<(), WireError> {
    let size = size(parts.iter().map(|part| part.len()).sum());
    let length = u32::try_from(size).ok().filter(|length| *length <= limit);
    let length = length.ok_or(WireError::TooLarge { size, limit })?;
    out.reserve(4 + size);
    out.put_u32(length);
    out.put_u8(kind as u8);
    out.put_u64(id);
    parts.iter().for_each(|part| out.put_slice(part));
    Ok(())
}

/// Takes the first frame out of a buffer, when all of it is there.
pub(crate) fn take(buffer: &mut BytesMut, limit: u32) -> Result<Option<Frame>, WireError> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    let size = length as usize;
    if length > limit {
        return Err(WireError::TooLarge { size, limit });
    }
    if size < HEADER {
        return Err(WireError::Broken("a frame is shorter than its header"));
    }
    if buffer.len() < 4 + size {
        return Ok(None);
    }
    buffer.advance(4);
    let mut body = buffer.split_to(size).freeze();
    let kind = Kind::of(body.get_u8()).ok_or(WireError::Broken("a frame is of an unknown kind"))?;
    let id = body.get_u64();
    Ok(Some(Frame { kind, id, body }))
}

/// Reads frames. Dropping a future of [`FrameReader::next`] loses nothing.
pub(crate) struct FrameReader<R> {
    pub(crate) io: R,
    buffer: BytesMut,
    pub(crate) limit: u32,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(io: R, limit: u32) -> Self {
        Self { io, buffer: BytesMut::new(), limit }
    }

    /// The next frame, if it was read already.
    pub(crate) fn ready(&mut self) -> Result<Option<Frame>, WireError> {
        take(&mut self.buffer, self.limit)
    }

    /// The next frame; `None` when the other side closed the connection between frames.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(Some(frame));
            }
            if self.buffer.capacity() - self.buffer.len() < READ_AHEAD / 2 {
                // As much again as there is: what was announced but not sent costs nothing.
                self.buffer.reserve(READ_AHEAD.max(self.buffer.len()));
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(WireError::Ended) };
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite> FrameReader<S> {
    /// Parts reading from writing; what was read already stays.
    pub(crate) fn split(self) -> (FrameReader<ReadHalf<S>>, WriteHalf<S>) {
        let (io, writer) = tokio::io::split(self.io);
        (FrameReader { io, buffer: self.buffer, limit: self.limit }, writer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: u32 = 200;

    fn frames() -> impl Strategy<Value = Vec<(u8, u64, Vec<u8>)>> {
        let body = prop::collection::vec(any::<u8>(), 0..LIMIT as usize - HEADER);
        prop::collection::vec((1_u8..=13, any::<u64>(), body), 0..20)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(frames in frames(), cut in 1_usize..64) {
            let mut bytes = BytesMut::new();
            for (kind, id, body) in &frames {
                let (front, back) = body.split_at(body.len() / 2);
                put(&mut bytes, LIMIT, Kind::of(*kind).unwrap(), *id, &[front, back]).unwrap();
            }
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = take(&mut buffer, LIMIT).unwrap() {
                    seen.push((frame.kind as u8, frame.id, frame.body.to_vec()));
                }
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn noise_is_refused_or_waited_for(noise in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut buffer = BytesMut::from(&noise[..]);
            while let Ok(Some(frame)) = take(&mut buffer, LIMIT) {
                prop_assert!(frame.body.len() <= LIMIT as usize);
            }
        }
    }

    #[test]
    fn what_is_too_large_is_not_half_written() {
        let mut out = BytesMut::new();
        let refused = put(&mut out, LIMIT, Kind::Call, 1, &[&[0; LIMIT as usize]]);
        assert!(matches!(refused, Err(WireError::TooLarge { size: 209, limit: LIMIT })));
        assert!(out.is_empty());
        out.put_u32(LIMIT + 1);
        assert!(matches!(take(&mut out, LIMIT), Err(WireError::TooLarge { .. })));
    }
}
