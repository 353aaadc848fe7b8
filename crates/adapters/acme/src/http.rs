//! Requests to the authority, over the client that the rest of the program uses.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

/// How long the authority wants to be left alone, as far as it refused something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits(Arc<Mutex<Option<Duration>>>);

impl Waits {
    pub(crate) fn longest(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, wait: Duration) {
        let mut longest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = Some(longest.map_or(wait, |known| known.max(wait)));
    }
}

pub(crate) struct Http {
    pub(crate) client: reqwest::Client,
    pub(crate) waits: Waits,
}

type Sent = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Http {
    fn request(&self, request: Request<BodyWrapper<bytes::Bytes>>) -> Sent {
        let (client, waits) = (self.client.clone(), self.waits.clone());
        Box::pin(async move {
            let other = |error: reqwest::Error| Error::Other(Box::new(error));
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let sent = client
                .request(parts.method, parts.uri.to_string())
                .headers(parts.headers)
                .body(body.to_bytes())
                .send()
                .await
                .map_err(other)?;
            let mut response = http::Response::new(());
            *response.status_mut() = sent.status();
            *response.headers_mut() = sent.headers().clone();
            if sent.status().is_client_error() || sent.status().is_server_error() {
                let seconds =
                    sent.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                if let Some(seconds) = seconds {
                    waits.heard(Duration::from_secs(seconds));
                }
            }
            let (parts, ()) = response.into_parts();
            Ok(BytesResponse { parts, body: Box::new(sent.bytes().await.map_err(other)?) })
        })
    }
}
