//! `/api/topologies`: files of clouds, checked, planned, priced, optimised and emitted. Nothing is kept of them.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use univrs_compiler::{Backend, Input, Options, PriceDate, Report, Rules};
use univrs_model::field::FieldError;
use univrs_model::span::Span;
use univrs_topology::source::Format;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query};
use crate::problem::Problem;

/// A compilation keeps one processor busy, for seconds when the topology is huge; so many run at once.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(check))
        .routes(routes!(plan))
        .routes(routes!(cost))
        .routes(routes!(optimize))
        .routes(routes!(emit))
}

/// A topology as a text in any of its forms. A topology in JSON can also be the body itself.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TopologyText)]
struct Wrapped {
    /// The text.
    text: String,
    /// How it is written.
    #[serde(default)]
    format: TextFormat,
    /// Values to replace: `role.web.count=3`.
    #[serde(default)]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TextFormat {
    #[default]
    Toml,
    Yaml,
    Json,
}

/// What a compilation depends on besides the text.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Circumstances {
    /// Choose the environment; the same as setting `environment`.
    environment: Option<String>,
    /// Report prices older than this, such as `90d`.
    #[param(value_type = Option<String>, example = "90d", pattern = "^(([0-9]{1,10}|[12][0-9]{10})(\\.[0-9]{1,3})?ms|([0-9]{1,7}|[12][0-9]{7})(\\.[0-9]{1,3})?s|([0-9]{1,5}|[1-4][0-9]{5})(\\.[0-9]{1,3})?m|([0-9]{1,3}|[1-7][0-9]{3}|8[0-6][0-9]{2})(\\.[0-9]{1,3})?h|([0-9]{1,2}|[12][0-9]{2}|3[0-5][0-9])(\\.[0-9]{1,3})?d)$")]
    max_price_age: Option<Span>,
    /// Where a price is known in another region only, take that one; the total still counts as incomplete.
    #[serde(default)]
    assume_missing: bool,
    /// For whom it is asked; see `X-Univrs-Org`.
    #[serde(rename = "org")]
    #[param(ignore)]
    _org: Option<String>,
}

/// A request, ready to be compiled on a thread of its own.
struct Asked {
    text: String,
    format: Format,
    overrides: Vec<String>,
    today: PriceDate,
    max_price_age: Option<u32>,
    assume_missing: bool,
}

