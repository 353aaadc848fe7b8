//! Images sent part by part: across restarts and collections, damaged, and in part from other machines.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use univrs_image::ImageStore;
use univrs_ports::images::{Archive, BlobPlace, ImageError, Images, PullPolicy};

use crate::peers::{Machines, flipped, none};
use crate::support::{leftovers, options, small_image, store};

/// An image as its sender has it: the manifest, and digest and bytes of each blob.
struct Sender {
    manifest: Vec<u8>,
    blobs: Vec<(String, Vec<u8>)>,
}

impl Sender {
    async fn of(store: &ImageStore, reference: &str) -> Self {
        let manifest = store.offered(reference).await.unwrap().unwrap();
        let document: Value = serde_json::from_slice(&manifest).unwrap();
        let layers = document["layers"].as_array().unwrap().iter();
        let mut blobs = Vec::new();
        for part in layers.chain([&document["config"]]) {
            let digest = part["digest"].as_str().unwrap().to_owned();
            let (mut file, _) = store.blob(&digest).await.unwrap().unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.unwrap();
            blobs.push((digest, bytes));
        }
        Self { manifest, blobs }
    }
}

fn body(bytes: &[u8]) -> Archive {
    Box::new(io::Cursor::new(bytes.to_vec()))
}

/// Bytes after which the connection breaks.
struct Broken(io::Cursor<Vec<u8>>);

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        at: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        match Pin::new(&mut self.0).poll_read(at, into) {
            Poll::Ready(Ok(())) if into.filled().len() == before => {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            other => other,
        }
    }
}

#[tokio::test]
async fn what_broke_off_goes_on_where_it_was_after_a_restart_too() {
    let (theirs, _their_dir) = store();
    let image = small_image(&theirs, "app:1", "hello").await;
    let sender = Sender::of(&theirs, "app:1").await;
    let (ours, dir) = store();
    let early = ours.take_manifest("app:1", sender.manifest.clone()).await.unwrap_err();
    let ImageError::Incomplete { mut missing, .. } = early else { panic!("{early}") };
    let mut all: Vec<String> = sender.blobs.iter().map(|(digest, _)| digest.clone()).collect();
    missing.sort();
    all.sort();
    assert_eq!(missing, all, "what is missing is named");
    let mut ours = ours;
    for (digest, bytes) in &sender.blobs {
        let (size, half) = (bytes.len() as u64, bytes.len() / 2);
        assert_eq!(ours.blob_state(digest).await.unwrap().place, BlobPlace::Nowhere);
        let broken: Archive = Box::new(Broken(io::Cursor::new(bytes[..half].to_vec())));
        let refused = ours.take_blob(digest, 0, size, broken).await.unwrap_err();
        assert!(matches!(refused, ImageError::Malformed { .. }), "{refused}");
        drop(ours);
        ours = ImageStore::open(&dir.path().join("images"), options()).unwrap();
        // Nothing names it yet, and it stays all the same.
        ours.collect_garbage(&[]).await.unwrap();
        let state = ours.blob_state(digest).await.unwrap();
        assert_eq!((state.place, state.received), (BlobPlace::Nowhere, half as u64));
        let again = ours.take_blob(digest, 0, size, body(bytes)).await.unwrap_err();
        assert!(matches!(again, ImageError::Offset { received, .. } if received == half as u64), "{again}");
        let state = ours.take_blob(digest, half as u64, size, body(&bytes[half..])).await.unwrap();
        assert_eq!((state.place, state.received), (BlobPlace::Here, size));
        // Said twice, it is here all the same.
        let state = ours.take_blob(digest, 0, size, body(b"anything")).await.unwrap();
        assert_eq!(state.place, BlobPlace::Here);
    }
    ours.collect_garbage(&[]).await.unwrap();
    let taken = ours.take_manifest("app:1", sender.manifest.clone()).await.unwrap();
    assert_eq!((taken.reference.as_str(), &taken.digest), ("app:1", &image.digest));
    assert_eq!(ours.prepare("app:1", PullPolicy::Never).await.unwrap().digest, image.digest);
    assert_eq!(leftovers(&dir), 0);
    // The same once more, and under another name, of which nothing has to be sent.
    ours.take_manifest("app:1", sender.manifest.clone()).await.unwrap();
    ours.take_manifest("other:2", sender.manifest).await.unwrap();
    assert_eq!(ours.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn bytes_that_are_not_what_their_digest_says_are_not_kept() {
    let (theirs, _their_dir) = store();
    small_image(&theirs, "app:1", "hello").await;
    let sender = Sender::of(&theirs, "app:1").await;
    let (ours, _dir) = store();
    let (digest, bytes) = &sender.blobs[0];
    let size = bytes.len() as u64;
    let longer = [&bytes[..], b"x"].concat();
    for (sent, size) in [(flipped(bytes.clone()), size), (longer.clone(), size), (longer, size + 1)] {
        let refused = ours.take_blob(digest, 0, size, body(&sent)).await.unwrap_err();
        assert!(matches!(refused, ImageError::DigestMismatch { .. }), "{refused}");
        let state = ours.blob_state(digest).await.unwrap();
        assert_eq!((state.place, state.received), (BlobPlace::Nowhere, 0), "it begins anew");
    }
    for none in ["", "sha256:", "../../etc/passwd", "sha512:00"] {
        let refused = ours.blob_state(none).await.unwrap_err();
        assert!(matches!(refused, ImageError::BadReference { .. }), "{refused}");
        let refused = ours.take_blob(none, 0, 1, body(b"x")).await.unwrap_err();
        assert!(matches!(refused, ImageError::BadReference { .. }), "{refused}");
    }
    for (reference, manifest) in [("app:1", &b"{}"[..]), ("app:1", b"<html>"), ("APP", &sender.manifest)] {
        assert!(ours.take_manifest(reference, manifest.to_vec()).await.is_err(), "{reference}");
    }
    assert!(ours.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn parts_that_other_machines_have_are_not_sent() {
    let (theirs, _their_dir) = store();
    let image = small_image(&theirs, "app:1", "hello").await;
    let sender = Sender::of(&theirs, "app:1").await;
    let (ours, _dir) = store();
    ours.ask_peers(Arc::new(Machines { store: theirs.clone(), harms: vec![none] }));
    for (digest, _) in &sender.blobs {
        assert_eq!(ours.blob_state(digest).await.unwrap().place, BlobPlace::Elsewhere);
    }
    assert_eq!(ours.take_manifest("app:1", sender.manifest.clone()).await.unwrap().digest, image.digest);
    // One that says it has them and gives something else is no help: they have to be sent.
    let (ours, _dir) = store();
    ours.ask_peers(Arc::new(Machines { store: theirs, harms: vec![flipped] }));
    let refused = ours.take_manifest("app:1", sender.manifest.clone()).await.unwrap_err();
    assert!(matches!(&refused, ImageError::Incomplete { missing, .. } if missing.len() == 2), "{refused}");
    for (digest, bytes) in &sender.blobs {
        ours.take_blob(digest, 0, bytes.len() as u64, body(bytes)).await.unwrap();
    }
    assert_eq!(ours.take_manifest("app:1", sender.manifest).await.unwrap().digest, image.digest);
}
