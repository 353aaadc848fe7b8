//! Copies of our images in the engine. The node's own store is the source: Docker never asks a registry.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use tokio_util::io::ReaderStream;
use univrs_docker::{images as archives, pause};
use univrs_ports::images::{ArchiveFormat, ImageLibrary, PreparedImage};
use univrs_ports::runtime::{ContainerId, RuntimeError};

use super::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use super::names::Names;
use crate::calls::failed;

/// Our images in the engine.
pub(super) struct Copies {
    library: Arc<dyn ImageLibrary>,
    /// One load at a time: loads share layers, and two of the same image would do the work twice.
    loading: tokio::sync::Mutex<()>,
}

impl Copies {
    pub(super) fn new(library: Arc<dyn ImageLibrary>) -> Self {
        Self { library, loading: tokio::sync::Mutex::default() }
    }

    /// Makes an image known to the engine, once for each digest. Answers its name there.
    pub(super) async fn ensure(
        &self,
        engine: &Engine,
        names: &Names,
        id: &ContainerId,
        image: &PreparedImage,
    ) -> Result<String, RuntimeError> {
        let copy = names.image(&image.digest);
        if is_there(engine, id, &copy).await? {
            return Ok(copy);
        }
        let _one = self.loading.lock().await;
        if is_there(engine, id, &copy).await? {
            return Ok(copy);
        }
        let began = std::time::Instant::now();
        // By digest: the tag may have moved, and the archive then carries no name that could replace another.
        let archive = self
            .library
            .export(&image.digest, ArchiveFormat::DockerArchive)
            .await
            .map_err(failed(id, "copy its image to Docker"))?;
        let loaded = archives::load(engine, ReaderStream::new(archive))
            .await
            .map_err(engine.failed(id, "copy its image to Docker"))?;
        let loaded = loaded
            .ok_or_else(|| failed(id, "copy its image to Docker")("Docker did not say what it took in"))?;
        let tag = Names::image_tag(&image.digest);
        let tagged = archives::name(engine, &loaded, &names.repository(), tag).await;
        tagged.map_err(engine.failed(id, "name the copy of its image"))?;
        let millis = began.elapsed().as_millis();
        tracing::info!(image = image.reference, digest = image.digest, millis, "copied an image to Docker");
        Ok(copy)
    }

    /// Makes the image of sandboxes known to the engine. Answers its name there.
    pub(super) async fn ensure_pause<I: std::fmt::Display>(
        &self,
        engine: &Engine,
        names: &Names,
        id: &I,
    ) -> Result<String, RuntimeError> {
        let name = names.pause_image();
        if !is_there(engine, id, &name).await? {
            let archive = pause::archive(&name).map_err(failed(id, "make the image of its sandbox"))?;
            let bytes = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(archive))]);
            archives::load(engine, bytes)
                .await
                .map_err(engine.failed(id, "load the image of its sandbox"))?;
        }
        Ok(name)
    }

    /// Removes copies of images that the node's own store no longer has. Those in use stay until the next time,
    /// and all of them when something is being loaded.
    pub(super) async fn sweep(&self, engine: &Engine, names: &Names) -> Result<(), RuntimeError> {
        let node = names.node();
        let Ok(_one) = self.loading.try_lock() else { return Ok(()) };
        let listed = self.library.list().await.map_err(failed(node, "list its images"))?;
        let kept: BTreeSet<String> = listed.into_iter().map(|image| image.digest).collect();
        for name in all(engine, names).await? {
            if names.tagged_digest(&name).is_some_and(|digest| !kept.contains(&digest)) {
                remove(engine, names, &name).await?;
            }
        }
        Ok(())
    }

    /// Removes every copy.
    pub(super) async fn purge(&self, engine: &Engine, names: &Names) -> Result<(), RuntimeError> {
        let _one = self.loading.lock().await;
        for name in all(engine, names).await? {
            remove(engine, names, &name).await?;
        }
        Ok(())
    }
}

async fn is_there<I: std::fmt::Display>(engine: &Engine, id: &I, name: &str) -> Result<bool, RuntimeError> {
    archives::is_there(engine, name).await.map_err(engine.failed(id, "look for its image in Docker"))
}

/// The names of all our copies.
async fn all(engine: &Engine, names: &Names) -> Result<Vec<String>, RuntimeError> {
    let filters = HashMap::from([("reference", vec![names.repository()])]);
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let images = engine.docker().list_images(Some(options)).await;
    let images = images.map_err(engine.failed(names.node(), "list the copies of its images"))?;
    let ours = format!("{}:", names.repository());
    Ok(images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| tag.starts_with(&ours)).collect())
}

async fn remove(engine: &Engine, names: &Names, name: &str) -> Result<(), RuntimeError> {
    let removed = engine.docker().remove_image(name, None::<RemoveImageOptions>, None).await;
    let removed = unless(&[NOT_FOUND, CONFLICT], removed);
    removed.map(drop).map_err(engine.failed(names.node(), "remove the copy of an image"))
}
