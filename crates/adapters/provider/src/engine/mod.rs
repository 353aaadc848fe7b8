//! What the providers `docker` and `swarm` share: the engine that they ask (`link.rs`), names and labels (`labels.rs`),
//! copies of images in it (`copies.rs`), files of secrets in memory (`secret_files.rs`), checks of health that the
//! engine cannot make itself (`probe.rs`), and ports that others have (`ports.rs`).

pub(crate) mod copies;
pub(crate) mod labels;
pub(crate) mod link;
pub(crate) mod ports;
pub(crate) mod probe;
pub(crate) mod secret_files;

use std::path::PathBuf;
use std::sync::Arc;

use univrs_ports::images::ImageLibrary;

/// Where things are made.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where the engine listens.
    pub socket: PathBuf,
    /// Where images come from.
    pub images: Arc<dyn ImageLibrary>,
    /// A directory in memory for the files of secrets. Not shared with other programs.
    pub secrets: PathBuf,
    /// The address of this machine that people reach its ports under.
    pub host: String,
}
