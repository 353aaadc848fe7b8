//! One HTTP request: addresses, credentials, time limits, and the reading of replies.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Problem};

/// Ordinary requests are answered within this time or not at all.
const QUICK: Duration = Duration::from_secs(30);
/// A server that does not accept a connection within this time is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// How much of an odd reply is quoted.
const QUOTED: usize = 300;

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Address of the API, such as `http://127.0.0.1:8080`.
    pub server: String,
    /// API token; none is needed on loopback.
    pub token: Option<String>,
    /// Organisation whose objects are meant; the server's default when absent.
    pub org: Option<String>,
    /// How long requests that take long by nature (pulling an image) may take.
    pub timeout: Duration,
    /// Certificates as PEM that an encrypted API is trusted by, instead of those of this machine.
    pub authorities: Option<Vec<u8>>,
    /// Whether writes are only planned: each ends with [`Error::Planned`].
    pub dry_run: bool,
}

/// A connection to the API of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    pub(crate) token: Option<String>,
    org: Option<String>,
    timeout: Duration,
    dry_run: bool,
}

/// Which part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// At most how many items.
    pub limit: Option<u32>,
    /// Where the last part ended.
    pub cursor: Option<String>,
    /// Only objects with this label, written `key=value`.
    pub label: Option<String>,
}

impl Page {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let cursor = self.cursor.clone().map(|cursor| ("cursor", cursor));
        let label = self.label.clone().map(|label| ("label", label));
        limit.into_iter().chain(cursor).chain(label).collect()
    }
}

/// A successful reply: the server's bytes, and what they mean.
#[derive(Clone, Debug)]
pub struct Reply<T> {
    status: u16,
    etag: Option<String>,
    body: Bytes,
    meaning: PhantomData<fn() -> T>,
}

impl<T> Reply<T> {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The `ETag`, to be given back as `If-Match`.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// The body as the server sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl<T: DeserializeOwned> Reply<T> {
    /// What the body means.
    ///
    /// # Errors
    /// When the body is not of the expected shape.
    pub fn value(&self) -> Result<T, Error> {
        self.value_as()
    }
}

impl<T> Reply<T> {
    /// The body read as another shape, such as bare JSON.
    ///
    /// # Errors
    /// When the body is not of that shape.
    pub fn value_as<U: DeserializeOwned>(&self) -> Result<U, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::BadReply {
            status: self.status,
            detail: format!("{error} in {}", quote(&self.body)),
        })
    }
}

/// What a request carries besides its address.
pub(crate) enum Body<'a> {
    None,
    Json(&'a serde_json::Value),
    Raw(reqwest::Body, &'static str),
}

/// A request in the making.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'static str, String)],
    pub(crate) body: Body<'a>,
    pub(crate) if_match: Option<&'a str>,
    /// Whether it takes long by nature.
    pub(crate) slow: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: &[], body: Body::None, if_match: None, slow: false }
    }
}

