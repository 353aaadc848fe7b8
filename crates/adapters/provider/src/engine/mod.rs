//! What the providers `docker` and `swarm` share: the engine that they ask (`link.rs`), names and labels (`labels.rs`),
//! what is in it (`things.rs`), copies of images in it (`copies.rs`), files of secrets in memory (`secret_files.rs`), checks of health that the
//! engine cannot make itself (`probe.rs`), ports that others have (`ports.rs`), containers that join the network of another
//! (`joined.rs`), where volumes lie (`places.rs`), what all of it uses (`metrics.rs`), and what a provider holds while it
//! changes something (`ground.rs`).

pub(crate) mod copies;
pub(crate) mod ground;
pub(crate) mod joined;
pub(crate) mod labels;
pub(crate) mod link;
pub(crate) mod metrics;
pub(crate) mod places;
pub(crate) mod ports;
pub(crate) mod probe;
pub(crate) mod secret_files;
pub(crate) mod things;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use univrs_ports::images::ImageLibrary;
use univrs_ports::provider::ProviderError;

pub use places::Places;

/// Where things are made.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where the engine listens.
    pub socket: PathBuf,
    /// Where images come from.
    pub images: Arc<dyn ImageLibrary>,
    /// A directory in memory for the files of secrets, which is mounted by `open_secrets` when it is first needed.
    pub secrets: PathBuf,
    /// Makes the directory one in memory; leaves it as it is when it is one already.
    pub open_secrets: fn(&Path) -> std::io::Result<()>,
    /// The address of this machine that people reach its ports under.
    pub host: String,
    /// Where volumes lie.
    pub places: Places,
    /// Why nothing can be made here whatever the engine says, if so.
    pub obstacle: Option<String>,
}

impl EngineOptions {
    /// Where the files of secrets are, apart from those that others have in memory there.
    pub(crate) fn files(&self) -> PathBuf {
        self.secrets.join("resources")
    }

    /// The same, ready to be written.
    pub(crate) fn open_files(&self) -> Result<PathBuf, ProviderError> {
        if let Some(obstacle) = &self.obstacle {
            return Err(ProviderError::lasting(obstacle.clone()));
        }
        (self.open_secrets)(&self.secrets).map_err(|error| {
            ProviderError::lasting(format!(
                "there is no memory for secrets at {}: {error}",
                self.secrets.display()
            ))
        })?;
        Ok(self.files())
    }
}
