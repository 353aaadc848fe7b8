//! Images without a container engine: pulled from registries, read from archives, or packed from files of this machine;
//! kept by digest, unpacked into directories that overlayfs stacks.

mod auth;
mod collect;
mod digest;
mod disk;
mod export;
mod folder;
mod format;
mod image;
mod import;
mod library;
mod locks;
mod members;
mod options;
mod pack;
mod peers;
mod pull;
mod push;
mod reference;
mod registry;
mod sent;
mod simulated;
mod store;
mod unpack;

pub use digest::Digest;
pub use export::ExportFormat;
pub use options::{Credentials, Limits, Options, Packing, Platform};
pub use pack::{FileContent, FileEntry, SELF_TAG};
pub use pull::PullProgress;
pub use push::Pushed;
pub use simulated::SimulatedImages;
pub use store::ImageStore;
