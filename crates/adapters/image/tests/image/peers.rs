//! Images from other machines, some of which give wrong bytes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use univrs_image::ImageStore;
use univrs_ports::images::{Archive, ImageError, ImagePeers, Images, PeerImage, PullPolicy};

use crate::support::{leftovers, small_image, store};

/// What a machine does to the bytes it gives.
pub(crate) type Harm = fn(Vec<u8>) -> Vec<u8>;

pub(crate) fn none(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

pub(crate) fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[0] ^= 1;
    bytes
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.pop();
    bytes
}

fn longer(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(0);
    bytes
}

/// Machines that all have what one store has, each with its harm.
pub(crate) struct Machines {
    pub(crate) store: ImageStore,
    pub(crate) harms: Vec<Harm>,
}

#[async_trait]
impl ImagePeers for Machines {
    async fn offers(&self, reference: &str) -> Vec<PeerImage> {
        let Some(manifest) = self.store.offered(reference).await.unwrap() else { return Vec::new() };
        let offer = |at: usize| PeerImage { peer: at.to_string(), manifest: manifest.clone() };
        (0..self.harms.len()).map(offer).collect()
    }

    async fn blob(&self, peer: &str, digest: &str) -> std::io::Result<Archive> {
        let (mut file, _) = self.store.blob(digest).await.unwrap().ok_or(std::io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).await?;
        let harm = self.harms[peer.parse::<usize>().unwrap()];
        Ok(Box::new(std::io::Cursor::new(harm(bytes))))
    }

    async fn holder(&self, digest: &str) -> Option<String> {
        self.store.blob(digest).await.unwrap().map(|_| "0".to_owned())
    }
}

#[tokio::test]
async fn wrong_bytes_are_left_and_the_next_machine_is_asked() {
    for harm in [flipped as Harm, cut, longer] {
        let (theirs, _their_dir) = store();
        let image = small_image(&theirs, "app:1", "hello").await;
        let (ours, dir) = store();
        ours.ask_peers(Arc::new(Machines { store: theirs, harms: vec![harm, none] }));
        ours.prepare("app:1", PullPolicy::IfAbsent).await.unwrap();
        assert_eq!(ours.list().await.unwrap()[0].digest, image.digest);
        assert_eq!(leftovers(&dir), 0);
    }
}

#[tokio::test]
async fn an_image_that_nobody_gives_undamaged_is_not_taken() {
    let (theirs, _their_dir) = store();
    small_image(&theirs, "127.0.0.1:9/app:1", "hello").await;
    let (ours, dir) = store();
    ours.ask_peers(Arc::new(Machines { store: theirs, harms: vec![flipped, cut, longer] }));
    // The registry is asked then, which is not there.
    let refused = ours.prepare("127.0.0.1:9/app:1", PullPolicy::IfAbsent).await.unwrap_err();
    assert!(matches!(refused, ImageError::Registry { .. }), "{refused}");
    assert_eq!((ours.list().await.unwrap().len(), leftovers(&dir)), (0, 0));
}
