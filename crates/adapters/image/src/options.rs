//! What can be chosen when a store is opened.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How an [`ImageStore`](crate::ImageStore) works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which machines images must be for.
    pub platform: Platform,
    /// Credentials by registry, such as `docker.io` or `registry.example:5000`.
    pub credentials: BTreeMap<String, Credentials>,
    /// A file in the form of Docker's `config.json`, read when a registry is first used; entries above go first.
    pub auth_file: Option<PathBuf>,
    /// A folder of archives; one that names an image is taken in when that image is wanted and not here.
    pub archives: Option<PathBuf>,
    /// Registries spoken to without TLS, besides those on loopback addresses.
    pub plain_http: Vec<String>,
    /// Registries on loopback addresses that do speak TLS.
    pub loopback_tls: Vec<String>,
    /// Certificate authorities trusted besides the system's, in PEM.
    pub extra_roots: Vec<Vec<u8>>,
    /// How large layers are packed here.
    pub packing: Packing,
    /// Layers downloaded at once, over all images.
    pub concurrent_downloads: usize,
    /// Bounds on what an image may bring.
    pub limits: Limits,
    /// How long a connection to a registry may take to open.
    pub connect_timeout: Duration,
    /// How long a registry may stay silent in the middle of an answer.
    pub read_timeout: Duration,
    /// How often a request is made before a registry counts as failing.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles for each further one.
    pub backoff: Duration,
    /// How long a prepared image is kept by the collector even though nothing names it, so that a container that is
    /// being started has time to say that it uses it.
    pub keep_prepared: Duration,
    /// Whether content is forced to disk before it counts. Without it, a power cut (not a killed process) may leave
    /// damaged content.
    pub durable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            platform: Platform::host(),
            credentials: BTreeMap::new(),
            auth_file: None,
            archives: None,
            plain_http: Vec::new(),
            loopback_tls: Vec::new(),
            extra_roots: Vec::new(),
            packing: Packing::default(),
            concurrent_downloads: 4,
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            attempts: 3,
            backoff: Duration::from_millis(250),
            keep_prepared: Duration::from_secs(60),
            durable: true,
        }
    }
}

/// How a layer that is packed here travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// Compressed with zstd: quick and small, understood by Docker from version 23 and containerd from 1.5.
    #[default]
    Zstd,
    /// As it is: understood by everything.
    Plain,
}

/// Bounds against images made to fill a disk or a memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one layer, uncompressed.
    pub layer_bytes: u64,
    /// Files, directories and links in one layer.
    pub layer_entries: u64,
    /// Layers of one image.
    pub layers: usize,
    /// Bytes of an archive that is imported, uncompressed.
    pub archive_bytes: u64,
    /// Bytes of a manifest or an image's configuration.
    pub document_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layer_bytes: 20 << 30,
            layer_entries: 4_000_000,
            layers: 256,
            archive_bytes: 64 << 30,
            document_bytes: 8 << 20,
        }
    }
}

/// How one proves to a registry who one is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, or a token in place of the password.
    Basic {
        /// Name.
        username: String,
        /// Password.
        password: String,
    },
    /// A token sent as it is.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username}, …)"),
            Self::Bearer(_) => f.write_str("Bearer(…)"),
        }
    }
}

/// A kind of machine, in the words of the OCI image specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v7`; empty means none.
    pub variant: String,
}

impl Platform {
    /// Of this machine.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", ""),
            "arm" => ("arm", "v7"),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", ""),
            other => (other, ""),
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// How well a machine of this kind runs content for `other`: `None` when it does not, else higher is better.
    pub(crate) fn suits(&self, other: &Self) -> Option<u8> {
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        match (self.architecture.as_str(), other.variant.as_str()) {
            (_, variant) if variant == self.variant => Some(10),
            ("amd64", "v1") | ("arm64", "v8") => Some(9),
            (_, "") => Some(8),
            // Nearly every machine in use has the second level.
            ("amd64", "v2") => Some(1),
            ("arm", variant) => match (version(variant), version(&self.variant)) {
                (Some(theirs), Some(ours)) if theirs <= ours => Some(theirs),
                _ => None,
            },
            _ => None,
        }
    }
}

fn version(variant: &str) -> Option<u8> {
    variant.strip_prefix('v')?.parse().ok()
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform {
            os: parts.next().unwrap_or_default(),
            architecture: parts.next().unwrap_or_default(),
            variant: parts.next().unwrap_or_default(),
        }
    }

    #[test]
    fn the_nearest_variant_suits_best() {
        for (ours, theirs, fits) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v3", false),
            ("linux/amd64", "linux/arm64", false),
            ("linux/amd64", "windows/amd64", false),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm/v7", "linux/arm/v6", true),
            ("linux/arm/v7", "linux/arm/v8", false),
        ] {
            assert_eq!(platform(ours).suits(&platform(theirs)).is_some(), fits, "{ours} {theirs}");
        }
        let ours = platform("linux/arm/v7");
        assert!(ours.suits(&platform("linux/arm/v7")) > ours.suits(&platform("linux/arm/v5")));
    }
}
