//! Copies of the whole state.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::Error;
use crate::request::Client;

impl Client {
    /// A copy of the whole state, as the server has it now. One that ends with an error is no backup.
    ///
    /// # Errors
    /// As every request.
    pub async fn backup(&self) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let response = self.stream(&["api", "cluster", "backup"], &[], "application/octet-stream").await?;
        let client = self.clone();
        Ok(response.bytes_stream().map_err(move |error| client.transport(error)).boxed())
    }
}
