//! The dashboard by itself: its files from here, everything else from a server elsewhere, WebSockets included.
//!
//! On loopback it may lend its own token to whoever reaches it, so it keeps other web sites out as the server does:
//! `Host` must name this machine, and `Origin`, when present, must be the same place. Elsewhere it lends nothing, and
//! forwards only requests that carry a token of their own: a server on its loopback would trust the rest.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpListener;

use crate::site;

/// A server that does not accept a connection within this time is not there.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(5);

/// Why the dashboard cannot be served alone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the server is not one.
    #[error("`{0}` is not the address of a server, such as http://127.0.0.1:8080")]
    Server(String),
    /// The client for the server could not be made.
    #[error("failed to prepare requests to the server")]
    Client(#[source] reqwest::Error),
    /// Serving ended.
    #[error("failed to serve")]
    Serve(#[source] std::io::Error),
}

/// Where requests go, and with which token.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address of the API.
    pub address: String,
    /// The token that is lent on loopback.
    pub token: Option<String>,
    /// Certificates as PEM that an encrypted API is trusted by, instead of those of this machine.
    pub authorities: Option<Vec<u8>>,
}

#[derive(Clone)]
struct Door {
    http: reqwest::Client,
    server: Url,
    token: Option<HeaderValue>,
    loopback: bool,
}

/// Serves until the listener fails.
///
/// # Errors
/// When the address of the server is not one, or the listener fails.
pub async fn serve(listener: TcpListener, server: Server) -> Result<(), Error> {
    let address = listener.local_addr().map_err(Error::Serve)?;
    let app = router(server, address.ip().is_loopback())?;
    axum::serve(listener, app).await.map_err(Error::Serve)
}

/// The whole service; `loopback` says whether only this machine reaches it.
///
/// # Errors
/// When the address of the server is not one.
pub fn router(server: Server, loopback: bool) -> Result<Router, Error> {
    let url = Url::parse(&server.address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| Error::Server(server.address.clone()))?;
    let mut http = reqwest::Client::builder().connect_timeout(CONNECT).http1_only();
    match &server.authorities {
        Some(pem) => {
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(Error::Client)?);
        }
        // Nothing that is encrypted is spoken to; the machine's certificates may be absent, in an image for one.
        None if url.scheme() == "http" => http = http.tls_certs_only([]),
        None => {}
    }
    let http = http.redirect(reqwest::redirect::Policy::none()).no_proxy().build().map_err(Error::Client)?;
    let lent = server.token.filter(|_| loopback);
    let token = lent.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    let door = Arc::new(Door { http, server: url, token, loopback });
    Ok(Router::new().fallback(answer).with_state(door))
}

async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    if door.loopback
        && let Err(reason) = check_site(request.headers())
    {
        return refuse(StatusCode::FORBIDDEN, "foreign_site", "The request comes from another site", &reason);
    }
    let path = request.uri().path();
    if site::is_for_site(request.method(), path) {
        return site::answer(request.method(), path, request.headers()).unwrap_or_else(|| {
            refuse(StatusCode::NOT_FOUND, "no_such_path", "No such path", "the dashboard has no such file")
        });
    }
    if !door.loopback && !has_token(request.headers()) && !matches!(path, "/healthz" | "/readyz") {
        let detail = "this dashboard is not bound to loopback and the request carries no token";
        return refuse(StatusCode::UNAUTHORIZED, "unauthenticated", "A token is needed", detail);
    }
    match door.forward(request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%error, "the server did not answer");
            let detail = format!("{} does not answer", door.server);
            refuse(StatusCode::BAD_GATEWAY, "unreachable", "The server cannot be reached", &detail)
        }
    }
}

