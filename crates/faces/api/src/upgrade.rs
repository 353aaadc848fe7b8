//! `/api/cluster/programs` and `/api/cluster/upgrade`: giving every node another program.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::io::StreamReader;
use univrs_control::{Plan, UpgradeSpec};
use univrs_model::caller::Caller;
use univrs_model::span::Span;
use univrs_ports::programs::Program;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query};
use crate::nodes::Accepted;
use crate::problem::Problem;
use crate::workloads::WriteQuery;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(take_in).layer(axum::extract::DefaultBodyLimit::disable()))
        .routes(routes!(upgrade))
}

/// Which program, and how.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpgradeBody {
    /// Digest of a program that was sent to this node.
    #[schema(pattern = "^sha256:[a-f0-9]{64}$")]
    digest: String,
    /// How long each node has to show that it works with it; two minutes when absent.
    #[serde(default)]
    deadline: Option<Span>,
    /// Leaves the feature level of the state as it is, so that there is a way back to the program of before.
    #[serde(default)]
    keep_level: bool,
}

/// Either outcome of taking in: the program, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum ProgramOrPlan {
    /// The program as it is here now.
    Written(Box<Program>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Takes in a program of nodes: a `univrs` built for their machines.
#[utoipa::path(post, path = "/api/cluster/programs", tag = "cluster", params(WriteQuery),
    request_body(content = inline(Vec<u8>), content_type = "application/octet-stream"),
    responses((status = OK, body = inline(ProgramOrPlan)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn take_in(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    let file = Box::new(StreamReader::new(bytes));
    if query.dry_run {
        return Ok(Reply(app.control.plan_program(&caller, file).await?).into_response());
    }
    Ok(Reply(app.control.take_in_program(&caller, file).await?).into_response())
}

/// Begins to give every node another program, one failure domain at a time. A node that does not work with it goes back
/// by itself, and then all do.
#[utoipa::path(post, path = "/api/cluster/upgrade", tag = "cluster", params(WriteQuery), request_body = UpgradeBody,
    responses((status = ACCEPTED, body = Accepted), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn upgrade(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    body: Json<UpgradeBody>,
) -> Result<Response, Problem> {
    let UpgradeBody { digest, deadline, keep_level } = body.value;
    let seconds = deadline.map(|span| span.as_millis().div_ceil(1000));
    let spec = UpgradeSpec { digest, seconds, keep_level };
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.upgrade_cluster(&caller, spec).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let operation = app.control.upgrade_cluster(&caller, spec).await?;
    Ok((StatusCode::ACCEPTED, Reply(Accepted { operation })).into_response())
}
