//! `/healthz`, `/readyz` and `/metrics`: plain answers for machines.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_ports::store::{Consistency, Page, Prefix};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// Whether the process serves.
#[utoipa::path(get, path = "/healthz", tag = "probes", responses((status = OK, body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the process can do its work: the node has made itself known, and the store answers a linearizable read.
#[utoipa::path(get, path = "/readyz", tag = "probes", responses((status = OK, body = String, content_type = "text/plain"),
    (status = SERVICE_UNAVAILABLE, body = String, content_type = "text/plain")))]
async fn readyz(State(app): State<App>) -> (StatusCode, String) {
    let prefix = Prefix::new(univrs_model::keys::CLUSTER);
    let read = app.control.store().range(&prefix, Page::first(1), Consistency::Linearizable);
    match tokio::time::timeout(std::time::Duration::from_secs(2), read).await {
        Ok(Ok(_)) if !app.control.is_registered() => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: this node has not made itself known yet\n".to_owned(),
        ),
        Ok(Ok(_)) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the store does not answer\n".to_owned()),
    }
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "probes", responses((status = OK, body = String, content_type = "text/plain")))]
async fn metrics(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Problem> {
    app.control.allow(&caller, Action::MetricsRead, "metrics")?;
    let text = app.metrics.render(&app.control.mirror().state());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
