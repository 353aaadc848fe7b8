//! What machines join with: everything under `/api/join-tokens`.

use serde_json::Value;
use univrs_model::join::{JoinTokenSpec, JoinTokenView, NewJoinToken};

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::types::List;

impl Client {
    /// The join tokens, the newest first.
    ///
    /// # Errors
    /// As every request.
    pub async fn join_tokens(&self, page: &Page) -> Result<Reply<List<JoinTokenView>>, Error> {
        self.get(&["api", "join-tokens"], &page.query()).await
    }

    /// Makes a join token; its text is in the reply and is never shown again.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_join_token(&self, spec: &JoinTokenSpec) -> Result<Reply<NewJoinToken>, Error> {
        self.post(&["api", "join-tokens"], spec).await
    }

    /// Ends a join token, named by its id.
    ///
    /// # Errors
    /// As every request.
    pub async fn revoke_join_token(&self, token: &str) -> Result<Reply<Value>, Error> {
        self.delete(&["api", "join-tokens", token]).await
    }
}
