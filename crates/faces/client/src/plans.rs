//! Planned writes: everything under `/api/plans`.

use serde_json::json;

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::types::{List, Plan};

impl Client {
    /// Plans that were made of late, newest first.
    ///
    /// # Errors
    /// As every request.
    pub async fn plans(&self, page: &Page) -> Result<Reply<List<Plan>>, Error> {
        self.get(&["api", "plans"], &page.query()).await
    }

    /// One plan.
    ///
    /// # Errors
    /// As every request.
    pub async fn plan(&self, id: &str) -> Result<Reply<Plan>, Error> {
        self.get(&["api", "plans", id], &[]).await
    }

    /// Lets a plan be applied by whoever made it.
    ///
    /// # Errors
    /// As every request.
    pub async fn approve_plan(&self, id: &str) -> Result<Reply<Plan>, Error> {
        self.post(&["api", "plans", id, "approve"], &json!({})).await
    }

    /// Keeps a plan from being applied.
    ///
    /// # Errors
    /// As every request.
    pub async fn reject_plan(&self, id: &str) -> Result<Reply<Plan>, Error> {
        self.post(&["api", "plans", id, "reject"], &json!({})).await
    }
}
