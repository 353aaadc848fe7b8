//! `/api/cluster/backup`: a copy of the whole state. What reads it back is `univrs backup inspect` and `restore`, on a
//! machine, not here: a running cluster cannot be replaced by an older one.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use univrs_model::caller::Caller;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create))
}

/// A copy of the whole state, with secrets sealed as they are kept. One that breaks off is no backup.
#[utoipa::path(get, path = "/api/cluster/backup", tag = "cluster",
    responses((status = OK, content_type = "application/octet-stream", body = inline(Vec<u8>)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    let backup = app.control.backup(&caller).await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(backup)).into_response())
}
