//! Copies of our images in the engine. The node's own store is the source: Docker never asks a registry.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio_util::io::ReaderStream;
use univrs_ports::images::{ArchiveFormat, ImageLibrary, PreparedImage};
use univrs_ports::runtime::{ContainerId, RuntimeError};

use super::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use super::names::Names;
use super::pause;
use crate::calls::failed;

/// How long the engine may take to take an image in.
const LOAD_LIMIT: Duration = Duration::from_secs(1800);

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
        let loaded = load(engine, ReaderStream::new(archive))
            .await
            .map_err(engine.failed(id, "copy its image to Docker"))?;
        let loaded = loaded
            .ok_or_else(|| failed(id, "copy its image to Docker")("Docker did not say what it took in"))?;
        let tag = TagImageOptionsBuilder::new()
            .repo(&names.repository())
            .tag(Names::image_tag(&image.digest))
            .build();
        let tagged = engine.docker().tag_image(&loaded, Some(tag)).await;
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
            load(engine, bytes).await.map_err(engine.failed(id, "load the image of its sandbox"))?;
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
    let found = unless(&[NOT_FOUND], engine.docker().inspect_image(name).await);
    Ok(found.map_err(engine.failed(id, "look for its image in Docker"))?.is_some())
}

/// Loads an archive. Answers the name or the id of what it held.
async fn load<E>(
    engine: &Engine,
    archive: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Result<Option<String>, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let docker = engine.docker().clone().with_timeout(LOAD_LIMIT);
    let options = ImportImageOptionsBuilder::new().quiet(true).build();
    let mut said = std::pin::pin!(docker.import_image_stream(options, archive, None));
    let mut loaded = None;
    while let Some(line) = said.next().await {
        let text = line?.stream.unwrap_or_default();
        loaded = loaded_name(&text).map(str::to_owned).or(loaded);
    }
    Ok(loaded)
}

/// What a line says was loaded: `Loaded image ID: sha256:…` or `Loaded image: web:1`.
fn loaded_name(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix("Loaded image")?;
    rest.strip_prefix(" ID:").or_else(|| rest.strip_prefix(':')).map(str::trim)
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

#[cfg(test)]
mod tests {
    use super::loaded_name;

    #[test]
    fn what_was_loaded_is_read_off_the_answer() {
        assert_eq!(loaded_name("Loaded image ID: sha256:ab\n"), Some("sha256:ab"));
        assert_eq!(loaded_name("Loaded image: web:1\n"), Some("web:1"));
        assert_eq!(loaded_name("Loading layer"), None);
    }
}
