//! `/api/mesh`: the encrypted network between nodes as this node sees it.

use axum::extract::State;
use axum::{Extension, Json as Reply};
use univrs_model::caller::Caller;
use univrs_model::mesh::MeshView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(look))
}

/// The encrypted network between nodes, as the node that answers sees it.
#[utoipa::path(get, path = "/api/mesh", tag = "cluster", responses((status = OK, body = MeshView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn look(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Reply<MeshView>, Problem> {
    let view = app.mesh.look().await;
    Ok(Reply(app.control.explain_mesh(&caller, view)?))
}