impl Door {
    async fn forward(&self, mut request: Request) -> Result<Response, reqwest::Error> {
        let mut url = self.server.clone();
        url.set_path(request.uri().path());
        url.set_query(request.uri().query());
        let upgraded = request.headers().contains_key(header::UPGRADE);
        let client = upgraded.then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let mut headers = passed_on(&parts.headers, upgraded);
        if let Some(token) = self.token.clone().filter(|_| !has_token(&headers)) {
            headers.insert(header::AUTHORIZATION, token);
        }
        // The server knows itself by its own name; that the page is ours was seen above.
        headers.remove(header::ORIGIN);
        let sent = self.http.request(parts.method, url).headers(headers);
        let sent = sent.body(reqwest::Body::wrap_stream(body.into_data_stream()));
        let reply = sent.send().await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = reply.status();
        *response.headers_mut() = passed_on(reply.headers(), upgraded);
        match client {
            Some(client) if reply.status() == StatusCode::SWITCHING_PROTOCOLS => {
                tokio::spawn(async move {
                    if let (Ok(client), Ok(mut server)) = (client.await, reply.upgrade().await) {
                        // Either side may leave at any time.
                        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut server).await;
                    }
                });
            }
            _ => *response.body_mut() = Body::from_stream(reply.bytes_stream()),
        }
        Ok(response)
    }
}

/// The fields that concern both ends, not only the next one.
fn passed_on(headers: &HeaderMap, upgraded: bool) -> HeaderMap {
    let own: [HeaderName; 7] = [
        header::HOST,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
        header::CONTENT_LENGTH,
    ];
    let of_upgrades = |name: &HeaderName| name == header::CONNECTION || name == header::UPGRADE;
    let kept = headers.iter().filter(|(name, _)| !own.contains(name) && (upgraded || !of_upgrades(name)));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn has_token(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    headers.contains_key(header::AUTHORIZATION)
        || protocols.filter_map(|value| value.to_str().ok()).any(|list| list.contains("univrs.bearer."))
}

fn check_site(headers: &HeaderMap) -> Result<(), String> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or("");
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    let loopback = name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !loopback {
        return Err(format!("`{}` is not a name of this machine", host.escape_default()));
    }
    match text(header::ORIGIN) {
        Some(origin) if origin.split_once("://").is_none_or(|(_, authority)| authority != host) => {
            Err(format!("`{}` may not use this dashboard", origin.escape_default()))
        }
        _ => Ok(()),
    }
}

fn refuse(status: StatusCode, code: &str, title: &str, detail: &str) -> Response {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"detail\":\"{}\",\"code\":\"{code}\"}}",
        status.as_u16(),
        quoted(detail)
    );
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::{HeaderMap, Request, StatusCode, header};
    use axum::routing::get;
    use tower::ServiceExt;

    use super::{Server, router};

    /// A server that answers with the token that it was shown.
    async fn server() -> String {
        let shown = |headers: HeaderMap| async move {
            let token = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            token.unwrap_or_default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/api/x", get(shown))).await });
        format!("http://{address}")
    }

    async fn ask(loopback: bool, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let server = Server { address: server().await, token: Some("lent".to_owned()), authorities: None };
        let mut request = Request::get("/api/x");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let reply =
            router(server, loopback).unwrap().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = reply.status();
        let body = axum::body::to_bytes(reply.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_token_is_lent_to_this_machine_only() {
        let host = ("host", "127.0.0.1:3000");
        assert_eq!(ask(true, &[host]).await, (StatusCode::OK, "Bearer lent".to_owned()));
        let own = ("authorization", "Bearer own");
        assert_eq!(ask(true, &[host, own]).await, (StatusCode::OK, "Bearer own".to_owned()));
        assert_eq!(ask(false, &[host]).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(ask(false, &[own]).await, (StatusCode::OK, "Bearer own".to_owned()));
    }

    #[tokio::test]
    async fn other_sites_stay_outside() {
        for fields in [
            &[("host", "evil.example")][..],
            &[("host", "127.0.0.1:3000"), ("origin", "http://evil.example")],
            &[("host", "127.0.0.1:3000"), ("origin", "http://127.0.0.1:4000")],
            &[],
        ] {
            assert_eq!(ask(true, fields).await.0, StatusCode::FORBIDDEN, "{fields:?}");
        }
        assert_eq!(
            ask(true, &[("host", "localhost:1"), ("origin", "http://localhost:1")]).await.0,
            StatusCode::OK
        );
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_named() {
        let server = Server { address: "http://127.0.0.1:1".to_owned(), token: None, authorities: None };
        let request = Request::get("/api/x").header("host", "localhost").body(Body::empty()).unwrap();
        let reply = router(server, true).unwrap().oneshot(request).await.unwrap();
        assert_eq!(reply.status(), StatusCode::BAD_GATEWAY);
        assert!(
            router(Server { address: "nonsense".to_owned(), token: None, authorities: None }, true).is_err()
        );
    }
}
