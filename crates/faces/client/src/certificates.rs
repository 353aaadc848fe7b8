//! Certificates of hosts: everything under `/api/certificates`.

use univrs_model::certificate::CertificateView;

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::types::List;

impl Client {
    /// The certificates of hosts, without their keys.
    ///
    /// # Errors
    /// As every request.
    pub async fn certificates(&self, page: &Page) -> Result<Reply<List<CertificateView>>, Error> {
        self.get(&["api", "certificates"], &page.query()).await
    }
}
