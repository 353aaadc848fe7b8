//! `/api/events` and `/api/audit`.

use axum::extract::State;
use axum::{Extension, Json as Reply};
use univrs_control::AuditView;
use univrs_model::caller::Caller;
use univrs_model::event::EventView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(audit))
}

/// What happened, oldest first.
#[utoipa::path(get, path = "/api/events", tag = "events", params(PageQuery), responses((status = OK, body = Page<EventView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<EventView>>, Problem> {
    let page = app.control.list_events(&caller, query.cursor.as_deref(), query.limit()?).await?;
    Ok(Reply(Page { items: page.items, next_cursor: page.next, revision: page.revision }))
}

/// Who did what, oldest first.
#[utoipa::path(get, path = "/api/audit", tag = "events", params(PageQuery), responses((status = OK, body = Page<AuditView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn audit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<AuditView>>, Problem> {
    let page = app.control.list_audit(&caller, query.cursor.as_deref(), query.limit()?).await?;
    Ok(Reply(Page { items: page.items, next_cursor: page.next, revision: page.revision }))
}
