//! Names of images, normalised the way Docker does it.
//!
//! `web` means `docker.io/library/web:latest`; a first part with a dot, a colon, or `localhost` is a registry.
//! The full form is what the store keeps, the short form is what people read.

use oci_client::Reference;
use univrs_ports::images::ImageError;

use crate::digest::Digest;

const HUB: &str = "docker.io";

/// A normalised image name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    given: String,
    reference: Reference,
}

impl Name {
    /// Reads `text` as an image reference.
    pub(crate) fn parse(text: &str) -> Result<Self, ImageError> {
        let bad = |reason: String| ImageError::BadReference { reference: text.to_owned(), reason };
        if text.len() > 1024 {
            return Err(bad("longer than 1024 characters".to_owned()));
        }
        let reference: Reference = text.parse().map_err(|error| bad(format!("{error}")))?;
        if let Some(digest) = reference.digest()
            && Digest::parse(digest).is_none()
        {
            return Err(bad("only sha256 digests in lower case are supported".to_owned()));
        }
        Ok(Self { given: text.to_owned(), reference })
    }

    /// As it was given.
    pub(crate) fn given(&self) -> &str {
        &self.given
    }

    /// The full form, such as `docker.io/library/web:1`.
    pub(crate) fn full(&self) -> String {
        // With a digest, the tag says nothing about the content.
        match self.reference.digest() {
            Some(digest) => format!("{}/{}@{digest}", self.reference.registry(), self.reference.repository()),
            None => self.reference.whole(),
        }
    }

    /// The short form, such as `web:1`.
    pub(crate) fn short(&self) -> String {
        shorten(&self.full())
    }

    /// The digest that the reference names, when it does.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.reference.digest().and_then(Digest::parse)
    }

    /// Host and port of the registry, as people know it.
    pub(crate) fn registry(&self) -> &str {
        self.reference.registry()
    }

    /// For the registry client.
    pub(crate) const fn reference(&self) -> &Reference {
        &self.reference
    }
}

/// The short form of a full name.
pub(crate) fn shorten(full: &str) -> String {
    let Some(rest) = full.strip_prefix(HUB).and_then(|rest| rest.strip_prefix('/')) else {
        return full.to_owned();
    };
    rest.strip_prefix("library/").unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_like_docker_does() {
        let digest = Digest::of(b"");
        for (given, full, short) in [
            ("web", "docker.io/library/web:latest", "web:latest"),
            ("web:1", "docker.io/library/web:1", "web:1"),
            ("docker.io/web:1", "docker.io/library/web:1", "web:1"),
            ("index.docker.io/library/web:1", "docker.io/library/web:1", "web:1"),
            ("univrs/orchestrator:dev", "docker.io/univrs/orchestrator:dev", "univrs/orchestrator:dev"),
            ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
            ("localhost/x:2", "localhost/x:2", "localhost/x:2"),
            ("ghcr.io/a/b/c:v1.2", "ghcr.io/a/b/c:v1.2", "ghcr.io/a/b/c:v1.2"),
            ("127.0.0.1:5055/x:1", "127.0.0.1:5055/x:1", "127.0.0.1:5055/x:1"),
            (
                &format!("web:1@{digest}"),
                &format!("docker.io/library/web@{digest}"),
                &format!("web@{digest}"),
            ),
        ] {
            let name = Name::parse(given).unwrap();
            assert_eq!(name.full(), full, "{given}");
            assert_eq!(name.short(), short, "{given}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in
            ["", "Web", "web:", "a b", "../etc", "web@sha256:12", "web@sha256:../..", "http://x/y", "/x"]
        {
            assert!(matches!(Name::parse(bad), Err(ImageError::BadReference { .. })), "{bad}");
        }
    }
}
