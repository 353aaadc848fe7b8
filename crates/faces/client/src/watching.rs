//! Usage and alerts: everything under `/api/usage` and `/api/alerts`.

use reqwest::Method;
use serde_json::{Value, json};
use univrs_model::alert::{Alert, AlertSettings, SilenceSpec};

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::List;

impl Client {
    /// What the organisation used from one instant to another, in RFC 3339, and what that cost.
    ///
    /// # Errors
    /// As every request.
    pub async fn usage(&self, from: Option<&str>, to: Option<&str>) -> Result<Reply<Value>, Error> {
        let from = from.map(|from| ("from", from.to_owned()));
        let query: Vec<_> = from.into_iter().chain(to.map(|to| ("to", to.to_owned()))).collect();
        self.get(&["api", "usage"], &query).await
    }

    /// The alerts.
    ///
    /// # Errors
    /// As every request.
    pub async fn alerts(&self, page: &Page) -> Result<Reply<List<Alert>>, Error> {
        self.get(&["api", "alerts"], &page.query()).await
    }

    /// Tells nobody of an alert for a while.
    ///
    /// # Errors
    /// As every request.
    pub async fn silence_alert(&self, id: &str, spec: &SilenceSpec) -> Result<Reply<Alert>, Error> {
        self.post(&["api", "alerts", id, "silence"], spec).await
    }

    /// Where the organisation is told of alerts.
    ///
    /// # Errors
    /// As every request.
    pub async fn alert_settings(&self) -> Result<Reply<AlertSettings>, Error> {
        self.get(&["api", "alerts", "settings"], &[]).await
    }

    /// Says where the organisation is told of alerts.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_alert_settings(&self, settings: &AlertSettings) -> Result<Reply<AlertSettings>, Error> {
        let body = json!(settings);
        let path = ["api", "alerts", "settings"];
        self.send(Request { body: Body::Json(&body), ..Request::new(Method::PUT, &path) }).await
    }
}
