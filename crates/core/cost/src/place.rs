//! A region of a provider.

use std::fmt;

use crate::table::Provider;

/// A region of a provider, written `aws:us-east-1`. It need not be in the price book.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose region.
    pub provider: Provider,
    /// The provider's name for it.
    pub region: String,
}

impl Place {
    /// The region of that name.
    pub fn new(provider: Provider, region: impl Into<String>) -> Place {
        Place { provider, region: region.into() }
    }

    /// Reads `aws:us-east-1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Place> {
        let (provider, region) = text.split_once(':')?;
        let provider = Provider::named(provider)?;
        (!region.is_empty()).then(|| Place::new(provider, region))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.region)
    }
}
