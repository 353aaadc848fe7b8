//! `/api/operations`: long changes, how far they are, and stopping them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use univrs_control::Plan;
use univrs_model::caller::Caller;
use univrs_model::operation::OperationView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(cancel))
}

/// Long changes of the organisation, newest first.
#[utoipa::path(get, path = "/api/operations", tag = "operations", params(PageQuery),
    responses((status = OK, body = Page<OperationView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<OperationView>>, Problem> {
    let (views, revision) = app.control.list_operations(&caller)?;
    // The newest come first, and so does the lowest name.
    let place = |view: &OperationView| {
        let age = i64::MAX.saturating_sub(view.operation.created_at.as_microsecond());
        format!("{age:020} {}", view.operation.id)
    };
    Ok(Reply(query.cut(views, revision.0, place)?))
}

/// One long change, by id or unique prefix of it.
#[utoipa::path(get, path = "/api/operations/{operation}", tag = "operations",
    params(("operation" = String, Path)), responses((status = OK, body = OperationView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(operation): Path<String>,
) -> Result<Reply<OperationView>, Problem> {
    Ok(Reply(app.control.get_operation(&caller, &operation)?))
}

/// Asks a long change to stop and take back what it did.
#[utoipa::path(post, path = "/api/operations/{operation}/cancel", tag = "operations",
    params(("operation" = String, Path), WriteQuery), responses((status = ACCEPTED, body = OperationView),
    (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn cancel(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(operation): Path<String>,
    Query(query): Query<WriteQuery>,
) -> Result<Response, Problem> {
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.cancel_operation(&caller, &operation).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let view = app.control.cancel_operation(&caller, &operation).await?;
    Ok((StatusCode::ACCEPTED, Reply(view)).into_response())
}
