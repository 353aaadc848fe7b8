//! Who may come in: the caller of a request, what it may do at all, and the checks that keep other web sites out.
//!
//! A token, in `Authorization: Bearer` or for a WebSocket in `Sec-WebSocket-Protocol: univrs.bearer.<token>`, says who
//! asks. Without one, whoever reaches an API that is bound to loopback is the local administrator, so the browser is
//! the danger: a page of another site may send requests here. `Host` must name this machine (against DNS rebinding)
//! and `Origin`, when present, must be ours. Bound elsewhere, every path but the probes wants a token.

use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use univrs_dashboard::sign_in;
use univrs_model::caller::{Caller, Grant, Principal};
use univrs_model::field::FieldError;
use univrs_model::ids::RequestId;
use univrs_model::name::{InvalidName, Name};
use univrs_model::token::Approval;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::actions::{self, Access, Route};
use crate::elsewhere::{self, HandedOn};
use crate::problem::Problem;

/// What the protocol of a WebSocket that carries a token begins with.
const SOCKET_PREFIX: &str = "univrs.bearer.";
/// Names the request in the reply, as the audit log does.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What opens the dashboard's files, which hold no data, to a browser that has shown a token of this server. A browser
/// sends no token when it loads a page or its parts, so it is given this as a cookie; the API does not take it.
static SITE_PASS: LazyLock<String> = LazyLock::new(|| hex::encode(rand::random::<[u8; 16]>()));

/// Puts the [`Caller`] into the request, or refuses it.
pub(crate) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::from_bits(rand::random());
    tracing::Span::current().record("id", id.as_str());
    let offered =
        socket_protocol(request.headers()).and_then(|protocol| HeaderValue::from_str(protocol).ok());
    let matched = request.extensions().get::<MatchedPath>().is_some();
    let for_site = !matched && univrs_dashboard::site::is_for_site(request.method(), request.uri().path());
    let passed = for_site && !app.loopback && sign_in::has_pass(request.headers(), &SITE_PASS);
    let leaves = elsewhere::leaves(&app, &request);
    // Without a token it is decided here, where the browser is, whether another site asks.
    if let Some(through) = &leaves
        && presented(request.headers()).is_some()
    {
        return elsewhere::hand_on(&**through, request).await;
    }
    let admitted = if passed { Ok(None) } else { caller(&app, &request, &id) };
    let mut response = match admitted {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            let mut response = match leaves {
                Some(through) => return elsewhere::hand_on(&*through, request).await,
                None => next.run(request).await,
            };
            if for_site && !app.loopback && !passed {
                sign_in::give_pass(&mut response, &SITE_PASS);
            }
            response
        }
        // A program is told what is missing; a browser gets a page to give it, unless it has given it already.
        Err(problem) if for_site && is_unknown(&problem) && wants_to_sign_in(request.headers()) => {
            sign_in::page()
        }
        Err(problem) => (*problem).into_response(),
    };
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(protocol) = offered
    {
        // A browser gives up when none of the protocols it offered is taken.
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

fn is_unknown(problem: &Problem) -> bool {
    problem.status == StatusCode::UNAUTHORIZED.as_u16()
}

fn wants_to_sign_in(headers: &HeaderMap) -> bool {
    univrs_dashboard::site::wants_page(headers) && !headers.contains_key(header::AUTHORIZATION)
}

/// The caller, who may do what the route is for; none where nobody is asked.
fn caller(app: &App, request: &Request, id: &RequestId) -> Result<Option<Caller>, Box<Problem>> {
    let pattern = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = pattern.map(|pattern| (pattern, actions::route(request.method(), pattern)));
    if let Some((_, Route::Known(Access::Open))) = route {
        return Ok(None);
    }
    let principal = principal(app, request)?;
    if let Some((_, Route::NoSuchMethod(methods))) = route {
        return Err(Box::new(Problem::no_such_method(methods)));
    }
    let caller = app.control.enter(principal, wanted_org(request)?, id.clone()).map_err(boxed)?;
    match route {
        // That there is no such path, and which methods a path has, is nobody's secret.
        None | Some((_, Route::Known(Access::Open) | Route::NoSuchMethod(_))) => {}
        Some((pattern, Route::Known(Access::Needs(action, kind)))) => {
            let object = actions::object(kind, pattern, request.uri().path());
            app.control.allow(&caller, action, &object).map_err(boxed)?;
        }
        Some((pattern, Route::Unlisted)) => {
            tracing::error!(method = %request.method(), pattern, "no action is listed for this route");
            return Err(Box::new(Problem::new(
                StatusCode::FORBIDDEN,
                "denied",
                "Not allowed",
                format!("no action is listed for {} {pattern}, so nobody may use it", request.method()),
            )));
        }
    }
    Ok(Some(caller))
}

fn boxed(error: univrs_control::Error) -> Box<Problem> {
    Box::new(error.into())
}

fn principal(app: &App, request: &Request) -> Result<Principal, Box<Problem>> {
    let unauthenticated = |detail: &str, hint: &str| {
        let status = StatusCode::UNAUTHORIZED;
        Box::new(Problem::new(status, "unauthenticated", "A token is needed", detail).hint(hint))
    };
    let handed_on = request.extensions().get::<HandedOn>().copied();
    match presented(request.headers()) {
        Some(Ok(token)) => in_mode(app.control.authenticate(token).map_err(boxed)?, request),
        Some(Err(detail)) => Err(unauthenticated(detail, "send `Authorization: Bearer <token>`")),
        None if handed_on == Some(HandedOn { trusted: true }) => in_mode(Principal::LocalAdmin, request),
        None if handed_on.is_some() => Err(unauthenticated(
            "the node that hands this request on only runs workloads",
            "send a token; on a validator itself `univrs token create` makes one",
        )),
        None if app.loopback => {
            check_site(request.headers())?;
            in_mode(Principal::LocalAdmin, request)
        }
        None => Err(unauthenticated(
            "this API is not bound to loopback and the request carries no token",
            "make a token on the machine itself with `univrs token create`, and give it as `--token`",
        )),
    }
}

/// The token that a request carries, if it carries one; an error when it carries something else in its place.
fn presented(headers: &HeaderMap) -> Option<Result<&str, &'static str>> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or("?");
        let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return Some(
            token.map(|(_, token)| token.trim()).ok_or("the scheme of `Authorization` is not Bearer"),
        );
    }
    socket_protocol(headers)?.strip_prefix(SOCKET_PREFIX).map(Ok)
}

