//! `/api/orgs`: organisations.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use univrs_control::{Control, Plan};
use univrs_model::caller::Caller;
use univrs_model::org::{OrgChange, OrgSpec, OrgView};
use univrs_model::resource::Quota;
use utoipa::ToSchema;
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

/// One organisation, by name or id.
#[utoipa::path(get, path = "/api/orgs/{org}", tag = "access", params(("org" = String, Path)),
    responses((status = OK, body = OrgView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
) -> Result<Response, Problem> {
    let view = app.control.get_org(&caller, &org)?;
    Ok(tagged(StatusCode::OK, view.revision, view))
}

/// Either outcome of a write: the organisation, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum ChangedOrPlanned {
    /// The organisation as it is now.
    Changed(Box<OrgView>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Gives an organisation another tier. What is there already stays.
#[utoipa::path(put, path = "/api/orgs/{org}", tag = "access", params(("org" = String, Path), WriteQuery, Guarded),
    request_body = OrgChange, responses((status = OK, body = inline(ChangedOrPlanned)),
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

/// How much the resources of an organisation may use together; what is absent is not bounded.
#[utoipa::path(get, path = "/api/orgs/{org}/quota", tag = "access", params(("org" = String, Path)),
    responses((status = OK, body = Quota), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn quota(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
) -> Result<Response, Problem> {
    let (quota, revision) = app.control.resource_quota(&caller, &org)?;
    Ok(tagged(StatusCode::OK, revision, quota))
}

/// Either outcome of a write: the bounds, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum BoundOrPlanned {
    /// The bounds as they are now.
    Bound(Box<Quota>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Says how much the resources of an organisation may use together.
#[utoipa::path(put, path = "/api/orgs/{org}/quota", tag = "access", params(("org" = String, Path), WriteQuery, Guarded),
    request_body = Quota, responses((status = OK, body = inline(BoundOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn set_quota(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
    writing: Writing,
    body: Json<Quota>,
) -> Result<Response, Problem> {
    let (caller, org, quota) = (&caller, &org, body.value);
    let work = |control: Control| async move { control.set_resource_quota(caller, org, quota).await };
    let answer = |(quota, revision): (Quota, u64)| tagged(StatusCode::OK, revision, quota);
    writing.carry_out(writing.under(&app, &body.raw)?, caller, work, answer).await
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
    Ok(tagged(StatusCode::CREATED, view.revision, view))
}
