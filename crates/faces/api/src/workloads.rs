//! `/api/workloads`: the user's documents and what became of them.

use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use serde::{Deserialize, Serialize};
use univrs_control::{Plan, WriteOptions};
use univrs_model::caller::Caller;
use univrs_model::decode;
use univrs_model::instance::InstanceView;
use univrs_model::rollout::{RevisionView, WorkloadView};
use univrs_model::workload::WorkloadSpec;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query, write_options};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::writing::tagged;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, replace, merge, remove))
        .routes(routes!(instances))
        .routes(routes!(history))
        .routes(routes!(scale))
        .routes(routes!(rollback))
        .routes(routes!(explain))
}

/// How a write is to be done.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteQuery {
    /// Answer the plan of the write instead of doing it.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    pub(crate) org: Option<String>,
}

/// A new scale.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScaleBody {
    /// How many instances are wanted.
    #[schema(minimum = 0, maximum = 100_000)]
    pub(crate) replicas: u32,
}

/// Which version to go back to.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackBody {
    /// Its number; without one, the newest that ran as wanted before the present.
    #[serde(default)]
    pub(crate) to: Option<u64>,
}

fn with_etag(status: StatusCode, view: WorkloadView) -> Response {
    tagged(status, view.revision, view)
}

fn options(
    method: &Method,
    uri: &OriginalUri,
    headers: &HeaderMap,
    raw: &[u8],
) -> Result<WriteOptions, Problem> {
    write_options(headers, &format!("{method} {}", uri.path()), raw)
}

