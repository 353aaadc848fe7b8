//! Names of images, normalised the way Docker does it.
//!
//! `web` means `docker.io/library/web:latest`; a first part with a dot, a colon, or `localhost` is a registry.
//! The full form is what the store keeps, the short form is what people read.
//!
//! The grammar is that of <https://github.com/distribution/reference>. It is read here by hand: the expression that
//! the registry client's library matches it with takes 9 MB of memory once it was used.

use oci_client::Reference;
use univrs_ports::images::ImageError;

use crate::digest::Digest;

const HUB: &str = "docker.io";
/// What people who remember the first registry write.
const OLD_HUB: &str = "index.docker.io";
/// Where the hub keeps names without a slash.
const OFFICIAL: &str = "library";
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;

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
        let reference = read(text).map_err(|reason| bad(reason.to_owned()))?;
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

/// Reads `[registry/]repository[:tag][@digest]`.
fn read(text: &str) -> Result<Reference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| Digest::parse(digest).is_none()) {
        return Err("only sha256 digests in lower case are supported");
    }
    // A colon before the last slash belongs to the registry's port.
    let (path, tag) = match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(
            "a tag is letters, digits, `_`, `.` and `-`, at most 128, and begins with none of the last two",
        );
    }
    let (registry, repository) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (HUB, path),
    };
    let registry = if registry == OLD_HUB { HUB } else { registry };
    if !is_registry(registry) {
        return Err("the registry is no host name with an optional port");
    }
    if repository.len() > LONGEST_REPOSITORY || !repository.split('/').all(is_component) {
        return Err(
            "a repository is lower-case words joined by `.`, `_`, `__` or `-`, parts separated by `/`, at most 255 in all",
        );
    }
    let repository = match repository.contains('/') || registry != HUB {
        true => repository.to_owned(),
        false => format!("{OFFICIAL}/{repository}"),
    };
    let (registry, tag) = (registry.to_owned(), tag.map(str::to_owned));
    Ok(match (tag, digest.map(str::to_owned)) {
        (Some(tag), Some(digest)) => Reference::with_tag_and_digest(registry, repository, tag, digest),
        (None, Some(digest)) => Reference::with_digest(registry, repository, digest),
        (tag, None) => Reference::with_tag(registry, repository, tag.unwrap_or_else(|| "latest".to_owned())),
    })
}

fn is_tag(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= LONGEST_TAG
        && text.bytes().next().is_some_and(inner)
        && text.bytes().all(|byte| inner(byte) || matches!(byte, b'.' | b'-'))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(is_label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether this is lower-case words joined by one dot, one or two underscores, or any number of dashes.
fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_word)
        && text.ends_with(is_word)
        && text
            .split(is_word)
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-'))
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
    use proptest::prelude::*;

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

    proptest! {
        /// What the registry client's library reads is read here to the same end, and nothing else is.
        #[test]
        fn agrees_with_the_grammar(
            text in prop_oneof![
                "[a-zA0.:/_@-]{0,12}",
                "([a-z0][a-zA.-]{0,4}(:[0-9]{0,3})?/)?[a-z0]{1,3}([._-]{0,3}[a-z0]){0,3}(/[a-z_]{1,3})?(:[a-zA0_.-]{0,3})?",
            ],
        ) {
            let ours = read(&text).ok();
            let theirs = text.parse::<Reference>().ok();
            // It lets capitals through in the first part of a name when that is no registry.
            let theirs = theirs.filter(|name| !name.repository().bytes().any(|byte| byte.is_ascii_uppercase()));
            // It takes a part with a dot for a registry even when it is no name of a host.
            let theirs = theirs.filter(|name| !name.registry().contains('_'));
            prop_assert_eq!(ours, theirs);
        }
    }

    /// The pattern of a schema of the API document.
    fn documented(schema: &str) -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../openapi/univrs.json");
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let pattern = document["components"]["schemas"][schema]["pattern"].as_str().unwrap();
        pattern.trim_start_matches('^').trim_end_matches('$').to_owned()
    }

    proptest! {
        /// What the API document calls a reference is one. (What it does not is tried against the API.)
        #[test]
        fn the_document_has_the_same_grammar(
            reference in proptest::string::string_regex(&documented("ImageReference")).unwrap(),
            tag in proptest::string::string_regex(&documented("ImageTag")).unwrap(),
        ) {
            prop_assert!(read(&reference).is_ok() || reference.len() > LONGEST_REPOSITORY, "{reference}");
            prop_assert!(read(&tag).is_ok_and(|tag| tag.digest().is_none()) || tag.len() > LONGEST_REPOSITORY, "{tag}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            "Web",
            "web:",
            "a b",
            "../etc",
            "web@sha256:12",
            "web@sha256:../..",
            "http://x/y",
            "/x",
            "x:\u{e9}",
        ] {
            assert!(matches!(Name::parse(bad), Err(ImageError::BadReference { .. })), "{bad}");
        }
    }
}
