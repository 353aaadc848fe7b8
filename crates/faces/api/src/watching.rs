//! `/api/usage`, `/api/alerts`, `/api/tiers`: what resources used and cost, and what someone should be told.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use serde::Deserialize;
use univrs_control::{Control, Plan};
use univrs_model::Timestamp;
use univrs_model::alert::{Alert, AlertSettings, SilenceSpec};
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::usage::UsageEvent;
use univrs_watch::statement::Statement;
use univrs_watch::tiers::Tiers;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query};
use crate::page::{Page, PageQuery, checked_limit};
use crate::problem::Problem;
use crate::workloads::WriteQuery;
use crate::writing::{Guarded, Writing, tagged};

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(usage_events))
        .routes(routes!(tiers))
        .routes(routes!(alerts))
        .routes(routes!(settings, set_settings))
        .routes(routes!(silence))
}

/// Which usage.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    /// What begins then or later, such as `2026-11-01T00:00:00Z`; the beginning of the month when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// What begins before then; the end of the month of `from` when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// Most entries of the log on a page of events.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{20}-[a-z0-9_-]{1,120}$")]
    cursor: Option<String>,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

impl UsageQuery {
    fn period(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
        let read = |field: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<Timestamp>).transpose();
            parsed.map_err(|_| {
                let fault = FieldError::new(field, "not a time");
                Problem::from(fault.hint("write it as 2026-11-01T00:00:00Z"))
            })
        };
        Ok((read("from", &self.from)?, read("to", &self.to)?))
    }

    fn cursor(&self) -> Result<Option<String>, Problem> {
        let is_place = |cursor: &String| {
            cursor.split_once('-').is_some_and(|(time, rest)| {
                let letters =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
                time.len() == 20
                    && time.bytes().all(|byte| byte.is_ascii_digit())
                    && (1..=120).contains(&rest.len())
                    && rest.bytes().all(letters)
            })
        };
        match &self.cursor {
            Some(cursor) if !is_place(cursor) => Err(FieldError::new("cursor", "not a cursor of this list")
                .hint("start from the first page")
                .into()),
            cursor => Ok(cursor.clone()),
        }
    }
}

/// What the organisation used from one instant to another, and what that cost; this month without either.
#[utoipa::path(get, path = "/api/usage", tag = "resources", params(UsageQuery), responses((status = OK, body = Statement),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn usage(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<UsageQuery>,
) -> Result<Reply<Statement>, Problem> {
    checked_limit(query.limit)?;
    query.cursor()?;
    let (from, to) = query.period()?;
    Ok(Reply(app.control.usage(&caller, from, to).await?))
}

/// The events that a statement is made of, as CloudEvents, oldest first.
#[utoipa::path(get, path = "/api/usage/events", tag = "resources", params(UsageQuery), responses((status = OK, body = Page<UsageEvent>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn usage_events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<UsageQuery>,
) -> Result<Reply<Page<UsageEvent>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let page = app.control.usage_events(&caller, query.period()?, query.cursor()?, limit).await?;
    let revision = app.control.mirror().state().revision.0;
    Ok(Reply(Page { items: page.items, next_cursor: page.next, revision }))
}

/// The tiers that organisations can have: what they bound, and what they cost.
#[utoipa::path(get, path = "/api/tiers", tag = "access", responses((status = OK, body = Tiers),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn tiers(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Reply<Tiers>, Problem> {
    Ok(Reply(app.control.tiers(&caller)?))
}

/// The alerts, by id: those that are so, and those that were within the last week.
#[utoipa::path(get, path = "/api/alerts", tag = "resources", params(PageQuery), responses((status = OK, body = Page<Alert>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn alerts(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<Alert>>, Problem> {
    let (alerts, revision) = app.control.list_alerts(&caller)?;
    Ok(Reply(query.cut(alerts, revision.0, |alert| alert.id.clone())?))
}

/// Either outcome of silencing: the alert, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum SilencedOrPlanned {
    /// The alert as it is now.
    Silenced(Box<Alert>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Tells nobody of an alert for a while.
#[utoipa::path(post, path = "/api/alerts/{alert}/silence", tag = "resources", params(("alert" = String, Path), WriteQuery),
    request_body = SilenceSpec, responses((status = OK, body = inline(SilencedOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn silence(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(alert): Path<String>,
    Query(query): Query<WriteQuery>,
    body: Json<SilenceSpec>,
) -> Result<Response, Problem> {
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.silence_alert(&caller, &alert, &body.value).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    Ok(Reply(app.control.silence_alert(&caller, &alert, &body.value).await?).into_response())
}

/// Where the organisation is told of alerts, and from what cost of a month on.
#[utoipa::path(get, path = "/api/alerts/settings", tag = "resources", responses((status = OK, body = AlertSettings),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn settings(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    let (settings, revision) = app.control.alert_settings(&caller)?;
    Ok(tagged(StatusCode::OK, revision, settings))
}

/// Either outcome of a write: the settings, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum SetOrPlanned {
    /// The settings as they are now.
    Set(Box<AlertSettings>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Says where the organisation is told of alerts, in place of what was said before.
#[utoipa::path(put, path = "/api/alerts/settings", tag = "resources", params(WriteQuery, Guarded),
    request_body = AlertSettings, responses((status = OK, body = inline(SetOrPlanned)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn set_settings(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    writing: Writing,
    body: Json<AlertSettings>,
) -> Result<Response, Problem> {
    let (caller, settings, notifier) = (&caller, body.value, &*app.notifier);
    let work = |control: Control| async move { control.set_alert_settings(caller, settings, notifier).await };
    let answer = |(settings, revision): (AlertSettings, u64)| tagged(StatusCode::OK, revision, settings);
    writing.carry_out(writing.under(&app, &body.raw)?, caller, work, answer).await
}
