//! The documents an image consists of: manifest, index and configuration, in OCI's and Docker's forms.
//!
//! Documents are kept byte for byte as they came, since their digest is their name; these types only read them. Unknown
//! fields are ignored and `null` stands for absent, because both are common in the wild.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use univrs_ports::images::ImageConfig;

use crate::options::Platform;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

const LAYERS: &[&str] = &[
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// Whether a layer of this type can be unpacked.
pub(crate) fn is_layer(media_type: &str) -> bool {
    LAYERS.contains(&media_type)
}

/// Whether a configuration of this type is that of a container image.
pub(crate) fn is_config(media_type: &str) -> bool {
    media_type == OCI_CONFIG || media_type == DOCKER_CONFIG
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// What a document says of another piece of content.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<PlatformField>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PlatformField {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) os: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
}

impl From<&PlatformField> for Platform {
    fn from(field: &PlatformField) -> Self {
        Self {
            os: field.os.clone(),
            architecture: field.architecture.clone(),
            variant: field.variant.clone(),
        }
    }
}

/// A manifest: one configuration and the layers, base first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) layers: Vec<Descriptor>,
}

/// An index: manifests of the same image for several platforms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) manifests: Vec<Descriptor>,
}

/// A manifest or an index.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Reads either form; the error says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Probe {
            #[serde(default)]
            schema_version: u32,
            #[serde(default, deserialize_with = "or_default")]
            media_type: String,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
        }
        let wrong = |error: serde_json::Error| format!("its manifest cannot be read: {error}");
        let probe: Probe = serde_json::from_slice(bytes).map_err(wrong)?;
        if probe.schema_version != 2 {
            return Err(format!("its manifest has schema version {}, not 2", probe.schema_version));
        }
        match probe.media_type.as_str() {
            OCI_INDEX | DOCKER_INDEX => serde_json::from_slice(bytes).map(Self::Index).map_err(wrong),
            OCI_MANIFEST | DOCKER_MANIFEST => {
                serde_json::from_slice(bytes).map(Self::Manifest).map_err(wrong)
            }
            "" if probe.manifests.is_some() => serde_json::from_slice(bytes).map(Self::Index).map_err(wrong),
            "" => serde_json::from_slice(bytes).map(Self::Manifest).map_err(wrong),
            other => Err(format!("`{other}` is not a manifest type")),
        }
    }
}

/// The configuration document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) os: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) config: RunConfig,
    pub(crate) rootfs: RootFs,
}

/// The unpacked layers, by the digests of their uncompressed tar streams.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) diff_ids: Vec<String>,
}

/// How a container of the image is run, in the document's own spelling.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RunConfig {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Empty>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    working_dir: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    stop_signal: String,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Empty {}

impl ConfigFile {
    /// The platform the image says it is for; `None` when it does not say.
    pub(crate) fn platform(&self) -> Option<Platform> {
        (!self.architecture.is_empty() && !self.os.is_empty()).then(|| Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        })
    }
}

impl From<RunConfig> for ImageConfig {
    fn from(from: RunConfig) -> Self {
        let env = from.env.into_iter().map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (pair, String::new()),
        });
        Self {
            entrypoint: from.entrypoint,
            cmd: from.cmd,
            env: env.collect(),
            working_dir: from.working_dir,
            user: from.user,
            stop_signal: from.stop_signal,
            exposed_ports: from.exposed_ports.into_keys().collect(),
            labels: from.labels,
        }
    }
}

impl From<ImageConfig> for RunConfig {
    fn from(from: ImageConfig) -> Self {
        Self {
            user: from.user,
            exposed_ports: from.exposed_ports.into_iter().map(|port| (port, Empty {})).collect(),
            env: from.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            entrypoint: from.entrypoint,
            cmd: from.cmd,
            working_dir: from.working_dir,
            labels: from.labels,
            stop_signal: from.stop_signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_fields_are_fine() {
        let text = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":null,"Env":["A=b=c","D"],
            "ExposedPorts":{"80/tcp":{}},"Labels":null,"OnBuild":null},"rootfs":{"type":"layers","diff_ids":null}}"#;
        let file: ConfigFile = serde_json::from_slice(text).unwrap();
        let config = ImageConfig::from(file.config);
        assert_eq!(config.env["A"], "b=c");
        assert_eq!(config.env["D"], "");
        assert_eq!(config.exposed_ports, ["80/tcp"]);
    }

    #[test]
    fn the_form_of_a_document_is_recognised() {
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(Document::parse(index), Ok(Document::Index(_))));
        let manifest = br#"{"schemaVersion":2,"config":{"digest":"x","size":1},"layers":[]}"#;
        assert!(matches!(Document::parse(manifest), Ok(Document::Manifest(_))));
        assert!(Document::parse(br#"{"schemaVersion":1}"#).unwrap_err().contains("version 1"));
        let other = br#"{"schemaVersion":2,"mediaType":"text/plain"}"#;
        assert!(Document::parse(other).unwrap_err().contains("text/plain"));
        assert!(Document::parse(b"<html>").is_err());
    }
}
