//! How a write is to be done, as its query and headers say, and how its object is answered.

use std::future::Future;

use axum::Json as Reply;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use univrs_control::{Control, Error};
use univrs_model::caller::Caller;
use utoipa::IntoParams;

use crate::App;
use crate::body::{Query, write_options};
use crate::problem::Problem;
use crate::workloads::WriteQuery;

/// The header that makes a call safe to repeat, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes a header in the OpenAPI document")]
pub(crate) struct Repeatable {
    /// Makes the call safe to repeat: what the first one began is answered again.
    #[param(rename = "Idempotency-Key", pattern = r"^[A-Za-z0-9_.:-]{1,200}$")]
    key: Option<String>,
}

/// The header that guards a write, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes a header in the OpenAPI document")]
pub(crate) struct Guarded {
    /// The ETag that the object must still have.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[0-9]{1,18}"|[0-9]{1,18})$"#)]
    etag: Option<String>,
}

/// How a write is to be done.
pub(crate) struct Writing {
    dry_run: bool,
    headers: HeaderMap,
    /// Method and path: the same key may not stand for another request.
    request: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Writing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(WriteQuery { dry_run, .. }) = Query::from_request_parts(parts, state).await?;
        let path = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.path());
        let request = format!("{} {path}", parts.method);
        Ok(Self { dry_run, headers: parts.headers.clone(), request })
    }
}

impl Writing {
    /// The control plane held to what the headers say of a request with this body.
    ///
    /// # Errors
    /// When a header is malformed.
    pub(crate) fn under(&self, app: &App, raw: &[u8]) -> Result<Control, Problem> {
        Ok(app.control.under(write_options(&self.headers, &self.request, raw)?))
    }

    /// Does the write with `control`, or only plans it if that is what is asked for.
    ///
    /// # Errors
    /// As the write.
    pub(crate) async fn carry_out<T, F>(
        &self,
        control: Control,
        caller: &Caller,
        work: impl FnOnce(Control) -> F + Send,
        answer: impl FnOnce(T) -> Response + Send,
    ) -> Result<Response, Problem>
    where
        F: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        if self.dry_run {
            let planning = control.planning();
            let outcome = work(planning.clone()).await;
            return Ok(Reply(planning.planned(caller, outcome)?).into_response());
        }
        Ok(answer(work(control).await?))
    }
}

/// An object with its revision as `ETag`.
pub(crate) fn tagged(status: StatusCode, revision: u64, view: impl Serialize) -> Response {
    let mut response = (status, Reply(view)).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
