//! Long changes: everything under `/api/operations`.

use serde_json::json;
use univrs_model::operation::OperationView;

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::types::List;

impl Client {
    /// Long changes, newest first.
    ///
    /// # Errors
    /// As every request.
    pub async fn operations(&self, page: &Page) -> Result<Reply<List<OperationView>>, Error> {
        self.get(&["api", "operations"], &page.query()).await
    }

    /// One long change.
    ///
    /// # Errors
    /// As every request.
    pub async fn operation(&self, id: &str) -> Result<Reply<OperationView>, Error> {
        self.get(&["api", "operations", id], &[]).await
    }

    /// Asks a long change to stop and take back what it did.
    ///
    /// # Errors
    /// As every request.
    pub async fn cancel_operation(&self, id: &str) -> Result<Reply<OperationView>, Error> {
        self.post(&["api", "operations", id, "cancel"], &json!({})).await
    }
}
