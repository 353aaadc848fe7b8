//! `/api/resources`, `/api/templates`, `/api/providers`: one-click resources. Every change is answered with the
//! operation that carries it out.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use univrs_control::{Begun, Control, Error, Plan, RestoreSpec, ScaleSpec, TemplateView};
use univrs_model::caller::Caller;
use univrs_model::ids::RequestId;
use univrs_model::resource::{Backup, ResourceSpec, ResourceView};
use univrs_ports::provider::ProviderView;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query, write_options};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;
use crate::writing::{Guarded, Repeatable, Writing, tagged};

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(templates))
        .routes(routes!(template))
        .routes(routes!(providers))
        .routes(routes!(provider))
        .routes(routes!(list, create))
        .routes(routes!(get, remove))
        .routes(routes!(credentials))
        .routes(routes!(scale))
        .routes(routes!(rotate))
        .routes(routes!(backups, back_up))
        .routes(routes!(restore))
        .routes(routes!(promote))
        .routes(routes!(upgrade))
        .routes(routes!(logs))
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LinesQuery {
    /// The last so many of each of its parts.
    #[param(minimum = 1, maximum = 1000)]
    tail: Option<usize>,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// What a resource wrote.
#[derive(Serialize, ToSchema)]
pub(crate) struct Lines {
    /// The lines, oldest first.
    items: Vec<String>,
}

fn accepted(begun: Begun) -> Response {
    (StatusCode::ACCEPTED, Reply(begun)).into_response()
}

/// Begins a change of a resource, unless the same request has begun it already.
async fn begin<F: Future<Output = Result<Begun, Error>> + Send>(
    app: &App,
    caller: &Caller,
    (writing, raw): (&Writing, &[u8]),
    work: impl FnOnce(Control) -> F + Send,
) -> Result<Response, Problem> {
    let control = writing.under(app, raw)?;
    if let Some(begun) = control.begun_before(caller).await? {
        return Ok(accepted(begun));
    }
    writing.carry_out(control, caller, work, accepted).await
}

/// The templates that resources are made from, by id.
#[utoipa::path(get, path = "/api/templates", tag = "resources", params(PageQuery), responses((status = OK, body = Page<TemplateView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn templates(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<TemplateView>>, Problem> {
    let views = app.control.list_templates(&caller)?;
    let revision = app.control.mirror().state().revision.0;
    Ok(Reply(query.cut(views, revision, |view| view.template.id.clone())?))
}

