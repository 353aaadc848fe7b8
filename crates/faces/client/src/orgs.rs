//! Organisations: everything under `/api/orgs`.

use univrs_model::org::{OrgSpec, OrgView};

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::types::List;

impl Client {
    /// The organisations that the caller may see.
    ///
    /// # Errors
    /// As every request.
    pub async fn orgs(&self, page: &Page) -> Result<Reply<List<OrgView>>, Error> {
        self.get(&["api", "orgs"], &page.query()).await
    }

    /// Makes an organisation.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_org(&self, spec: &OrgSpec) -> Result<Reply<OrgView>, Error> {
        self.post(&["api", "orgs"], spec).await
    }
}
