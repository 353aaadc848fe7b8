//! The built files and how they are answered: the right compressed form, tags, lifetimes, and the rules that the
//! browser has to keep. Paths that are no file are views of the page, which reads them itself.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One built file.
#[derive(Clone, Copy, Debug)]
struct File {
    path: &'static str,
    kind: &'static str,
    tag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

/// What was built, sorted by path.
const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/site.rs"));

/// What the page may do: load its own files and talk to its own server, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Where files with a hash in their name lie: what such an address answers never changes.
const HASHED: &str = "assets/";

/// Paths that belong to the API, whatever is asked for.
const API: [&str; 6] = ["api", "ws", "mcp", "healthz", "readyz", "metrics"];

/// Whether this binary was built with the dashboard.
pub const fn is_present() -> bool {
    !FILES.is_empty()
}

/// Whether a request is for the dashboard rather than for the API.
pub fn is_for_site(method: &Method, path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or("");
    (method == Method::GET || method == Method::HEAD) && !API.contains(&first)
}

/// Whether a browser asks for a page to show.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The answer for a path of the dashboard; none where nothing is: a file that does not exist, or a view that is asked
/// for by a program that does not want a page.
pub fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    if !is_for_site(method, path) {
        return None;
    }
    let wanted = path.trim_start_matches('/');
    if !is_present() {
        return (wanted.is_empty() || wants_page(headers)).then(absent);
    }
    let find = |path: &str| FILES.iter().find(|file| file.path == path);
    let view = || wanted.is_empty() || (!wanted.starts_with(HASHED) && wants_page(headers));
    let file = find(wanted).or_else(|| view().then(|| find("index.html")).flatten())?;
    Some(file.answer(headers))
}

impl File {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", self.tag);
        let lifetime =
            if self.path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
        let known =
            text(header::IF_NONE_MATCH).split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
        let (body, encoding) = if known { (&[][..], None) } else { self.form(text(header::ACCEPT_ENCODING)) };
        let mut response = Response::new(Body::from(body));
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let fields = response.headers_mut();
        if let Some(encoding) = encoding {
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            fields.insert(header::ETAG, tag);
        }
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime));
        fields.insert(header::VARY, HeaderValue::from_static("accept-encoding, cookie"));
        guard(fields, POLICY);
        response
    }

    /// The smallest form that the client takes, with its name.
    fn form(&self, accepted: &str) -> (&'static [u8], Option<&'static str>) {
        let takes = |name: &str| {
            accepted.split(',').any(|one| {
                let (coding, quality) = one.split_once(';').unwrap_or((one, ""));
                let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
                coding.trim().eq_ignore_ascii_case(name) && !refused
            })
        };
        match (self.brotli, self.gzip) {
            (Some(bytes), _) if takes("br") => (bytes, Some("br")),
            (_, Some(bytes)) if takes("gzip") => (bytes, Some("gzip")),
            _ => (self.plain, None),
        }
    }
}

/// The rules for the browser that every answer carries.
pub(crate) fn guard(fields: &mut HeaderMap, policy: &'static str) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    fields.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
}

const ABSENT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Univrs</title>\n\
    <h1>This binary was built without the dashboard</h1>\n\
    <p>Build it with <code>make build</code> on a machine that has Node 20 or newer. The API is at \
    <a href=\"/api/openapi.json\">/api/openapi.json</a>; the <code>univrs</code> command can do all that it can.</p>\n";

fn absent() -> Response {
    let mut response = (StatusCode::NOT_FOUND, ABSENT).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    guard(fields, "default-src 'none'; frame-ancestors 'none'");
    response
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

    use super::{FILES, File, answer, is_for_site, is_present};

    const FILE: File = File {
        path: "assets/a-1.js",
        kind: "text/javascript; charset=utf-8",
        tag: "abc",
        plain: b"plain",
        gzip: Some(b"gz"),
        brotli: Some(b"br"),
    };

    fn headers(list: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_smallest_accepted_form_is_sent() {
        for (accepted, encoding) in [
            ("", None),
            ("gzip, deflate", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("br")),
            ("br;q=0, gzip", Some("gzip")),
            ("identity", None),
        ] {
            assert_eq!(FILE.form(accepted).1, encoding, "{accepted}");
        }
    }

    #[test]
    fn a_known_tag_is_not_sent_again_and_hashed_names_live_for_ever() {
        let fresh = FILE.answer(&HeaderMap::new());
        assert_eq!(fresh.status(), StatusCode::OK);
        assert!(fresh.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let policy = fresh.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("unsafe") && policy.contains("default-src 'none'"), "{policy}");
        let known = FILE.answer(&headers(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")]));
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn the_api_keeps_its_paths() {
        for path in ["/api", "/api/nothing", "/ws/orchestrator", "/mcp", "/healthz", "/readyz", "/metrics"] {
            assert!(!is_for_site(&Method::GET, path), "{path}");
            assert!(
                answer(&Method::GET, path, &headers(&[(header::ACCEPT, "text/html")])).is_none(),
                "{path}"
            );
        }
        assert!(is_for_site(&Method::GET, "/workloads/web"));
        assert!(!is_for_site(&Method::POST, "/workloads/web"));
    }

    #[test]
    fn views_are_for_browsers_and_missing_files_are_missing() {
        let page = headers(&[(header::ACCEPT, "text/html,*/*")]);
        let view = answer(&Method::GET, "/workloads/web", &page).unwrap();
        let expected = if is_present() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(view.status(), expected);
        assert!(answer(&Method::GET, "/", &HeaderMap::new()).is_some());
        assert!(answer(&Method::GET, "/workloads/web", &HeaderMap::new()).is_none());
        assert_eq!(answer(&Method::GET, "/assets/gone.js", &page).is_none(), is_present());
        for file in FILES {
            assert!(file.kind != "application/octet-stream", "{} has no type", file.path);
        }
    }
}
