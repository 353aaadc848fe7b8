//! The audit log.

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::types::{AuditRecord, List};

impl Client {
    /// Who did what.
    ///
    /// # Errors
    /// As every request.
    pub async fn audit(&self, page: &Page) -> Result<Reply<List<AuditRecord>>, Error> {
        self.get(&["api", "audit"], &page.query()).await
    }
}
