//! Who may come in: the caller of a request, and the checks that keep other web sites out.
//!
//! Bound to loopback, whoever reaches the API is the local administrator, so the browser is the danger: a page of
//! another site may send requests here. `Host` must name this machine (against DNS rebinding) and `Origin`, when
//! present, must be ours. Bound elsewhere, every path but the probes wants a token.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use univrs_model::caller::{Caller, Principal};
use univrs_model::field::FieldError;
use univrs_model::name::Name;

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
    Ok(Caller { principal: Principal::LocalAdmin, org })
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
