//! Request bodies and queries: strict, typed, with a problem document for each way to be wrong.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use univrs_control::{Idempotency, WriteOptions};
use univrs_model::decode;
use univrs_model::field::FieldError;

use crate::problem::Problem;

/// Largest JSON body, in bytes.
pub(crate) const LARGEST_BODY: usize = 1 << 20;
/// Longest `Idempotency-Key`.
const LONGEST_KEY: usize = 200;

/// A JSON body with the bytes it was read from.
pub(crate) struct Json<T> {
    /// The decoded body.
    pub(crate) value: T,
    /// The body as sent, for fingerprints.
    pub(crate) raw: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let raw = read(request, state).await?;
        let value = decode::from_json(&raw).map_err(Problem::from)?;
        Ok(Self { value, raw })
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "The body is too large",
                format!("a body has at most {LARGEST_BODY} bytes"),
            )
        } else {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_input",
                "The body could not be read",
                rejection.body_text(),
            )
        }
    })
}

/// JSON is expected. A missing type, or the form type that curl sends by itself, is taken for JSON too, but not
/// from a browser: a page of another site can send those without asking first.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = headers.get(header::CONTENT_TYPE).map(|value| {
        value.to_str().unwrap_or("?").split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    });
    let from_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    let is_json = |kind: &str| {
        kind == "application/json"
            || kind.strip_prefix("application/").is_some_and(|rest| rest.ends_with("+json"))
    };
    match essence.as_deref() {
        Some(kind) if is_json(kind) => Ok(()),
        None | Some("application/x-www-form-urlencoded") if !from_browser => Ok(()),
        kind => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body is not JSON",
            format!("the content type is {}", kind.unwrap_or("missing")),
        )
        .hint("send `Content-Type: application/json`")),
    }
}

/// A query string, decoded strictly.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|rejection| {
            let detail = rejection.body_text();
            let detail = detail.rsplit("string: ").next().unwrap_or(&detail).to_owned();
            Problem::from(FieldError::new("query", detail))
        })
    }
}

/// The headers that govern a write: `If-Match` and `Idempotency-Key`.
///
/// # Errors
/// When either is malformed.
pub(crate) fn write_options(headers: &HeaderMap, request: &str, raw: &[u8]) -> Result<WriteOptions, Problem> {
    let if_revision = headers.get(header::IF_MATCH).map(parse_etag).transpose()?.flatten();
    let idempotency = headers
        .get("idempotency-key")
        .map(|value| {
            let key = value.to_str().ok().filter(|key| {
                (1..=LONGEST_KEY).contains(&key.len())
                    && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
            });
            let Some(key) = key else {
                return Err(Problem::from(FieldError::new(
                    "Idempotency-Key",
                    format!("a key has 1 to {LONGEST_KEY} letters, digits and `-_.:`"),
                )));
            };
            let mut hash = Sha256::new();
            hash.update(request.as_bytes());
            hash.update([0]);
            hash.update(raw);
            Ok(Idempotency { key: key.to_owned(), fingerprint: hex::encode(hash.finalize()) })
        })
        .transpose()?;
    Ok(WriteOptions { if_revision, idempotency })
}

/// `"17"` or `W/"17"` or `17` is revision 17; `*` is any.
fn parse_etag(value: &axum::http::HeaderValue) -> Result<Option<u64>, Problem> {
    let text = value.to_str().unwrap_or("?").trim();
    if text == "*" {
        return Ok(None);
    }
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let number = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let number = if text.starts_with("W/") { number } else { number.or(Some(text)) };
    let plain = number.filter(|digits| {
        (1..=18).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    plain.and_then(|digits| digits.parse().ok()).map(Some).ok_or_else(|| {
        Problem::from(
            FieldError::new("If-Match", format!("`{}` is not a revision", text.escape_default()))
                .hint("send the `ETag` of the object as it was read"),
        )
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::parse_etag;

    #[test]
    fn an_etag_is_a_revision() {
        let parse = |text: &str| parse_etag(&HeaderValue::from_str(text).unwrap()).ok();
        assert_eq!(parse("*"), Some(None));
        for good in ["\"17\"", "W/\"17\"", "17", " \"17\" "] {
            assert_eq!(parse(good), Some(Some(17)), "{good}");
        }
        for bad in ["", "\"17", "17\"", "W/17", "+17", "\"\"", "abc", "9999999999999999999", "W/*"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