/// The workloads of the organisation, by name.
#[utoipa::path(get, path = "/api/workloads", tag = "workloads", params(PageQuery), responses(
    (status = OK, body = Page<WorkloadView>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<WorkloadView>>, Problem> {
    let (mut views, revision) = app.control.list_workloads(&caller)?;
    views.retain(|view| query.wants(&view.spec.labels));
    Ok(Reply(query.cut(views, revision.0, |view| view.name.to_string())?))
}

/// Makes a workload.
#[utoipa::path(post, path = "/api/workloads", tag = "workloads", params(WriteQuery,
    ("Idempotency-Key" = Option<String>, Header, pattern = r"^[A-Za-z0-9_.:-]{1,200}$", description = "Makes the call safe to repeat")),
    request_body = WorkloadSpec, responses((status = CREATED, body = WorkloadView),
    (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Json<WorkloadSpec>,
) -> Result<Response, Problem> {
    let options = options(&Method::POST, &uri, &headers, &body.raw)?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.create_workload(&caller, body.value, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let view = app.control.create_workload(&caller, body.value, &options).await?;
    let location = format!("/api/workloads/{}", view.name);
    let mut response = with_etag(StatusCode::CREATED, view);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// One workload, by name, id or unique prefix of its id.
#[utoipa::path(get, path = "/api/workloads/{workload}", tag = "workloads", params(("workload" = String, Path)),
    responses((status = OK, body = WorkloadView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
) -> Result<Response, Problem> {
    Ok(with_etag(StatusCode::OK, app.control.get_workload(&caller, &workload)?))
}

/// Replaces a workload's spec.
#[utoipa::path(put, path = "/api/workloads/{workload}", tag = "workloads", params(("workload" = String, Path), WriteQuery,
    ("If-Match" = Option<String>, Header, pattern = r#"^(\*|(W/)?"[0-9]{1,18}"|[0-9]{1,18})$"#, description = "The ETag that the object must still have")),
    request_body = WorkloadSpec, responses((status = OK, body = inline(WrittenOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn replace(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<WriteQuery>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Json<WorkloadSpec>,
) -> Result<Response, Problem> {
    let options = options(&Method::PUT, &uri, &headers, &body.raw)?;
    change(&app, &caller, &workload, query.dry_run, &options, move |_| Ok(body.value.clone())).await
}

/// Changes parts of a workload's spec (RFC 7396 merge patch: null removes, lists are replaced whole).
#[utoipa::path(patch, path = "/api/workloads/{workload}", tag = "workloads", params(("workload" = String, Path), WriteQuery,
    ("If-Match" = Option<String>, Header, pattern = r#"^(\*|(W/)?"[0-9]{1,18}"|[0-9]{1,18})$"#, description = "The ETag that the object must still have")),
    request_body(content = Object, description = "The fields of a workload spec that change"),
    responses((status = OK, body = inline(WrittenOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn merge(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<WriteQuery>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Json<serde_json::Map<String, serde_json::Value>>,
) -> Result<Response, Problem> {
    let options = options(&Method::PATCH, &uri, &headers, &body.raw)?;
    let patch = serde_json::Value::Object(body.value);
    change(&app, &caller, &workload, query.dry_run, &options, move |spec| {
        let mut document = serde_json::to_value(spec).unwrap_or_default();
        merge_into(&mut document, &patch);
        decode::from_value(document).map_err(univrs_control::Error::field)
    })
    .await
}

/// Either outcome of a write: the object, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum WrittenOrPlanned {
    /// The object as it is now.
    Written(Box<WorkloadView>),
    /// What the write would do.
    Planned(Box<Plan>),
}

async fn change(
    app: &App,
    caller: &Caller,
    workload: &str,
    dry_run: bool,
    options: &WriteOptions,
    change: impl Fn(&WorkloadSpec) -> Result<WorkloadSpec, univrs_control::Error> + Send + Sync,
) -> Result<Response, Problem> {
    if dry_run {
        let planning = app.control.planning();
        let outcome = planning.change_workload(caller, workload, options, change).await;
        return Ok(Reply(planning.planned(caller, outcome)?).into_response());
    }
    let view = app.control.change_workload(caller, workload, options, change).await?;
    Ok(with_etag(StatusCode::OK, view))
}

/// RFC 7396.
fn merge_into(target: &mut serde_json::Value, patch: &serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_into(target.entry(key.clone()).or_insert(serde_json::Value::Null), value);
        }
    }
}

/// Removes a workload: its instances end, then its record goes.
#[utoipa::path(delete, path = "/api/workloads/{workload}", tag = "workloads", params(("workload" = String, Path), WriteQuery,
    ("If-Match" = Option<String>, Header, pattern = r#"^(\*|(W/)?"[0-9]{1,18}"|[0-9]{1,18})$"#, description = "The ETag that the object must still have")),
    responses((status = ACCEPTED, body = WorkloadView), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<WriteQuery>,
    uri: OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let options = options(&Method::DELETE, &uri, &headers, &[])?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.delete_workload(&caller, &workload, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    Ok(with_etag(StatusCode::ACCEPTED, app.control.delete_workload(&caller, &workload, &options).await?))
}

/// Its instances, newest first.
#[utoipa::path(get, path = "/api/workloads/{workload}/instances", tag = "workloads",
    params(("workload" = String, Path), PageQuery), responses((status = OK, body = Page<InstanceView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn instances(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<InstanceView>>, Problem> {
    let limit = query.limit()?;
    let views = app.control.workload_instances(&caller, &workload)?;
    let skip = query.cursor.as_deref().map_or(0, |cursor| behind(&views, cursor));
    let more = views.len() > skip + limit;
    let items: Vec<InstanceView> = views.into_iter().skip(skip).take(limit).collect();
    let next_cursor = if more { items.last().map(cursor_of) } else { None };
    Ok(Reply(Page { items, next_cursor, revision: app.control.mirror().state().revision.0 }))
}

/// Where an instance is in the list, newest first: its time, and its id.
fn cursor_of(view: &InstanceView) -> String {
    format!("{:020} {}", view.created_at.as_microsecond().max(0), view.id)
}

/// How many instances the pages up to `cursor` held. Its instance may be gone by now; then all older ones follow.
fn behind(views: &[InstanceView], cursor: &str) -> usize {
    if let Some(at) = views.iter().position(|view| cursor_of(view) == cursor) {
        return at + 1;
    }
    let time = cursor.get(..20).unwrap_or(cursor);
    let is_older = |view: &InstanceView| cursor_of(view).get(..20).is_none_or(|own| own < time);
    views.iter().position(is_older).unwrap_or(views.len())
}

/// Its kept versions, newest first.
#[utoipa::path(get, path = "/api/workloads/{workload}/history", tag = "workloads", params(("workload" = String, Path)),
    responses((status = OK, body = Page<RevisionView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn history(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
) -> Result<Reply<Page<RevisionView>>, Problem> {
    let items = app.control.workload_history(&caller, &workload)?;
    Ok(Reply(Page { items, next_cursor: None, revision: app.control.mirror().state().revision.0 }))
}

/// Changes how many instances are wanted.
#[utoipa::path(post, path = "/api/workloads/{workload}/scale", tag = "workloads", params(("workload" = String, Path), WriteQuery),
    request_body = ScaleBody, responses((status = OK, body = inline(WrittenOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn scale(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<WriteQuery>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Json<ScaleBody>,
) -> Result<Response, Problem> {
    let options = options(&Method::POST, &uri, &headers, &body.raw)?;
    let replicas = body.value.replicas;
    change(&app, &caller, &workload, query.dry_run, &options, move |spec| {
        Ok(WorkloadSpec { replicas, ..spec.clone() })
    })
    .await
}

/// Goes back to a kept version.
#[utoipa::path(post, path = "/api/workloads/{workload}/rollback", tag = "workloads", params(("workload" = String, Path), WriteQuery),
    request_body = RollbackBody, responses((status = OK, body = inline(WrittenOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn rollback(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<WriteQuery>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Json<RollbackBody>,
) -> Result<Response, Problem> {
    let options = options(&Method::POST, &uri, &headers, &body.raw)?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.roll_back_workload(&caller, &workload, body.value.to, &options).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let view = app.control.roll_back_workload(&caller, &workload, body.value.to, &options).await?;
    Ok(with_etag(StatusCode::OK, view))
}

/// Why its instances are where they are, or why they are nowhere.
#[utoipa::path(get, path = "/api/workloads/{workload}/explain", tag = "workloads", params(("workload" = String, Path)),
    responses((status = OK, body = univrs_control::Explanation),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn explain(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
) -> Result<Reply<univrs_control::Explanation>, Problem> {
    Ok(Reply(app.control.explain_workload(&caller, &workload)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge_into;

    #[test]
    fn merge_patches_as_rfc_7396_says() {
        for (target, patch, merged) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":"foo"}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut result = target;
            merge_into(&mut result, &patch);
            assert_eq!(result, merged);
        }
    }
}
