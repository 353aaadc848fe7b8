//! Images in files of this machine. What is in them only the binary knows; it hands the command line what it needs.

use std::io;

use async_trait::async_trait;
use tokio::io::AsyncRead;

/// An image in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiledImage {
    /// Its name and tag.
    pub reference: String,
    /// The bytes of its manifest.
    pub manifest: Vec<u8>,
    /// Digest and length of each blob that the manifest names, each once.
    pub blobs: Vec<(String, u64)>,
}

/// A file of images that was opened.
#[async_trait]
pub trait ImageFile: Send + Sync {
    /// What is in it.
    fn images(&self) -> &[FiledImage];

    /// The bytes of a blob from `offset` on.
    ///
    /// # Errors
    /// When there is no such blob, or it cannot be read.
    async fn blob(&self, digest: &str, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>>;
}

/// Opens files of images.
#[async_trait]
pub trait ImageFiles: Send + Sync {
    /// Opens a file or folder, or standard input for `-`; its one image gets the name `name`, if one is given.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    async fn open(&self, file: &str, name: Option<&str>) -> Result<Box<dyn ImageFile>, String>;
}
