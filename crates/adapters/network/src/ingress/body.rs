//! Bodies on their way through: streamed, never gathered.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::backend::Backend;
use super::metrics::{Counted, Counters};

/// What keeps a request counted, at its instance and at its workload.
#[derive(Debug)]
pub(crate) struct UnderWay {
    pub(crate) _backend: Counted<Backend>,
    pub(crate) _workload: Counted<Counters>,
}

/// An answer's body; the request is under way until its end or until the client has left.
#[derive(Debug)]
pub(crate) struct Tracked {
    inner: Incoming,
    _under_way: UnderWay,
}

impl Tracked {
    pub(crate) fn new(inner: Incoming, under_way: UnderWay) -> Self {
        Self { inner, _under_way: under_way }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Where an untouched body goes back to.
pub(crate) type Shelf = Arc<Mutex<Option<Incoming>>>;

/// A request's body on loan to one attempt: if nobody read from it, it goes back for the next.
#[derive(Debug)]
pub(crate) struct Lent {
    inner: Option<Incoming>,
    shelf: Option<Shelf>,
}

impl Lent {
    /// Takes the body from the shelf.
    pub(crate) fn from(shelf: &Shelf) -> Self {
        let inner = shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self { inner, shelf: Some(Arc::clone(shelf)) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(inner), Some(shelf)) = (self.inner.take(), self.shelf.take()) {
            *shelf.lock().unwrap_or_else(PoisonError::into_inner) = Some(inner);
        }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // What was read from once cannot be offered to another.
        self.shelf = None;
        match &mut self.inner {
            Some(inner) => Pin::new(inner).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
