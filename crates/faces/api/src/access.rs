//! Who may come in: the caller of a request, and the checks that keep other web sites out.
//!
//! Bound to loopback, whoever reaches the API is the local administrator, so the browser is the danger: a page of
//! another site may send requests here. `Host` must name this machine (against DNS rebinding) and `Origin`, when
//! present, must be ours. Bound elsewhere, every path but the probes wants a token.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use univrs_model::caller::{Caller, Grant, Principal};
use univrs_model::field::FieldError;
use univrs_model::name::Name;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::problem::Problem;

/// Paths that anyone may ask.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// Puts the [`Caller`] into the request, or refuses it.
pub(crate) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if OPEN_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match caller(&app, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => (*problem).into_response(),
    }
}

fn caller(app: &App, request: &Request) -> Result<Caller, Box<Problem>> {
    if !app.loopback {
        return Err(Box::new(
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "A token is needed",
                "this API is not bound to loopback and the request carries no valid token",
            )
            .hint("use the API on the machine itself, at 127.0.0.1"),
        ));
    }
    check_site(request.headers())?;
    let query = request.uri().query().unwrap_or("");
    let from_query = query.split('&').find_map(|pair| pair.strip_prefix("org="));
    let from_header = request.headers().get("x-univrs-org").map(|value| value.to_str().unwrap_or("?"));
    let org = match from_header.or(from_query) {
        None => Name::default_org(),
        Some(text) => text.parse().map_err(|error: univrs_model::name::InvalidName| {
            Box::new(Problem::from(FieldError::new("org", error.to_string())))
        })?,
    };
    let principal = in_mode(Principal::LocalAdmin, request)?;
    Ok(Caller { principal, org })
}

/// The header by which an AI operator's client says how much it may do.
const MODE: &str = "x-univrs-mode";

/// The caller held to the mode that the request names. An AI operator without a token only observes unless the person
/// who set it up chose more, in the header or in the address (`/mcp?mode=operate`).
fn in_mode(principal: Principal, request: &Request) -> Result<Principal, Box<Problem>> {
    let header = request.headers().get(MODE).map(|value| value.to_str().unwrap_or("?"));
    let for_operators = request.uri().path() == crate::mcp::PATH;
    let query = request.uri().query().filter(|_| for_operators).unwrap_or("");
    let mode = header.or_else(|| query.split('&').find_map(|pair| pair.strip_prefix("mode=")));
    let grant = match mode {
        Some("observe") => Grant::Observe,
        Some("operate") => Grant::Operate,
        Some("admin") => Grant::Admin,
        Some(other) => {
            let detail = format!("`{}` is not a mode", other.escape_default());
            return Err(Box::new(
                FieldError::new("mode", detail).hint("write `observe`, `operate` or `admin`").into(),
            ));
        }
        None if for_operators && principal == Principal::LocalAdmin => Grant::Observe,
        None => return Ok(principal),
    };
    Ok(principal.held_to(grant))
}

/// Who asks, as the server sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CallerView {
    /// The caller.
    #[serde(flatten)]
    caller: Caller,
    /// Whether it may change a workload without showing a plan first.
    direct: bool,
}

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(whoami))
}

/// Who asks, as the server sees it.
#[utoipa::path(get, path = "/api/caller", tag = "cluster", responses((status = OK, body = CallerView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn whoami(Extension(caller): Extension<Caller>) -> Json<CallerView> {
    let direct = caller.principal.is_direct();
    Json(CallerView { caller, direct })
}

fn check_site(headers: &HeaderMap) -> Result<(), Box<Problem>> {
    let refuse = |detail: String| {
        Box::new(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign_site",
            "The request comes from another site",
            detail,
        ))
    };
    let host = headers.get(header::HOST).map(|value| value.to_str().unwrap_or("?"));
    if let Some(host) = host
        && !is_loopback_name(host)
    {
        return Err(refuse(format!("`{}` is not a name of this machine", host.escape_default())));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
        if !is_loopback_name(authority) {
            return Err(refuse(format!("`{}` may not use this API", origin.escape_default())));
        }
    }
    Ok(())
}

/// Whether `host[:port]` names this machine's loopback.
fn is_loopback_name(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback_name;

    #[test]
    fn only_loopback_names_are_ours() {
        for ours in
            ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "a.localhost", "LOCALHOST"]
        {
            assert!(is_loopback_name(ours), "{ours}");
        }
        for foreign in
            ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8080", "", "[fe80::1]", "localhost.evil"]
        {
            assert!(!is_loopback_name(foreign), "{foreign}");
        }
    }
}
