//! `/api/join-tokens`: what machines join the cluster with. The text of a token is in the answer to its making and
//! nowhere else.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use univrs_control::Plan;
use univrs_model::caller::Caller;
use univrs_model::join::{JoinTokenSpec, JoinTokenView, NewJoinToken};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query, write_options};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// The join tokens, the newest first; those that ended stay for a day.
#[utoipa::path(get, path = "/api/join-tokens", tag = "access", params(PageQuery), responses((status = OK, body = Page<JoinTokenView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<JoinTokenView>>, Problem> {
    let (views, revision) = app.control.list_join_tokens(&caller)?;
    Ok(Reply(query.cut(views, revision.0, |token| token.id.to_string())?))
}

/// Makes a join token. Its text is in this answer and is never shown again.
#[utoipa::path(post, path = "/api/join-tokens", tag = "access", params(WriteQuery,
    ("Idempotency-Key" = Option<String>, Header, pattern = r"^[A-Za-z0-9_.:-]{1,200}$", description = "Makes the call safe to repeat; a repetition is told that the text cannot be shown again")),
    request_body = JoinTokenSpec, responses((status = CREATED, body = NewJoinToken),
    (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    body: Json<JoinTokenSpec>,
) -> Result<Response, Problem> {
    let options = write_options(&headers, "POST /api/join-tokens", &body.raw)?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.create_join_token(&caller, &body.value, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let made = app.control.create_join_token(&caller, &body.value, &options).await?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Reply(made)).into_response())
}

/// Ends a join token. Machines that joined with it stay.
#[utoipa::path(delete, path = "/api/join-tokens/{join_token}", tag = "access", params(("join_token" = String, Path), WriteQuery,
    ("If-Match" = Option<String>, Header, pattern = r#"^(\*|(W/)?"[0-9]{1,18}"|[0-9]{1,18})$"#, description = "The ETag that the object must still have")),
    responses((status = NO_CONTENT), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn revoke(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let options = write_options(&headers, "DELETE join token", &[])?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.revoke_join_token(&caller, &id, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    app.control.revoke_join_token(&caller, &id, &options).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
