//! One-click resources: everything under `/api/resources`, `/api/templates` and `/api/providers`.

use reqwest::Method;
use serde_json::{Map, Value, json};
use univrs_model::resource::{ResourceSpec, ResourceView};

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::{Accepted, List};

impl Client {
    /// The templates.
    ///
    /// # Errors
    /// As every request.
    pub async fn templates(&self, page: &Page) -> Result<Reply<List<Value>>, Error> {
        self.get(&["api", "templates"], &page.query()).await
    }

    /// One template.
    ///
    /// # Errors
    /// As every request.
    pub async fn template(&self, id: &str) -> Result<Reply<Value>, Error> {
        self.get(&["api", "templates", id], &[]).await
    }

    /// The providers.
    ///
    /// # Errors
    /// As every request.
    pub async fn providers(&self) -> Result<Reply<List<Value>>, Error> {
        self.get(&["api", "providers"], &[]).await
    }

    /// One provider.
    ///
    /// # Errors
    /// As every request.
    pub async fn provider(&self, id: &str) -> Result<Reply<Value>, Error> {
        self.get(&["api", "providers", id], &[]).await
    }

    /// The resources.
    ///
    /// # Errors
    /// As every request.
    pub async fn resources(&self, page: &Page) -> Result<Reply<List<ResourceView>>, Error> {
        self.get(&["api", "resources"], &page.query()).await
    }

    /// One resource.
    ///
    /// # Errors
    /// As every request.
    pub async fn resource(&self, wanted: &str) -> Result<Reply<ResourceView>, Error> {
        self.get(&["api", "resources", wanted], &[]).await
    }

    /// Begins to make a resource.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_resource(&self, spec: &ResourceSpec) -> Result<Reply<Accepted>, Error> {
        self.post(&["api", "resources"], spec).await
    }

    /// What is needed to reach a resource.
    ///
    /// # Errors
    /// As every request.
    pub async fn resource_credentials(&self, wanted: &str) -> Result<Reply<Map<String, Value>>, Error> {
        self.get(&["api", "resources", wanted, "credentials"], &[]).await
    }

    /// Begins to give a resource another size.
    ///
    /// # Errors
    /// As every request.
    pub async fn scale_resource(
        &self,
        wanted: &str,
        parameters: &Map<String, Value>,
    ) -> Result<Reply<Accepted>, Error> {
        self.post(&["api", "resources", wanted, "scale"], &json!({ "parameters": parameters })).await
    }

    /// Begins to replace a resource's credentials.
    ///
    /// # Errors
    /// As every request.
    pub async fn rotate_resource(&self, wanted: &str) -> Result<Reply<Accepted>, Error> {
        self.post(&["api", "resources", wanted, "rotate"], &json!({})).await
    }

    /// Begins to back a resource up.
    ///
    /// # Errors
    /// As every request.
    pub async fn back_up_resource(&self, wanted: &str) -> Result<Reply<Accepted>, Error> {
        self.post(&["api", "resources", wanted, "backups"], &json!({})).await
    }

    /// Begins to put a backup into a resource: of `from`, or of itself; the newest, if none is named; as it was at
    /// `to_time`, if one is.
    ///
    /// # Errors
    /// As every request.
    pub async fn restore_resource(
        &self,
        wanted: &str,
        from: Option<&str>,
        backup: Option<&str>,
        to_time: Option<&str>,
    ) -> Result<Reply<Accepted>, Error> {
        let body = json!({ "from": from, "backup": backup, "to_time": to_time });
        self.post(&["api", "resources", wanted, "restore"], &body).await
    }

    /// Begins to bring a resource to what its template and images are now.
    ///
    /// # Errors
    /// As every request.
    pub async fn upgrade_resource(&self, wanted: &str) -> Result<Reply<Accepted>, Error> {
        self.post(&["api", "resources", wanted, "upgrade"], &json!({})).await
    }

    /// Begins to let a resource's replica take over.
    ///
    /// # Errors
    /// As every request.
    pub async fn promote_resource(&self, wanted: &str) -> Result<Reply<Accepted>, Error> {
        self.post(&["api", "resources", wanted, "promote"], &json!({})).await
    }

    /// The last lines that a resource wrote.
    ///
    /// # Errors
    /// As every request.
    pub async fn resource_logs(&self, wanted: &str, tail: usize) -> Result<Reply<List<String>>, Error> {
        self.get(&["api", "resources", wanted, "logs"], &[("tail", tail.to_string())]).await
    }

    /// Begins to remove a resource with all it holds.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_resource(&self, wanted: &str) -> Result<Reply<Accepted>, Error> {
        let path = ["api", "resources", wanted];
        self.send(Request { body: Body::None, ..Request::new(Method::DELETE, &path) }).await
    }
}
