//! `/api/orgs`: organisations.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use univrs_control::{Control, Plan};
use univrs_model::caller::Caller;
use univrs_model::name::Name;
use univrs_model::org::{OrgChange, OrgSpec, OrgView};
use univrs_model::resource::Quota;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query, write_options};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;
use crate::writing::{Guarded, Writing, tagged};

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change))
        .routes(routes!(quota, set_quota))
}

/// The organisations that the caller may see, by name.
#[utoipa::path(get, path = "/api/orgs", tag = "access", params(PageQuery), responses((status = OK, body = Page<OrgView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<OrgView>>, Problem> {
    let (views, revision) = app.control.list_orgs(&caller)?;
    Ok(Reply(query.cut(views, revision.0, |org| org.name.to_string())?))
}

/// One organisation.
#[utoipa::path(get, path = "/api/orgs/{org}", tag = "access", params(("org" = String, Path, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")),
    responses((status = OK, body = OrgView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
) -> Result<Response, Problem> {
    let view = app.control.get_org(&caller, &org)?;
    Ok(tagged(StatusCode::OK, view.revision, view))
}

/// Gives an organisation another tier. What is there already stays.
#[utoipa::path(put, path = "/api/orgs/{org}", tag = "access", params(("org" = String, Path, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), WriteQuery, Guarded),
    request_body = OrgChange, responses((status = OK, body = OrgView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
    writing: Writing,
    body: Json<OrgChange>,
) -> Result<Response, Problem> {
    let (caller, org, change) = (&caller, &org, &body.value);
    let work = |control: Control| async move { control.change_org(caller, org, change).await };
    let answer = |view: OrgView| tagged(StatusCode::OK, view.revision, view);
    writing.carry_out(writing.under(&app, &body.raw)?, caller, work, answer).await
}

fn named(org: &str) -> Result<Name, Problem> {
    org.parse().map_err(|error: univrs_model::name::InvalidName| {
        univrs_model::field::FieldError::new("org", error.to_string()).into()
    })
}

/// How much the resources of an organisation may use together; what is absent is not bounded.
#[utoipa::path(get, path = "/api/orgs/{org}/quota", tag = "access", params(("org" = String, Path, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")),
    responses((status = OK, body = Quota), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn quota(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
) -> Result<Reply<Quota>, Problem> {
    Ok(Reply(app.control.resource_quota(&caller, &named(&org)?)?))
}

/// Says how much the resources of an organisation may use together.
#[utoipa::path(put, path = "/api/orgs/{org}/quota", tag = "access", params(("org" = String, Path, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), WriteQuery),
    request_body = Quota, responses((status = OK, body = Quota),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn set_quota(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
    Query(query): Query<WriteQuery>,
    body: Json<Quota>,
) -> Result<Response, Problem> {
    let org = named(&org)?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.set_resource_quota(&caller, &org, body.value).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    Ok(Reply(app.control.set_resource_quota(&caller, &org, body.value).await?).into_response())
}

/// Makes an organisation.
#[utoipa::path(post, path = "/api/orgs", tag = "access", params(WriteQuery,
    ("Idempotency-Key" = Option<String>, Header, pattern = r"^[A-Za-z0-9_.:-]{1,200}$", description = "Makes the call safe to repeat")),
    request_body = OrgSpec, responses((status = CREATED, body = OrgView),
    (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    body: Json<OrgSpec>,
) -> Result<Response, Problem> {
    let options = write_options(&headers, "POST /api/orgs", &body.raw)?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.create_org(&caller, &body.value, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let view = app.control.create_org(&caller, &body.value, &options).await?;
    Ok((StatusCode::CREATED, Reply(view)).into_response())
}