impl Client {
    /// A client of the server at `options.server`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn new(options: ClientOptions) -> Result<Self, Error> {
        let server = parse_server(&options.server)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &options.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                Error::Options { detail: "the API token has characters that no token has".to_owned() }
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(org) = &options.org {
            let value = HeaderValue::from_str(org).map_err(|_| Error::Options {
                detail: format!("`{}` is not an organisation", org.escape_debug()),
            })?;
            headers.insert(HeaderName::from_static("x-univrs-org"), value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("univrs/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // Upgrades to WebSocket need HTTP/1.1, and no request gains from HTTP/2.
            .http1_only()
            .connect_timeout(CONNECT);
        if is_loopback(&server) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &options.authorities {
            let authorities = reqwest::Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty());
            builder = builder.tls_certs_only(authorities.ok_or_else(|| Error::Options {
                detail: "what the server is to be trusted by are no certificates as PEM".to_owned(),
            })?);
        } else if server.scheme() == "http" {
            // Redirects are not followed, so no certificate is ever looked at. Loading the machine's would take
            // time, and fails in an image that holds nothing but this program.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|error| Error::Options { detail: format!("cannot make HTTP requests: {error}") })?;
        Ok(Self {
            http,
            server,
            token: options.token,
            org: options.org,
            timeout: options.timeout,
            dry_run: options.dry_run,
        })
    }

    /// Address of the server.
    pub fn server(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    /// Whether it carries an API token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The organisation whose objects are meant, if one was given.
    pub fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    pub(crate) async fn get<T>(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
    ) -> Result<Reply<T>, Error> {
        self.send(Request { query, ..Request::new(Method::GET, path) }).await
    }

    pub(crate) async fn post<T>(&self, path: &[&str], body: &impl Serialize) -> Result<Reply<T>, Error> {
        let body = to_value(body)?;
        self.send(Request { body: Body::Json(&body), ..Request::new(Method::POST, path) }).await
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Reply<serde_json::Value>, Error> {
        self.send(Request::new(Method::DELETE, path)).await
    }

    pub(crate) async fn send<T>(&self, request: Request<'_>) -> Result<Reply<T>, Error> {
        let limit = if request.slow { self.timeout } else { self.timeout.min(QUICK) };
        let planned = |one: &(&str, String)| one.0 == "dry_run";
        let only_plan = self.dry_run && request.method != Method::GET && !request.query.iter().any(planned);
        let mut url = self.url(request.path, request.query)?;
        if only_plan {
            url.query_pairs_mut().append_pair("dry_run", "true");
        }
        let builder = self.builder(&request.method, &url).timeout(limit);
        let builder = builder.header(ACCEPT, "application/json");
        let builder = match request.if_match {
            Some(etag) => builder.header(IF_MATCH, etag),
            None => builder,
        };
        // A write that was cut off may have been done; the key makes its repetition harmless.
        let repeatable = request.method == Method::POST && matches!(request.body, Body::Json(_) | Body::None);
        let builder = if repeatable { builder.header("idempotency-key", idempotency_key()) } else { builder };
        let builder = match request.body {
            Body::None => builder,
            Body::Json(value) => builder.json(value),
            Body::Raw(body, kind) => builder.header("content-type", kind).body(body),
        };
        let again = if repeatable { builder.try_clone() } else { None };
        let response = match (self.dispatch(builder).await, again) {
            (Err(Error::Unreachable { .. }), Some(again)) => self.dispatch(again).await?,
            (outcome, _) => outcome?,
        };
        let response = self.checked(response).await?;
        let status = response.status().as_u16();
        let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.map_err(|error| self.transport(error))?;
        if only_plan {
            return Err(Error::Planned { plan: body.to_vec() });
        }
        Ok(Reply { status, etag, body, meaning: PhantomData })
    }

    /// Sends a GET whose reply is read piece by piece, without a limit of time.
    pub(crate) async fn stream(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        accept: &'static str,
    ) -> Result<Response, Error> {
        let builder = self.builder(&Method::GET, &self.url(path, query)?).header(ACCEPT, accept);
        let response = self.dispatch(builder).await?;
        self.checked(response).await
    }

    /// How long a request may take that is not slow by nature.
    pub(crate) fn quick(&self) -> Duration {
        self.timeout.min(QUICK)
    }

    pub(crate) fn builder(&self, method: &Method, url: &Url) -> RequestBuilder {
        self.http.request(method.clone(), url.clone())
    }

    pub(crate) fn url(&self, path: &[&str], query: &[(&'static str, String)]) -> Result<Url, Error> {
        let mut url = self.server.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Options { detail: format!("`{}` is not a server", self.server) })?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    pub(crate) async fn dispatch(&self, builder: RequestBuilder) -> Result<Response, Error> {
        builder.send().await.map_err(|error| self.transport(error))
    }

    /// The response if it says success, otherwise the error that it carries.
    pub(crate) async fn checked(&self, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() || status.as_u16() == 101 {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.transport(error))?;
        Err(refusal(status.as_u16(), &body))
    }

    pub(crate) fn transport(&self, error: reqwest::Error) -> Error {
        let server = self.server().to_owned();
        if error.is_timeout() && !error.is_connect() {
            return Error::Timeout { server };
        }
        Error::Unreachable { server, source: Box::new(error.without_url()) }
    }
}

/// The error in the body of a reply that does not say success.
fn refusal(status: u16, body: &[u8]) -> Error {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) if !(problem.detail.is_empty() && problem.title.is_empty()) => {
            Error::Problem(Box::new(Problem { status, ..problem }))
        }
        Ok(_) | Err(_) => Error::BadReply { status, detail: quote(body) },
    }
}

/// A fresh key of the letters that keys may have.
fn idempotency_key() -> String {
    let random = tokio_tungstenite::tungstenite::handshake::client::generate_key();
    random.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() { "an empty body".to_owned() } else { text.chars().take(QUOTED).collect() }
}

pub(crate) fn to_value(body: &impl Serialize) -> Result<serde_json::Value, Error> {
    serde_json::to_value(body)
        .map_err(|error| Error::Options { detail: format!("cannot write the request: {error}") })
}

/// The server's address; `http` when no scheme is written.
fn parse_server(text: &str) -> Result<Url, Error> {
    let fail =
        |why: &str| Error::Options { detail: format!("`{text}` is not the address of a server: {why}") };
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).map_err(|error| fail(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(fail("it starts with neither `http://` nor `https://`")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Client, ClientOptions, refusal};
    use crate::error::Error;

    fn client(server: &str) -> Result<Client, Error> {
        let timeout = Duration::from_secs(1);
        Client::new(ClientOptions {
            server: server.into(),
            token: None,
            org: None,
            timeout,
            authorities: None,
            dry_run: false,
        })
    }

    #[test]
    fn a_server_without_a_scheme_is_http() {
        for (text, server) in [
            ("localhost:8080", "http://localhost:8080"),
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("https://a.example/base/", "https://a.example/base"),
        ] {
            assert_eq!(client(text).unwrap().server(), server);
        }
        assert!(client("ftp://x").is_err());
        assert!(client("http://").is_err());
    }

    #[test]
    fn segments_and_queries_are_escaped() {
        let client = client("http://h/base").unwrap();
        let url = client.url(&["api", "workloads", "a/b?"], &[("label", "a=b&c".to_owned())]).unwrap();
        assert_eq!(url.as_str(), "http://h/base/api/workloads/a%2Fb%3F?label=a%3Db%26c");
    }

    #[test]
    fn a_refusal_that_is_no_problem_document_keeps_its_status() {
        let error = refusal(502, b"<html>bad gateway");
        assert_eq!(error.status(), Some(502));
        assert!(error.to_string().contains("bad gateway"));
        let error = refusal(404, br#"{"title":"not found","detail":"no workload `web`","code":"not_found"}"#);
        assert!(error.is_not_found());
        assert_eq!(error.to_string(), "no workload `web`");
    }
}
