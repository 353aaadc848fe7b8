//! `/api/secrets`: values go in and are never answered.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;
use univrs_control::Plan;
use univrs_model::caller::Caller;
use univrs_model::decode::nearest;
use univrs_model::field::FieldError;
use univrs_model::name::Name;
use univrs_model::secret::{SecretValue, SecretView};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query, write_options};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;
use crate::writing::tagged;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, remove))
}

/// A secret's value: exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the body; `value_of` reads it")]
pub(crate) enum SecretBody {
    /// As text, taken as it is.
    Text {
        /// The value.
        value: String,
    },
    /// As base64, for bytes that are not text.
    Bytes {
        /// The value.
        #[schema(
            pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
        )]
        base64: String,
    },
}

/// How to remove a secret.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemoveQuery {
    /// Whether to remove it although workloads use it; their next start waits then.
    #[serde(default)]
    force: bool,
    /// Answer the plan of the write instead of doing it.
    #[serde(default)]
    dry_run: bool,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// Either outcome of a write: the secret, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum WrittenOrPlanned {
    /// The secret as it is now.
    Written(Box<SecretView>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// What no schema can say of a body.
fn rule(fault: FieldError) -> Problem {
    Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, vec![fault])
}

/// The value of a body. Read by hand, because a decoder's complaint would repeat what it complains about.
fn value_of(body: Value) -> Result<SecretValue, Problem> {
    const KNOWN: [&str; 2] = ["value", "base64"];
    let Value::Object(mut fields) = body else {
        return Err(FieldError::new("", "the body is not an object").hint(r#"send {"value": "…"}"#).into());
    };
    if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        let near = nearest(unknown, KNOWN).unwrap_or("value");
        let fault = FieldError::new(unknown.clone(), "there is no such field");
        return Err(fault.hint(format!("did you mean `{near}`?")).into());
    }
    match (fields.remove("value"), fields.remove("base64")) {
        (Some(Value::String(text)), None) => Ok(SecretValue::new(text.into_bytes())),
        (None, Some(Value::String(text))) => BASE64
            .decode(SecretValue::new(text.into_bytes()).expose())
            .map(SecretValue::new)
            .map_err(|_| rule(FieldError::new("base64", "the value is not base64"))),
        (Some(_), None) => Err(FieldError::new("value", "the value is not a string")
            .hint("send bytes that are not text as `base64`")
            .into()),
        (None, Some(_)) => Err(FieldError::new("base64", "the value is not a string").into()),
        (None, None) => Err(rule(FieldError::new("value", "a secret needs a value"))),
        (Some(_), Some(_)) => {
            let fault = FieldError::new("base64", "`value` and `base64` exclude each other");
            Err(rule(fault.hint("send one of them")))
        }
    }
}

fn with_etag(status: StatusCode, view: SecretView) -> Response {
    tagged(status, view.revision, view)
}

/// The secrets, by name, without their values.
#[utoipa::path(get, path = "/api/secrets", tag = "secrets", params(PageQuery), responses((status = OK, body = Page<SecretView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<SecretView>>, Problem> {
    let (views, revision) = app.control.list_secrets(&caller)?;
    Ok(Reply(query.cut(views, revision.0, |view| view.name.to_string())?))
}

/// One secret, without its value.
#[utoipa::path(get, path = "/api/secrets/{name}", tag = "secrets", params(("name" = String, Path, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")),
    responses((status = OK, body = SecretView), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    Ok(with_etag(StatusCode::OK, app.control.get_secret(&caller, &name)?))
}

/// Sets a secret's value; workloads that use it act as their `on_change` says.
#[utoipa::path(put, path = "/api/secrets/{name}", tag = "secrets", params(("name" = String, Path, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), WriteQuery), request_body = SecretBody,
    responses((status = OK, body = inline(WrittenOrPlanned)), (status = CREATED, body = SecretView),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    body: Json<Value>,
) -> Result<Response, Problem> {
    let name: Name = name.parse().map_err(|error: univrs_model::name::InvalidName| {
        Problem::from(FieldError::new("name", error.to_string()))
    })?;
    let if_revision = write_options(&headers, "PUT secret", &[])?.if_revision;
    let value = value_of(body.value)?;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.set_secret(&caller, &name, &value, if_revision).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    let (view, is_new) = app.control.set_secret(&caller, &name, &value, if_revision).await?;
    Ok(with_etag(if is_new { StatusCode::CREATED } else { StatusCode::OK }, view))
}

/// Removes a secret with all its versions; refused while workloads use it, unless forced.
#[utoipa::path(delete, path = "/api/secrets/{name}", tag = "secrets", params(("name" = String, Path, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), RemoveQuery),
    responses((status = NO_CONTENT), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(query): Query<RemoveQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let if_revision = write_options(&headers, "DELETE secret", &[])?.if_revision;
    if query.dry_run {
        let planning = app.control.planning();
        let outcome = planning.delete_secret(&caller, &name, query.force, if_revision).await;
        return Ok(Reply(planning.planned(&caller, outcome)?).into_response());
    }
    app.control.delete_secret(&caller, &name, query.force, if_revision).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::value_of;

    #[test]
    fn values_are_text_or_base64() {
        for (body, expected) in [
            (json!({"value": "a"}), Ok("a")),
            (json!({"value": ""}), Ok("")),
            (json!({"base64": "YQ=="}), Ok("a")),
            (json!({"base64": "canary!"}), Err("base64")),
            (json!({"value": ["canary"]}), Err("value")),
            (json!({"base64": 1}), Err("base64")),
            (json!({"vale": "canary"}), Err("vale")),
            (json!({}), Err("value")),
            (json!({"value": "canary", "base64": "canary"}), Err("base64")),
            (json!("canary"), Err("")),
        ] {
            match (value_of(body), expected) {
                (Ok(value), Ok(text)) => assert_eq!(value.expose(), text.as_bytes()),
                (Err(problem), Err(field)) => {
                    assert_eq!(problem.errors[0].field, field);
                    let text = serde_json::to_string(&problem).unwrap();
                    assert!(!text.contains("canary"), "the complaint shows the value: {text}");
                }
                (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
            }
        }
    }
}