/// Everything that is found: errors, warnings and facts, each with its code, path, message, hint and place.
#[utoipa::path(post, path = "/api/topologies/check", tag = "topologies", params(Circumstances),
    request_body(content = Object, description = "The topology, or its text as `{\"text\": …, \"format\": \"toml\"}`"),
    responses((status = OK, body = Object),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn check(
    State(app): State<App>,
    Query(query): Query<Circumstances>,
    body: Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    answer(asked(&app, query, body)?, |input, options| {
        let report = univrs_compiler::check(input, options).report;
        (Report::default(), Some(report))
    })
    .await
}

/// Everything that will exist: regions with ranges and subnets, machines, tunnels, names, resources by provider.
#[utoipa::path(post, path = "/api/topologies/plan", tag = "topologies", params(Circumstances),
    request_body(content = Object, description = "The topology, or its text as `{\"text\": …, \"format\": \"toml\"}`"),
    responses((status = OK, body = Object),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn plan(
    State(app): State<App>,
    Query(query): Query<Circumstances>,
    body: Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    answer(asked(&app, query, body)?, |input, options| {
        let planned = univrs_compiler::plan(input, options);
        let document = planned.document().map(serde_json::to_value);
        (planned.report, document.map(Written))
    })
    .await
}

/// What it costs in a month of 730 hours: a superset of Infracost's JSON.
#[utoipa::path(post, path = "/api/topologies/cost", tag = "topologies", params(Circumstances),
    request_body(content = Object, description = "The topology, or its text as `{\"text\": …, \"format\": \"toml\"}`"),
    responses((status = OK, body = Object),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn cost(
    State(app): State<App>,
    Query(query): Query<Circumstances>,
    body: Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    answer(asked(&app, query, body)?, |input, options| {
        let costed = univrs_compiler::cost(input, options);
        let document = costed.document(None);
        (costed.report, document)
    })
    .await
}

/// What would be cheaper, and what may go wrong then.
#[utoipa::path(post, path = "/api/topologies/optimize", tag = "topologies", params(Circumstances),
    request_body(content = Object, description = "The topology, or its text as `{\"text\": …, \"format\": \"toml\"}`"),
    responses((status = OK, body = Object),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn optimize(
    State(app): State<App>,
    Query(query): Query<Circumstances>,
    body: Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    answer(asked(&app, query, body)?, |input, options| {
        let optimized = univrs_compiler::optimize(input, options, Rules::default());
        let document = optimized.document();
        (optimized.report, document)
    })
    .await
}

/// The OpenTofu files that make it true, by path, and what no file makes true.
#[utoipa::path(post, path = "/api/topologies/emit", tag = "topologies", params(Circumstances),
    request_body(content = Object, description = "The topology, or its text as `{\"text\": …, \"format\": \"toml\"}`"),
    responses((status = OK, body = Object),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn emit(
    State(app): State<App>,
    Query(query): Query<Circumstances>,
    body: Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    answer(asked(&app, query, body)?, |input, options| {
        let emitted = univrs_compiler::emit(input, options, Backend::default());
        let document = emitted.document().map(serde_json::to_value);
        (emitted.report, document.map(Written))
    })
    .await
}

/// A document that borrows from what it was made of, written already.
struct Written(serde_json::Result<Value>);

impl Serialize for Written {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(value) => value.serialize(out),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

fn asked(app: &App, query: Circumstances, body: Json<Map<String, Value>>) -> Result<Asked, Problem> {
    let wrapped = body.value.get("text").is_some_and(Value::is_string);
    let (text, format, set) = if wrapped {
        let Wrapped { text, format, set } = univrs_model::decode::from_value(Value::Object(body.value))?;
        let format = match format {
            TextFormat::Toml => Format::Toml,
            TextFormat::Yaml => Format::Yaml,
            TextFormat::Json => Format::Json,
        };
        (text, format, set)
    } else {
        // The bytes, not the value: a key that is given twice is told, and places are those of the sender's text.
        let text = String::from_utf8(body.raw.to_vec());
        let text = text.map_err(|_| FieldError::new("", "the body is not UTF-8 text"))?;
        (text, Format::Json, Vec::new())
    };
    let today = app.clock.now().to_string();
    let today = today.get(..10).and_then(PriceDate::parse).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed",
            format!("its clock shows {today}"),
        )
    })?;
    let mut overrides: Vec<String> =
        query.environment.iter().map(|name| format!("environment={name}")).collect();
    overrides.extend(set);
    let days = |age: Span| u32::try_from(age.duration().as_secs() / 86_400).unwrap_or(u32::MAX);
    let max_price_age = query.max_price_age.map(days);
    Ok(Asked { text, format, overrides, today, max_price_age, assume_missing: query.assume_missing })
}

/// Compiles on a thread of its own. Errors of the topology become a problem; its document is the answer.
async fn answer<T: Serialize + 'static>(
    asked: Asked,
    compile: impl FnOnce(&Input<'_>, &Options<'_>) -> (Report, Option<T>) + Send + 'static,
) -> Result<Response, Problem> {
    let _turn = TURNS.acquire().await;
    let work = move || {
        let Asked { text, format, overrides, today, max_price_age, assume_missing } = asked;
        let input = Input { file: "topology", text: &text, format, overrides: &overrides };
        let options = Options { max_price_age, assume_missing, ..Options::on(today) };
        let (report, document) = compile(&input, &options);
        match document.filter(|_| report.errors.is_empty()) {
            Some(document) => serde_json::to_vec(&document).map_err(|error| Box::new(unwritten(error))),
            None => Err(Box::new(refused(report))),
        }
    };
    let bytes = tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a topology could not be compiled");
        let detail = "the topology could not be compiled; the server's log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", detail)
    })?;
    let bytes = bytes.map_err(|problem| *problem)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

fn refused(report: Report) -> Problem {
    let fault = |finding: univrs_compiler::Finding| FieldError {
        field: finding.path,
        detail: format!("{}: {}", finding.code, finding.message),
        hint: finding.hint,
    };
    Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, report.errors.into_iter().map(fault).collect())
}

fn unwritten(error: serde_json::Error) -> Problem {
    let detail = format!("the answer could not be written: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", detail)
}
