//! Workloads: everything under `/api/workloads`.

use reqwest::Method;
use serde_json::{Value, json};
use univrs_model::instance::InstanceView;
use univrs_model::rollout::{RevisionView, WorkloadView};

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::{List, Plan};

/// What is added to a write to learn its plan instead.
fn dry_run() -> Vec<(&'static str, String)> {
    vec![("dry_run", "true".to_owned())]
}

impl Client {
    /// Workloads of the organisation.
    ///
    /// # Errors
    /// As every request.
    pub async fn workloads(&self, page: &Page) -> Result<Reply<List<WorkloadView>>, Error> {
        self.get(&["api", "workloads"], &page.query()).await
    }

    /// One workload.
    ///
    /// # Errors
    /// As every request.
    pub async fn workload(&self, name: &str) -> Result<Reply<WorkloadView>, Error> {
        self.get(&["api", "workloads", name], &[]).await
    }

    /// Makes a workload of a spec document.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_workload(&self, spec: &Value) -> Result<Reply<WorkloadView>, Error> {
        self.post(&["api", "workloads"], spec).await
    }

    /// What [`Client::create_workload`] would change.
    ///
    /// # Errors
    /// As every request.
    pub async fn plan_create_workload(&self, spec: &Value) -> Result<Reply<Plan>, Error> {
        let path = ["api", "workloads"];
        let query = dry_run();
        self.send(Request { query: &query, body: Body::Json(spec), ..Request::new(Method::POST, &path) })
            .await
    }

    /// Replaces a workload's spec; with `etag`, only if nobody changed it since.
    ///
    /// # Errors
    /// As every request.
    pub async fn replace_workload(
        &self,
        name: &str,
        spec: &Value,
        etag: Option<&str>,
    ) -> Result<Reply<WorkloadView>, Error> {
        let path = ["api", "workloads", name];
        self.send(Request { body: Body::Json(spec), if_match: etag, ..Request::new(Method::PUT, &path) })
            .await
    }

    /// What [`Client::replace_workload`] would change.
    ///
    /// # Errors
    /// As every request.
    pub async fn plan_replace_workload(&self, name: &str, spec: &Value) -> Result<Reply<Plan>, Error> {
        let path = ["api", "workloads", name];
        let query = dry_run();
        self.send(Request { query: &query, body: Body::Json(spec), ..Request::new(Method::PUT, &path) }).await
    }

    /// Changes parts of a workload's spec (JSON merge patch).
    ///
    /// # Errors
    /// As every request.
    pub async fn patch_workload(&self, name: &str, patch: &Value) -> Result<Reply<WorkloadView>, Error> {
        let path = ["api", "workloads", name];
        self.send(Request { body: Body::Json(patch), ..Request::new(Method::PATCH, &path) }).await
    }

    /// Removes a workload and its instances.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_workload(&self, name: &str) -> Result<Reply<Value>, Error> {
        self.delete(&["api", "workloads", name]).await
    }

    /// Sets how many instances a workload has.
    ///
    /// # Errors
    /// As every request.
    pub async fn scale_workload(&self, name: &str, replicas: u32) -> Result<Reply<WorkloadView>, Error> {
        self.post(&["api", "workloads", name, "scale"], &json!({"replicas": replicas})).await
    }

    /// Goes back to a kept version: the one before when `version` is absent.
    ///
    /// # Errors
    /// As every request.
    pub async fn roll_back_workload(
        &self,
        name: &str,
        version: Option<u64>,
    ) -> Result<Reply<WorkloadView>, Error> {
        let body = version.map_or_else(|| json!({}), |version| json!({"to": version}));
        self.post(&["api", "workloads", name, "rollback"], &body).await
    }

    /// The kept versions of a workload.
    ///
    /// # Errors
    /// As every request.
    pub async fn workload_history(&self, name: &str) -> Result<Reply<List<RevisionView>>, Error> {
        self.get(&["api", "workloads", name, "history"], &[]).await
    }

    /// Why a workload's instances are where they are, or nowhere.
    ///
    /// # Errors
    /// As every request.
    pub async fn explain_workload(&self, name: &str) -> Result<Reply<Value>, Error> {
        self.get(&["api", "workloads", name, "explain"], &[]).await
    }

    /// The instances of a workload, the newest first.
    ///
    /// # Errors
    /// As every request.
    pub async fn instances(&self, name: &str, page: &Page) -> Result<Reply<List<InstanceView>>, Error> {
        self.get(&["api", "workloads", name, "instances"], &page.query()).await
    }
}
