//! Clouds, and regions named `cloud:region`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A provider a topology can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
    /// Oracle Cloud Infrastructure.
    Oci,
    /// Hetzner Cloud.
    Hetzner,
    /// DigitalOcean.
    DigitalOcean,
    /// Cloudflare: names only, no regions.
    Cloudflare,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Aws, Self::Azure, Self::Gcp, Self::Oci, Self::Hetzner, Self::DigitalOcean, Self::Cloudflare];

    /// The name in files, prices and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Oci => "oci",
            Self::Hetzner => "hetzner",
            Self::DigitalOcean => "digitalocean",
            Self::Cloudflare => "cloudflare",
        }
    }

    /// Whether machines can be put there.
    pub const fn has_regions(self) -> bool {
        !matches!(self, Self::Cloudflare)
    }

    /// How many addresses of every subnet the provider keeps for itself, and how many of them lie at its start.
    ///
    /// AWS and Azure keep the first four and the last; Google the first two and the last two; Oracle the first
    /// two and the last. Hetzner keeps the network address, the gateway and the broadcast address;
    /// DigitalOcean likewise.
    pub const fn reserved_addresses(self) -> Reserved {
        match self {
            Self::Aws | Self::Azure => Reserved { first: 4, last: 1 },
            Self::Gcp => Reserved { first: 2, last: 2 },
            Self::Oci | Self::Hetzner | Self::DigitalOcean | Self::Cloudflare => {
                Reserved { first: 2, last: 1 }
            }
        }
    }
}

/// Addresses of a subnet that machines cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// At the start, the network address included.
    pub first: u32,
    /// At the end, the broadcast address included.
    pub last: u32,
}

impl fmt::Display for Cloud {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no cloud.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cloud; use aws, azure, gcp, oci, hetzner, digitalocean or cloudflare")]
pub struct UnknownCloud(pub String);

impl FromStr for Cloud {
    type Err = UnknownCloud;

    fn from_str(text: &str) -> Result<Self, UnknownCloud> {
        Self::ALL
            .into_iter()
            .find(|cloud| cloud.as_str() == text)
            .ok_or_else(|| UnknownCloud(text.chars().take(80).collect()))
    }
}

/// A region of a cloud, written `aws:us-east-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId {
    /// Whose region.
    pub cloud: Cloud,
    /// Its name at the provider.
    pub name: String,
}

impl RegionId {
    /// The region `name` of `cloud`.
    pub fn new(cloud: Cloud, name: impl Into<String>) -> Self {
        Self { cloud, name: name.into() }
    }

    /// The region as part of a DNS label: `aws-us-east-1`.
    pub fn label(&self) -> String {
        format!("{}-{}", self.cloud, self.name)
    }
}

impl fmt::Display for RegionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.cloud, self.name)
    }
}

impl FromStr for RegionId {
    type Err = UnknownCloud;

    fn from_str(text: &str) -> Result<Self, UnknownCloud> {
        let (cloud, name) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self::new(cloud.parse()?, name))
    }
}

impl Serialize for RegionId {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RegionId {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}
