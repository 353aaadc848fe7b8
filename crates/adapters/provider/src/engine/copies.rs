//! Copies of this node's images in the engine, made before they are needed: Docker asks no registry for them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use tokio_util::io::ReaderStream;
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use univrs_docker::{images, pause};
use univrs_ports::images::{ArchiveFormat, ImageLibrary, PreparedImage, PullPolicy};
use univrs_ports::provider::ProviderError;

use super::link::failed;

/// Where copies lie in the engine. It looks like a registry that nobody has, so that no real one is asked.
const REPOSITORY: &str = "univrs.internal/resources";
/// The tag of the image that holds networks; another one whenever the program changes.
const PAUSE: &str = "pause-1";

/// An image that the engine has.
#[derive(Clone)]
pub(crate) struct Copy {
    /// Its name in the engine.
    pub(crate) name: String,
    /// As this node knows it.
    pub(crate) image: PreparedImage,
}

/// The copies.
pub(crate) struct Copies {
    library: Arc<dyn ImageLibrary>,
    /// One load at a time: two of the same image would do the work twice.
    loading: tokio::sync::Mutex<()>,
}

impl Copies {
    pub(crate) fn new(library: Arc<dyn ImageLibrary>) -> Self {
        Self { library, loading: tokio::sync::Mutex::default() }
    }

    /// Makes an image known to the engine, once for each digest.
    pub(crate) async fn ensure(&self, engine: &Engine, reference: &str) -> Result<Copy, ProviderError> {
        let image = self.library.prepare(reference, PullPolicy::IfAbsent).await.map_err(|error| {
            let said = error.to_string();
            if error.is_temporary() { ProviderError::temporary(said) } else { ProviderError::lasting(said) }
        })?;
        let tag = image.digest.strip_prefix("sha256:").unwrap_or(&image.digest).to_owned();
        let copy = Copy { name: format!("{REPOSITORY}:{tag}"), image };
        let _one = self.loading.lock().await;
        if images::is_there(engine, &copy.name).await.map_err(failed(engine, "look for an image"))? {
            return Ok(copy);
        }
        let began = std::time::Instant::now();
        let archive = self.library.export(&copy.image.digest, ArchiveFormat::DockerArchive).await;
        let archive = archive.map_err(|error| ProviderError::temporary(error.to_string()))?;
        let loaded = images::load(engine, ReaderStream::new(archive)).await;
        let loaded = loaded
            .map_err(failed(engine, "take an image in"))?
            .ok_or_else(|| ProviderError::temporary("Docker did not say what image it took in"))?;
        let named = images::name(engine, &loaded, REPOSITORY, &tag).await;
        named.map_err(failed(engine, "name an image"))?;
        let millis = began.elapsed().as_millis();
        tracing::info!(image = reference, digest = copy.image.digest, millis, "copied an image to Docker");
        Ok(copy)
    }

    /// Makes the image that holds networks known to the engine. Answers its name there.
    pub(crate) async fn ensure_pause(&self, engine: &Engine) -> Result<String, ProviderError> {
        let name = format!("{REPOSITORY}:{PAUSE}");
        let _one = self.loading.lock().await;
        if !images::is_there(engine, &name).await.map_err(failed(engine, "look for an image"))? {
            let archive = pause::archive(&name).map_err(|error| ProviderError::lasting(error.to_string()))?;
            let bytes = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(archive))]);
            images::load(engine, bytes).await.map_err(failed(engine, "take an image in"))?;
        }
        Ok(name)
    }

    /// Removes copies of images that this node no longer has. Those in use stay until the next time.
    pub(crate) async fn sweep(&self, engine: &Engine) -> Result<(), ProviderError> {
        let Ok(_one) = self.loading.try_lock() else { return Ok(()) };
        let known = self.library.list().await.map_err(|error| ProviderError::temporary(error.to_string()))?;
        let kept: BTreeSet<String> =
            known.iter().map(|image| image.digest.replacen("sha256:", "", 1)).collect();
        let filters = HashMap::from([("reference", vec![REPOSITORY])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let listed = engine.docker().list_images(Some(options)).await;
        for name in
            listed.map_err(failed(engine, "list images"))?.into_iter().flat_map(|image| image.repo_tags)
        {
            let Some(tag) = name.strip_prefix(REPOSITORY).and_then(|rest| rest.strip_prefix(':')) else {
                continue;
            };
            if tag != PAUSE && !kept.contains(tag) {
                let removed = engine.docker().remove_image(&name, None::<RemoveImageOptions>, None).await;
                unless(&[NOT_FOUND, CONFLICT], removed).map_err(failed(engine, "remove an image"))?;
            }
        }
        Ok(())
    }
}
