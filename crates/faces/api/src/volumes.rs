//! `/api/volumes`: what workloads keep on nodes.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use univrs_control::{Control, Plan};
use univrs_model::caller::Caller;
use univrs_model::volume::VolumeView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;
use crate::writing::{Guarded, Writing};

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(remove))
}

/// The volumes, by workload and name.
#[utoipa::path(get, path = "/api/volumes", tag = "volumes", params(PageQuery), responses((status = OK, body = Page<VolumeView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<VolumeView>>, Problem> {
    let (views, revision) = app.control.list_volumes(&caller)?;
    let name = |view: &VolumeView| format!("{} {} {} {}", view.workload, view.name, view.place, view.id);
    Ok(Reply(query.cut(views, revision.0, name)?))
}

/// Removes a volume with all it holds, by id, unique prefix of its id, or a name that only one has; refused while an
/// instance uses it. Its node removes the data as soon as it can be heard.
#[utoipa::path(delete, path = "/api/volumes/{volume}", tag = "volumes", params(("volume" = String, Path), WriteQuery, Guarded),
    responses((status = ACCEPTED, body = VolumeView), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(volume): Path<String>,
    writing: Writing,
) -> Result<Response, Problem> {
    let (caller, volume) = (&caller, &volume);
    let work = |control: Control| async move { control.delete_volume(caller, volume).await };
    let answer = |view: VolumeView| (StatusCode::ACCEPTED, Reply(view)).into_response();
    writing.carry_out(writing.under(&app, &[])?, caller, work, answer).await
}
