//! `/api/problems`: what is wrong, why, and what mends it.

use axum::extract::State;
use axum::{Extension, Json as Reply};
use serde::Deserialize;
use univrs_diagnose::Problem as Finding;
use univrs_model::caller::Caller;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::page::Page;
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which problems.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProblemsQuery {
    /// Only those of this workload: its name, id or a unique prefix of its id.
    workload: Option<String>,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// What is wrong with the cluster and the organisation's workloads, the worst first.
#[utoipa::path(get, path = "/api/problems", tag = "cluster", params(ProblemsQuery), responses((status = OK, body = Page<Finding>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ProblemsQuery>,
) -> Result<Reply<Page<Finding>>, Problem> {
    let (items, revision) = app.control.problems(&caller, query.workload.as_deref())?;
    Ok(Reply(Page { items, next_cursor: None, revision }))
}
