//! The way to the API: what a tool asks, and who carries it.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use http::request::Parts;
use serde_json::Value;

/// A request of the REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    /// The method.
    pub method: Method,
    /// The path as segments, unescaped.
    pub path: Vec<String>,
    /// The query, unescaped.
    pub query: Vec<(&'static str, String)>,
    /// The JSON body, if there is one.
    pub body: Option<Value>,
    /// The revision that the object must still have.
    pub if_revision: Option<u64>,
}

impl ApiRequest {
    /// A request without query and body.
    pub fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self { method, path, query: Vec::new(), body: None, if_revision: None }
    }

    /// A GET.
    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Adds to the query, when there is something to add.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (key, value.to_string())));
        self
    }

    /// Adds a body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The plan of the write instead of the write.
    #[must_use]
    pub fn planned(self) -> Self {
        self.with("dry_run", Some("true"))
    }
}

/// The path and query of a request, escaped.
pub fn address(request: &ApiRequest) -> String {
    let mut address = String::new();
    for segment in &request.path {
        address.push('/');
        escape(segment, &mut address);
    }
    for (index, (key, value)) in request.query.iter().enumerate() {
        address.push(if index == 0 { '?' } else { '&' });
        escape(key, &mut address);
        address.push('=');
        escape(value, &mut address);
    }
    address
}

fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// What the API answered: the status and the body's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// The API could not be asked, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFault(pub String);

/// Carries requests to the API in the name of one caller.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Sends a request. A refusal by the API is a reply, not a fault.
    async fn send(&self, request: ApiRequest) -> Result<ApiReply, ApiFault>;
}

/// Finds the API in the name of whoever sent a request; none when nobody is known to have.
pub type OpenFor = dyn Fn(&Parts) -> Option<Arc<dyn Api>> + Send + Sync;

/// Where the API for a call comes from.
#[derive(Clone)]
pub enum Gate {
    /// All calls come from one caller, as over stdio.
    One(Arc<dyn Api>),
    /// Each HTTP request has its caller, whom the server in front has put into its parts.
    Each(Arc<OpenFor>),
}

impl Gate {
    /// The API for a call that came with these parts; none when nobody is known to have made it.
    pub(crate) fn open(&self, parts: Option<&Parts>) -> Option<Arc<dyn Api>> {
        match self {
            Self::One(api) => Some(Arc::clone(api)),
            Self::Each(open) => open(parts?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiRequest, address};

    #[test]
    fn addresses_are_escaped() {
        let request = ApiRequest::get(&["api", "workloads", "a/b?"]).with("label", Some("a=b&c ü"));
        assert_eq!(address(&request), "/api/workloads/a%2Fb%3F?label=a%3Db%26c%20%C3%BC");
    }
}
