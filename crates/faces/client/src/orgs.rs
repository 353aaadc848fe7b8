//! Organisations: everything under `/api/orgs`.

use reqwest::Method;
use univrs_model::org::{OrgChange, OrgSpec, OrgView};

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
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

    /// Changes an organisation.
    ///
    /// # Errors
    /// As every request.
    pub async fn change_org(&self, name: &str, change: &OrgChange) -> Result<Reply<OrgView>, Error> {
        let body = serde_json::json!(change);
        let path = ["api", "orgs", name];
        self.send(Request { body: Body::Json(&body), ..Request::new(Method::PUT, &path) }).await
    }
}
