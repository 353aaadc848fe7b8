//! `/api/tokens`: API tokens. The text of a token is in the answer to its making and nowhere else.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use univrs_control::Plan;
use univrs_model::caller::Caller;
use univrs_model::token::{NewToken, TokenSpec, TokenView};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query, write_options};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;
use crate::writing::tagged;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, revoke))
}

fn with_etag(view: TokenView) -> Response {
    tagged(StatusCode::OK, view.revision, view)
}

/// The tokens of the organisation, and those of the cluster for who may see them, by name.
#[utoipa::path(get, path = "/api/tokens", tag = "access", params(PageQuery), responses((status = OK, body = Page<TokenView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<TokenView>>, Problem> {
    let (views, revision) = app.control.list_tokens(&caller)?;
    Ok(Reply(query.cut(views, revision.0, |token| format!("{} {}", token.name, token.id))?))
}

/// One token, by name, id or unique prefix of its id.
#[utoipa::path(get, path = "/api/tokens/{token_id}", tag = "access", params(("token_id" = String, Path)),
    responses((status = OK, body = TokenView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(with_etag(app.control.get_token(&caller, &id)?))
}

/// Makes a token. Its text is in this answer and is never shown again.
#[utoipa::path(post, path = "/api/tokens", tag = "access", params(WriteQuery,
    ("Idempotency-Key" = Option<String>, Header, pattern = r"^[A-Za-z0-9_.:-]{1,200}$", description = "Makes the call safe to repeat; a repetition is told that the text cannot be shown again")),
    request_body = TokenSpec, responses((status = CREATED, body = NewToken),
    (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    body: Json<TokenSpec>,
) -> Result<Response, Problem> {
    let options = write_options(&headers, "POST /api/tokens", &body.raw)?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.create_token(&caller, &body.value, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let made = app.control.create_token(&caller, &body.value, &options).await?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Reply(made)).into_response())
}

/// Either outcome of ending a token.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum RevokedOrPlanned {
    /// The token as it is now.
    Revoked(Box<TokenView>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Ends a token at once; what it opened is closed.
#[utoipa::path(delete, path = "/api/tokens/{token_id}", tag = "access", params(("token_id" = String, Path), WriteQuery,
    ("If-Match" = Option<String>, Header, pattern = r#"^(\*|(W/)?"[0-9]{1,18}"|[0-9]{1,18})$"#, description = "The ETag that the object must still have")),
    responses((status = OK, body = inline(RevokedOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn revoke(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let options = write_options(&headers, "DELETE token", &[])?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.revoke_token(&caller, &id, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    Ok(with_etag(app.control.revoke_token(&caller, &id, &options).await?))
}
