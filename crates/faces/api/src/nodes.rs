//! `/api/nodes` and `/api/cluster`.

use std::collections::BTreeMap;

use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use serde::{Deserialize, Serialize};
use univrs_control::{ClusterView, Control, Plan};
use univrs_model::caller::Caller;
use univrs_model::instance::InstanceView;
use univrs_model::node::{NodePolicy, NodeView};
use univrs_model::operation::OperationView;
use univrs_model::span::Span;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query, write_options};
use crate::page::{Page, PageQuery};
use crate::peers;
use crate::problem::Problem;
use crate::workloads::WriteQuery;
use crate::writing::{Guarded, Repeatable, Writing, tagged};

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(cluster))
        .routes(routes!(list))
        .routes(routes!(get, patch, remove))
        .routes(routes!(instances))
        .routes(routes!(cordon))
        .routes(routes!(uncordon))
        .routes(routes!(drain))
}

/// What users may change of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodePatch {
    /// Labels to set, or to remove with null.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, Option<String>>,
}

/// The cluster as a whole.
#[utoipa::path(get, path = "/api/cluster", tag = "cluster", responses((status = OK, body = ClusterView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn cluster(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Reply<ClusterView>, Problem> {
    let view = app.control.cluster(&caller).await?;
    Ok(Reply(ClusterView { peers: peers::seen(&app).await, ..view }))
}

/// The nodes, by name.
#[utoipa::path(get, path = "/api/nodes", tag = "nodes", params(PageQuery), responses((status = OK, body = Page<NodeView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<NodeView>>, Problem> {
    let (views, revision) = app.control.list_nodes(&caller)?;
    let mut views = app.control.with_state_parts(views).await;
    views.retain(|view| query.wants(&view.node.labels));
    Ok(Reply(query.cut(views, revision.0, |view| format!("{} {}", view.node.name, view.node.id))?))
}

/// One node, by name, id or unique prefix of its id.
#[utoipa::path(get, path = "/api/nodes/{node}", tag = "nodes", params(("node" = String, Path)),
    responses((status = OK, body = NodeView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
) -> Result<Response, Problem> {
    let view = app.control.get_node(&caller, &node)?;
    let view = app.control.with_state_parts(vec![view.clone()]).await.pop().unwrap_or(view);
    Ok(tagged(StatusCode::OK, view.revision, view))
}

/// Either outcome of a write: the node, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum WrittenOrPlanned {
    /// The node as it is now.
    Written(Box<NodeView>),
    /// What the write would do.
    Planned(Box<Plan>),
}

async fn change(
    app: &App,
    caller: &Caller,
    node: &str,
    (writing, raw): (&Writing, &[u8]),
    change: impl Fn(NodePolicy) -> NodePolicy + Send,
) -> Result<Response, Problem> {
    let work = |control: Control| async move { control.change_node(caller, node, change).await };
    let answer = |view: NodeView| tagged(StatusCode::OK, view.revision, view);
    writing.carry_out(writing.under(app, raw)?, caller, work, answer).await
}

/// Changes a node's labels.
#[utoipa::path(patch, path = "/api/nodes/{node}", tag = "nodes", params(("node" = String, Path), WriteQuery, Guarded),
    request_body = NodePatch, responses((status = OK, body = inline(WrittenOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn patch(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
    writing: Writing,
    body: Json<NodePatch>,
) -> Result<Response, Problem> {
    let labels = &body.value.labels;
    change(&app, &caller, &node, (&writing, &body.raw), |mut policy| {
        for (key, value) in labels {
            match value {
                Some(value) => policy.labels.insert(key.clone(), value.clone()),
                None => policy.labels.remove(key),
            };
        }
        policy
    })
    .await
}

/// Forgets a node that is lost and holds nothing.
#[utoipa::path(delete, path = "/api/nodes/{node}", tag = "nodes", params(("node" = String, Path), WriteQuery, Guarded),
    responses((status = NO_CONTENT), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let (caller, node) = (&caller, &node);
    let work = |control: Control| async move { control.remove_node(caller, node).await };
    let answer = |()| StatusCode::NO_CONTENT.into_response();
    writing.carry_out(writing.under(&app, &[])?, caller, work, answer).await
}

/// The instances of the organisation on a node.
#[utoipa::path(get, path = "/api/nodes/{node}/instances", tag = "nodes", params(("node" = String, Path)),
    responses((status = OK, body = Page<InstanceView>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn instances(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
) -> Result<Reply<Page<InstanceView>>, Problem> {
    let items = app.control.node_instances(&caller, &node)?;
    Ok(Reply(Page { items, next_cursor: None, revision: app.control.mirror().state().revision.0 }))
}

/// Keeps new instances away from a node.
#[utoipa::path(post, path = "/api/nodes/{node}/cordon", tag = "nodes", params(("node" = String, Path), WriteQuery, Guarded),
    responses((status = OK, body = inline(WrittenOrPlanned)), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn cordon(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    change(&app, &caller, &node, (&writing, &[]), |policy| NodePolicy { cordoned: true, ..policy }).await
}

/// Lets new instances come to a node again.
#[utoipa::path(post, path = "/api/nodes/{node}/uncordon", tag = "nodes", params(("node" = String, Path), WriteQuery, Guarded),
    responses((status = OK, body = inline(WrittenOrPlanned)), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn uncordon(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let open = |policy| NodePolicy { cordoned: false, draining: false, ..policy };
    change(&app, &caller, &node, (&writing, &[]), open).await
}

/// How to drain a node.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DrainQuery {
    /// How long it may take, such as `10m`. When it is over and instances are left, new ones may come again.
    #[param(value_type = Option<String>, example = "10m", pattern = "^(([0-9]{1,10}|[12][0-9]{10})(\\.[0-9]{1,3})?ms|([0-9]{1,7}|[12][0-9]{7})(\\.[0-9]{1,3})?s|([0-9]{1,5}|[1-4][0-9]{5})(\\.[0-9]{1,3})?m|([0-9]{1,3}|[1-7][0-9]{3}|8[0-6][0-9]{2})(\\.[0-9]{1,3})?h|([0-9]{1,2}|[12][0-9]{2}|3[0-5][0-9])(\\.[0-9]{1,3})?d)$")]
    deadline: Option<Span>,
    /// Answer the plan of the write instead of doing it.
    #[serde(default)]
    dry_run: bool,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// What a long change is answered with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The operation that carries it out.
    pub(crate) operation: OperationView,
}

/// Begins to move a node's instances elsewhere and to keep new ones away, until it is uncordoned.
#[utoipa::path(post, path = "/api/nodes/{node}/drain", tag = "nodes", params(("node" = String, Path), DrainQuery, Repeatable),
    responses((status = ACCEPTED, body = Accepted), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn drain(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<String>,
    Query(query): Query<DrainQuery>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let deadline = query.deadline.map_or_else(String::new, |deadline| deadline.to_string());
    let options = write_options(&headers, &format!("POST {}", uri.path()), deadline.as_bytes())?;
    let control = app.control.under(options);
    if let Some(operation) = control.operation_begun_before(&caller).await? {
        return Ok((StatusCode::ACCEPTED, Reply(Accepted { operation })).into_response());
    }
    if query.dry_run {
        let planning = control.planning();
        let outcome = planning.drain_node(&caller, &node, query.deadline).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let operation = control.drain_node(&caller, &node, query.deadline).await?;
    Ok((StatusCode::ACCEPTED, Reply(Accepted { operation })).into_response())
}