/// One template, with the JSON Schema of its parameters.
#[utoipa::path(get, path = "/api/templates/{template}", tag = "resources", params(("template" = String, Path)),
    responses((status = OK, body = TemplateView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn template(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(template): Path<String>,
) -> Result<Reply<TemplateView>, Problem> {
    Ok(Reply(app.control.get_template(&caller, &template)?))
}

/// The providers that resources are deployed through, and what they say of themselves now.
#[utoipa::path(get, path = "/api/providers", tag = "resources", responses((status = OK, body = Page<ProviderView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn providers(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Reply<Page<ProviderView>>, Problem> {
    let items = app.control.list_providers(&caller).await?;
    Ok(Reply(Page { items, next_cursor: None, revision: app.control.mirror().state().revision.0 }))
}

/// One provider, with the room that it has.
#[utoipa::path(get, path = "/api/providers/{provider}", tag = "resources", params(("provider" = String, Path)),
    responses((status = OK, body = ProviderView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn provider(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(provider): Path<String>,
) -> Result<Reply<ProviderView>, Problem> {
    Ok(Reply(app.control.get_provider(&caller, &provider).await?))
}

/// The resources, by name.
#[utoipa::path(get, path = "/api/resources", tag = "resources", params(PageQuery), responses((status = OK, body = Page<ResourceView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<ResourceView>>, Problem> {
    let (views, revision) = app.control.list_resources(&caller)?;
    Ok(Reply(query.cut(views, revision.0, |view| view.name.to_string())?))
}

/// Makes a resource from a template. What is refused is refused before anything is made.
#[utoipa::path(post, path = "/api/resources", tag = "resources", params(WriteQuery,
    ("Idempotency-Key" = Option<String>, Header, pattern = r"^[A-Za-z0-9_.:-]{1,200}$", description = "Makes the call safe to repeat")),
    request_body = ResourceSpec, responses((status = ACCEPTED, body = Begun),
    (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    body: Json<ResourceSpec>,
) -> Result<Response, Problem> {
    let options = write_options(&headers, "POST /api/resources", &body.raw)?;
    let spec = body.value;
    // The body may say the organisation too.
    let caller = match spec.org.clone().filter(|org| *org != caller.org) {
        Some(org) => {
            let request = caller.request.clone().unwrap_or_else(|| RequestId::from_bits(0));
            app.control.enter(caller.principal, Some(org), request)?
        }
        None => caller,
    };
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.create_resource(&caller, &spec, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    Ok(accepted(app.control.create_resource(&caller, &spec, &options).await?))
}

/// One resource, by name, id or unique prefix of its id.
#[utoipa::path(get, path = "/api/resources/{resource}", tag = "resources", params(("resource" = String, Path)),
    responses((status = OK, body = ResourceView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
) -> Result<Response, Problem> {
    let view = app.control.get_resource(&caller, &resource)?;
    Ok(tagged(StatusCode::OK, view.revision, view))
}

/// Removes a resource with all it holds; what is under way with it is stopped first.
#[utoipa::path(delete, path = "/api/resources/{resource}", tag = "resources", params(("resource" = String, Path), WriteQuery, Guarded),
    responses((status = ACCEPTED, body = Begun), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let (caller, resource) = (&caller, &resource);
    let work = |control: Control| async move { control.delete_resource(caller, resource).await };
    begin(&app, caller, (&writing, &[]), work).await
}

/// What is needed to reach a resource, in its template's words. Each call is recorded in the audit log.
#[utoipa::path(get, path = "/api/resources/{resource}/credentials", tag = "resources", params(("resource" = String, Path)),
    responses((status = OK, body = Object, content_type = "application/json"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn credentials(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
) -> Result<Response, Problem> {
    let credentials = app.control.resource_credentials(&caller, &resource).await?;
    let mut response = Reply(Value::Object(credentials.expose().clone())).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Gives a resource another size.
#[utoipa::path(post, path = "/api/resources/{resource}/scale", tag = "resources", params(("resource" = String, Path), WriteQuery, Repeatable, Guarded),
    request_body = ScaleSpec, responses((status = ACCEPTED, body = Begun), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn scale(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    writing: Writing,
    body: Json<ScaleSpec>,
) -> Result<Response, Problem> {
    let (caller, resource, spec) = (&caller, &resource, &body.value);
    let work = |control: Control| async move { control.scale_resource(caller, resource, spec).await };
    begin(&app, caller, (&writing, &body.raw), work).await
}

/// Replaces a resource's credentials; old and new are good until the old are taken back.
#[utoipa::path(post, path = "/api/resources/{resource}/rotate", tag = "resources", params(("resource" = String, Path), WriteQuery, Repeatable, Guarded),
    responses((status = ACCEPTED, body = Begun), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn rotate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let (caller, resource) = (&caller, &resource);
    let work = |control: Control| async move { control.rotate_resource(caller, resource).await };
    begin(&app, caller, (&writing, &[]), work).await
}

/// The backups of a resource, oldest first.
#[utoipa::path(get, path = "/api/resources/{resource}/backups", tag = "resources", params(("resource" = String, Path)),
    responses((status = OK, body = Page<Backup>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn backups(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
) -> Result<Reply<Page<Backup>>, Problem> {
    let (items, revision) = app.control.list_backups(&caller, &resource)?;
    Ok(Reply(Page { items, next_cursor: None, revision: revision.0 }))
}

/// Backs a resource up.
#[utoipa::path(post, path = "/api/resources/{resource}/backups", tag = "resources", params(("resource" = String, Path), WriteQuery, Repeatable, Guarded),
    responses((status = ACCEPTED, body = Begun), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn back_up(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let (caller, resource) = (&caller, &resource);
    let work = |control: Control| async move { control.back_up_resource(caller, resource).await };
    begin(&app, caller, (&writing, &[]), work).await
}

/// Puts a backup into a resource, in place of what it holds.
#[utoipa::path(post, path = "/api/resources/{resource}/restore", tag = "resources", params(("resource" = String, Path), WriteQuery, Repeatable, Guarded),
    request_body = RestoreSpec, responses((status = ACCEPTED, body = Begun), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn restore(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    writing: Writing,
    body: Json<RestoreSpec>,
) -> Result<Response, Problem> {
    let (caller, resource, spec) = (&caller, &resource, &body.value);
    let work = |control: Control| async move { control.restore_resource(caller, resource, spec).await };
    begin(&app, caller, (&writing, &body.raw), work).await
}

/// Brings a resource to what its template and images are now, after a backup where it can have one.
#[utoipa::path(post, path = "/api/resources/{resource}/upgrade", tag = "resources", params(("resource" = String, Path), WriteQuery, Repeatable, Guarded),
    responses((status = ACCEPTED, body = Begun), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn upgrade(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let (caller, resource) = (&caller, &resource);
    let work = |control: Control| async move { control.upgrade_resource(caller, resource).await };
    begin(&app, caller, (&writing, &[]), work).await
}

/// Lets a resource's replica take the place of what it follows.
#[utoipa::path(post, path = "/api/resources/{resource}/promote", tag = "resources", params(("resource" = String, Path), WriteQuery, Repeatable, Guarded),
    responses((status = ACCEPTED, body = Begun), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn promote(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let (caller, resource) = (&caller, &resource);
    let work = |control: Control| async move { control.promote_resource(caller, resource).await };
    begin(&app, caller, (&writing, &[]), work).await
}

/// The last lines that a resource wrote.
#[utoipa::path(get, path = "/api/resources/{resource}/logs", tag = "resources", params(("resource" = String, Path), LinesQuery),
    responses((status = OK, body = Lines), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn logs(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(resource): Path<String>,
    Query(query): Query<LinesQuery>,
) -> Result<Reply<Lines>, Problem> {
    let tail = crate::page::checked_limit(query.tail)?;
    Ok(Reply(Lines { items: app.control.resource_logs(&caller, &resource, tail).await? }))
}
