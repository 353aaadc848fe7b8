//! Whole lists: parts are fetched until the last one.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use univrs_client::{Error, List, Page, Reply};

use crate::fault::Fault;

/// How many objects are asked for at once.
const PART: u32 = 500;

/// A whole list, and the server's own form of it.
pub(crate) struct Listing {
    pub(crate) body: Bytes,
    pub(crate) revision: u64,
    items: Vec<Value>,
}

impl Listing {
    /// The objects of the list.
    pub(crate) fn decode<T: DeserializeOwned>(self) -> Result<Vec<T>, Fault> {
        let decode = |item| {
            serde_json::from_value(item)
                .map_err(|error| Error::BadReply { status: 200, detail: error.to_string() })
        };
        Ok(self.items.into_iter().map(decode).collect::<Result<_, _>>()?)
    }
}

/// Fetches the last `limit` wanted objects of a list that has its newest at the end.
pub(crate) async fn last<T>(
    limit: usize,
    wanted: impl Fn(&Value) -> bool,
    fetch: impl AsyncFn(Page) -> Result<Reply<List<T>>, Error>,
) -> Result<Listing, Fault> {
    let Listing { body, revision, mut items } = whole(None, fetch).await?;
    let all = items.len();
    items.retain(|item| wanted(item));
    items.drain(..items.len().saturating_sub(limit));
    if items.len() == all {
        return Ok(Listing { body, revision, items });
    }
    listing(List { items, next_cursor: None, revision })
}

/// Fetches a whole list. Its form is the server's own when it fits in one part.
pub(crate) async fn whole<T>(
    label: Option<String>,
    fetch: impl AsyncFn(Page) -> Result<Reply<List<T>>, Error>,
) -> Result<Listing, Fault> {
    let mut page = Page { limit: Some(PART), cursor: None, label };
    let first = fetch(page.clone()).await?;
    let mut list: List<Value> = first.value_as()?;
    if list.next_cursor.is_none() {
        return Ok(Listing { body: first.body().clone(), revision: list.revision, items: list.items });
    }
    while let Some(cursor) = list.next_cursor.take() {
        page.cursor = Some(cursor);
        let next: List<Value> = fetch(page.clone()).await?.value_as()?;
        list.items.extend(next.items);
        list.next_cursor = next.next_cursor;
    }
    listing(list)
}

/// A list in the form that the server would give it.
fn listing(list: List<Value>) -> Result<Listing, Fault> {
    let body = serde_json::to_vec(&list)
        .map_err(|error| Fault::failed(format!("the list cannot be written: {error}"), None))?;
    Ok(Listing { body: body.into(), revision: list.revision, items: list.items })
}
