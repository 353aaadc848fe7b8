//! References of images, as requests name them, and the grammar of both kinds for the document.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest reference in a request, in bytes.
pub(crate) const LONGEST: usize = 255;

/// `[registry/]repository[:tag]`, as the image store reads it (`univrs-image`, `reference.rs`), whose tests compare it with
/// the committed document: a registry and parts; or parts of which the first has no dot; or one part.
macro_rules! tagged {
    () => {
        r"((([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)+|[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*:[0-9]+|localhost)/|[a-z0-9]+((_|__|-+)[a-z0-9]+)*/)([a-z0-9]+(([._]|__|-+)[a-z0-9]+)*/)*)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    };
}

/// What an [`ImageTag`] looks like.
pub(crate) const TAG: &str = concat!("^", tagged!(), "$");
/// What an [`ImageReference`] looks like.
pub(crate) const REFERENCE: &str = concat!("^", tagged!(), "(@sha256:[a-f0-9]{64})?$");

/// The reference of an image: `[registry/]repository[:tag][@digest]`. A first part with a dot, a port, or `localhost` is
/// the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "registry.example/team/web:1.2")]
pub(crate) struct ImageReference(String);

/// What an image is called, or is to be called: `[registry/]repository[:tag]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "registry.example/team/web:1.2")]
pub(crate) struct ImageTag(String);

/// Why a text is refused before it is read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// It is too long.
    #[error("a reference has at most {LONGEST} characters, and this has {0}")]
    TooLong(usize),
    /// It names a digest.
    #[error("an image is called by a tag, not by a digest; write it without `@…`")]
    Digest,
}

impl TryFrom<String> for ImageReference {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        match text.len() {
            0..=LONGEST => Ok(Self(text)),
            length => Err(Unfit::TooLong(length)),
        }
    }
}

impl TryFrom<String> for ImageTag {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        Self::try_from(ImageReference::try_from(text)?)
    }
}

impl TryFrom<ImageReference> for ImageTag {
    type Error = Unfit;

    fn try_from(reference: ImageReference) -> Result<Self, Unfit> {
        if reference.contains('@') { Err(Unfit::Digest) } else { Ok(Self(reference.0)) }
    }
}

macro_rules! text {
    ($name:ident) => {
        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

text!(ImageReference);
text!(ImageTag);
