//! Lists: a page of items, where the next begins, and the revision of the view.

use serde::{Deserialize, Serialize};
use univrs_model::field::FieldError;
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// Most items on a page.
pub(crate) const LARGEST_PAGE: usize = 1000;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
    /// The revision of the view; watch from here to miss nothing.
    pub(crate) revision: u64,
}

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Most items on the page.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// Only objects with this label, as `key=value` or `key`.
    pub(crate) label: Option<String>,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    pub(crate) org: Option<String>,
}

/// The number of items wanted.
///
/// # Errors
/// When it is not between 1 and [`LARGEST_PAGE`].
pub(crate) fn checked_limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit {
        None => Ok(100),
        Some(limit @ 1..=LARGEST_PAGE) => Ok(limit),
        Some(_) => Err(FieldError::new("limit", format!("a page has 1 to {LARGEST_PAGE} items")).into()),
    }
}

impl PageQuery {
    /// The number of items wanted.
    ///
    /// # Errors
    /// When it is not between 1 and [`LARGEST_PAGE`].
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        checked_limit(self.limit)
    }

    /// Whether an object with these labels is wanted.
    pub(crate) fn wants(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        match self.label.as_deref().map(|label| label.split_once('=').ok_or(label)) {
            None => true,
            Some(Ok((key, value))) => labels.get(key).is_some_and(|found| found == value),
            Some(Err(key)) => labels.contains_key(key),
        }
    }

    /// The page of `items`, which are in the order of `name`.
    ///
    /// # Errors
    /// As [`PageQuery::limit`].
    pub(crate) fn cut<T>(
        &self,
        items: Vec<T>,
        revision: u64,
        name: impl Fn(&T) -> String,
    ) -> Result<Page<T>, Problem> {
        let limit = self.limit()?;
        let mut rest =
            items.into_iter().filter(|item| self.cursor.as_ref().is_none_or(|cursor| name(item) > *cursor));
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let next_cursor = rest.next().and_then(|_| items.last().map(&name));
        Ok(Page { items, next_cursor, revision })
    }
}
