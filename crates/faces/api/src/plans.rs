//! `/api/plans`: writes that were planned with `dry_run`, the decision about those that need one, and applying them.

use axum::extract::{Path, State};
use axum::{Extension, Json as Reply};
use serde::{Deserialize, Serialize};
use univrs_control::Plan;
use univrs_model::caller::Caller;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(apply))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

/// What is asked of a plan; what would come of carrying one out, it says itself, so `dry_run` is refused.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrgQuery {
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// The plan as it was seen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyBody {
    /// Its digest.
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: String,
    /// Whether the caller's client asked the person in front of it, who agreed. It counts only for a token that was
    /// made with `approval: elicitation`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    agreed: bool,
}

/// Plans of the organisation that were made of late, newest first.
#[utoipa::path(get, path = "/api/plans", tag = "plans", params(PageQuery), responses((status = OK, body = Page<Plan>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<Plan>>, Problem> {
    let (plans, revision) = app.control.list_plans(&caller).await?;
    // The newest come first, and so does the lowest name.
    let place = |plan: &Plan| {
        let age = i64::MAX.saturating_sub(plan.expires_at.as_microsecond());
        format!("{age:020} {}", plan.plan_id)
    };
    Ok(Reply(query.cut(plans, revision, place)?))
}

/// One plan, by id or unique prefix of it.
#[utoipa::path(get, path = "/api/plans/{plan}", tag = "plans", params(("plan" = String, Path)),
    responses((status = OK, body = Plan), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(plan): Path<String>,
) -> Result<Reply<Plan>, Problem> {
    Ok(Reply(app.control.get_plan(&caller, &plan).await?))
}

/// Carries out a plan: exactly what was shown, once, if nothing that it writes has changed since.
#[utoipa::path(post, path = "/api/plans/{plan}/apply", tag = "plans", params(("plan" = String, Path), OrgQuery),
    request_body = ApplyBody, responses((status = OK, body = Plan),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn apply(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(plan): Path<String>,
    Query(_): Query<OrgQuery>,
    body: Json<ApplyBody>,
) -> Result<Reply<Plan>, Problem> {
    let ApplyBody { digest, agreed } = &body.value;
    let applied = if *agreed {
        app.control.apply_agreed_plan(&caller, &plan, digest).await?
    } else {
        app.control.apply_plan(&caller, &plan, digest).await?
    };
    Ok(Reply(applied))
}

/// Lets a plan that waits for it be applied by whoever made it. A token cannot approve what it planned itself.
#[utoipa::path(post, path = "/api/plans/{plan}/approve", tag = "plans", params(("plan" = String, Path), OrgQuery),
    responses((status = OK, body = Plan), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn approve(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(plan): Path<String>,
    Query(_): Query<OrgQuery>,
) -> Result<Reply<Plan>, Problem> {
    Ok(Reply(app.control.approve_plan(&caller, &plan).await?))
}

/// Keeps a plan from being applied.
#[utoipa::path(post, path = "/api/plans/{plan}/reject", tag = "plans", params(("plan" = String, Path), OrgQuery),
    responses((status = OK, body = Plan), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn reject(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(plan): Path<String>,
    Query(_): Query<OrgQuery>,
) -> Result<Reply<Plan>, Problem> {
    Ok(Reply(app.control.reject_plan(&caller, &plan).await?))
}
