//! `/api/events` and `/api/audit`.

use axum::extract::State;
use axum::{Extension, Json as Reply};
use serde::Deserialize;
use univrs_control::AuditView;
use univrs_model::caller::Caller;
use univrs_model::event::EventView;
use univrs_model::field::FieldError;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::page::{Page, checked_limit};
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(audit))
}

/// Which page of a log.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Most entries on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{20}-[0-9a-f]{8}$")]
    cursor: Option<String>,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

impl LogQuery {
    /// Where to begin, and the number of entries wanted.
    fn checked(&self) -> Result<(Option<&str>, usize), Problem> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_place = |cursor: &str| {
            cursor.split_once('-').is_some_and(|(time, number)| {
                time.len() == 20
                    && time.bytes().all(|byte| byte.is_ascii_digit())
                    && number.len() == 8
                    && number.bytes().all(hex)
            })
        };
        if self.cursor.as_deref().is_some_and(|cursor| !is_place(cursor)) {
            let fault = FieldError::new("cursor", "not a cursor of this list");
            return Err(fault.hint("start from the first page").into());
        }
        Ok((self.cursor.as_deref(), checked_limit(self.limit)?))
    }
}

/// What happened, oldest first.
#[utoipa::path(get, path = "/api/events", tag = "events", params(LogQuery), responses((status = OK, body = Page<EventView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<LogQuery>,
) -> Result<Reply<Page<EventView>>, Problem> {
    let (cursor, limit) = query.checked()?;
    let page = app.control.list_events(&caller, cursor, limit).await?;
    Ok(Reply(Page { items: page.items, next_cursor: page.next, revision: page.revision }))
}

/// Who did what, oldest first.
#[utoipa::path(get, path = "/api/audit", tag = "events", params(LogQuery), responses((status = OK, body = Page<AuditView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn audit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<LogQuery>,
) -> Result<Reply<Page<AuditView>>, Problem> {
    let (cursor, limit) = query.checked()?;
    let page = app.control.list_audit(&caller, cursor, limit).await?;
    Ok(Reply(Page { items: page.items, next_cursor: page.next, revision: page.revision }))
}
