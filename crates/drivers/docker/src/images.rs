//! Images from archives. Docker never asks a registry for what is loaded here.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{ImportImageOptionsBuilder, TagImageOptionsBuilder};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};

use crate::engine::{Engine, NOT_FOUND, unless};

/// How long the engine may take to take an image in.
const LOAD_LIMIT: Duration = Duration::from_secs(1800);

/// Whether the engine has an image of this name.
///
/// # Errors
/// When the engine does not say.
pub async fn is_there(engine: &Engine, name: &str) -> Result<bool, Error> {
    Ok(unless(&[NOT_FOUND], engine.docker().inspect_image(name).await)?.is_some())
}

/// Loads an archive as `docker save` writes it. Answers the name or the id of what it held, if the engine says.
///
/// # Errors
/// When the archive cannot be read or the engine refuses it.
pub async fn load<E>(
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

/// Gives what was loaded another name.
///
/// # Errors
/// When the engine refuses.
pub async fn name(engine: &Engine, loaded: &str, repository: &str, tag: &str) -> Result<(), Error> {
    let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
    engine.docker().tag_image(loaded, Some(options)).await
}

/// What a line says was loaded: `Loaded image ID: sha256:…` or `Loaded image: web:1`.
fn loaded_name(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix("Loaded image")?;
    rest.strip_prefix(" ID:").or_else(|| rest.strip_prefix(':')).map(str::trim)
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