/// The protocol that carries a token, if it is among those that are offered.
fn socket_protocol(headers: &HeaderMap) -> Option<&str> {
    let offered =
        headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|list| list.split(',')).map(str::trim).find(|one| one.starts_with(SOCKET_PREFIX))
}

/// The organisation that a request names in its query or header, if it does.
fn wanted_org(request: &Request) -> Result<Option<Name>, Box<Problem>> {
    let query = request.uri().query().unwrap_or("");
    let from_query = query.split('&').find_map(|pair| pair.strip_prefix("org="));
    let from_header = request.headers().get("x-univrs-org").map(|value| value.to_str().unwrap_or("?"));
    let Some(text) = from_header.or(from_query) else { return Ok(None) };
    let fault = |error: InvalidName| Box::new(Problem::from(FieldError::new("org", error.to_string())));
    text.parse().map(Some).map_err(fault)
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
    /// Who may agree to its plans that need a person's approval.
    approval: Approval,
    /// The actions that the policy lets it do in this organisation, as `x-univrs-action` names them.
    can: Vec<&'static str>,
}

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(whoami))
}

/// Who asks, as the server sees it.
#[utoipa::path(get, path = "/api/caller", tag = "cluster", responses((status = OK, body = CallerView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn whoami(State(app): State<App>, Extension(caller): Extension<Caller>) -> Json<CallerView> {
    let direct = caller.principal.is_direct();
    let allowed = univrs_authz::Action::ALL.iter().filter(|action| {
        let (kind, _) = action.as_str().rsplit_once('_').unwrap_or((action.as_str(), ""));
        app.control.allow(&caller, **action, kind).is_ok()
    });
    let can = allowed.map(|action| action.as_str()).collect();
    let approval = app.control.approval_of(&caller);
    Json(CallerView { caller, direct, approval, can })
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
    use axum::http::{HeaderMap, HeaderValue};

    use super::{is_loopback_name, presented};

    #[test]
    fn a_token_comes_by_header_or_by_protocol() {
        let read = |name: &'static str, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(name, HeaderValue::from_static(value));
            }
            presented(&headers).map(|found| found.map(str::to_owned).ok())
        };
        let found = |token: &str| Some(Some(token.to_owned()));
        assert_eq!(read("authorization", &["Bearer t"]), found("t"));
        assert_eq!(read("authorization", &["bearer  t"]), found("t"));
        assert_eq!(read("authorization", &["Basic t"]), Some(None));
        assert_eq!(read("authorization", &["Bearer"]), Some(None));
        assert_eq!(read("sec-websocket-protocol", &["univrs.bearer.t"]), found("t"));
        assert_eq!(read("sec-websocket-protocol", &["chat, univrs.bearer.t"]), found("t"));
        assert_eq!(read("sec-websocket-protocol", &["chat", "univrs.bearer.t"]), found("t"));
        assert_eq!(read("sec-websocket-protocol", &["chat"]), None);
        assert_eq!(read("host", &["localhost"]), None);
    }

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
