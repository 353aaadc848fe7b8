//! API tokens: everything under `/api/tokens`.

use univrs_model::token::{NewToken, TokenSpec, TokenView};

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::types::List;

impl Client {
    /// The tokens of the organisation, and those of the cluster for who may see them.
    ///
    /// # Errors
    /// As every request.
    pub async fn tokens(&self, page: &Page) -> Result<Reply<List<TokenView>>, Error> {
        self.get(&["api", "tokens"], &page.query()).await
    }

    /// Makes a token; its text is in the reply and is never shown again.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_token(&self, spec: &TokenSpec) -> Result<Reply<NewToken>, Error> {
        self.post(&["api", "tokens"], spec).await
    }

    /// Ends a token, named by its id or name.
    ///
    /// # Errors
    /// As every request.
    pub async fn revoke_token(&self, token: &str) -> Result<Reply<TokenView>, Error> {
        let path = ["api", "tokens", token];
        self.send(crate::request::Request::new(reqwest::Method::DELETE, &path)).await
    }
}
