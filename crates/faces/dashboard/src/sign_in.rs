//! The page for a browser that reaches an API which wants a token: it asks for one, and nothing else is on it. Its
//! answer is 401, as for anyone else.
//!
//! The page asks for `/` with the token. The answer of a server that takes it sets a cookie that opens the
//! dashboard's files and nothing more; the token stays in the tab, for the API. A request that another site makes the
//! browser send carries no token, so it can do nothing.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::site::guard;

/// The cookie that opens the files.
const COOKIE: &str = "univrs_site";

const SCRIPT: &str = include_str!("sign_in.js");
const STYLE: &str = include_str!("sign_in.css");

/// Nothing from elsewhere; the one script and the one style by their hashes, which a test compares with the texts.
const POLICY: &str = "default-src 'none'; script-src 'sha256-cHDxtjqTdmIIdLohvhfO5M5IxFIne5r55YD3TY6ae+s='; \
    style-src 'sha256-f1UGNjUfbrKxH4B+uiY+Rg/Ayk8OqZ6RKmma01rup0g='; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The page.
pub fn page() -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sign in - Univrs</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>{STYLE}</style></head>\n\
         <body><main><h1>Univrs</h1><p>This server wants to know who asks. Give an API token; whoever runs the cluster \
         makes one with <code>univrs token create</code>.</p>\n\
         <form id=\"form\"><label for=\"token\">API token</label><input id=\"token\" type=\"password\" required \
         autocomplete=\"off\" spellcheck=\"false\" autofocus>\n<button>Sign in</button>\
         <p id=\"talk\" role=\"alert\"></p></form></main>\n<script>{SCRIPT}</script></body></html>\n"
    );
    let mut response = (StatusCode::UNAUTHORIZED, text).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    guard(fields, POLICY);
    response
}

/// Whether a request carries the cookie with this pass.
pub fn has_pass(headers: &HeaderMap, pass: &str) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|list| list.split(';')).any(|one| one.trim().split_once('=') == Some((COOKIE, pass)))
}

/// Gives the browser the pass.
pub fn give_pass(response: &mut Response, pass: &str) {
    if let Ok(cookie) = HeaderValue::from_str(&format!("{COOKIE}={pass}; Path=/; HttpOnly; SameSite=Strict"))
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
    use base64::Engine as _;
    use sha2::{Digest, Sha256};

    use super::{give_pass, has_pass, page};

    #[test]
    fn the_page_is_a_refusal_without_unsafe_rules() {
        let page = page();
        assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("unsafe") && policy.matches("sha256-").count() == 2, "{policy}");
    }

    #[test]
    fn the_rules_name_the_texts_that_are_on_the_page() {
        for (text, file) in [(super::SCRIPT, "script-src"), (super::STYLE, "style-src")] {
            let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
            let rule = format!("{file} 'sha256-{digest}'");
            assert!(super::POLICY.contains(&rule), "write {rule} into the policy");
        }
    }

    #[test]
    fn only_the_very_pass_opens() {
        let read = |cookie: &'static str| {
            has_pass(&HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookie))]), "abc")
        };
        assert!(read("univrs_site=abc") && read("a=b; univrs_site=abc"));
        assert!(!read("univrs_site=abcd") && !read("site=abc") && !read("") && !read("univrs_site="));
        let mut response = page();
        give_pass(&mut response, "abc");
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    }
}
