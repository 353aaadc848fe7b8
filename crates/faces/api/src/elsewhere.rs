//! Requests that another node has to answer: this one opens no sealed values, or cannot tell whose a token is.
//!
//! A request goes on as it came, once. Who asks is decided where it is answered: by the token it carries or, without
//! one, by the node that hands it on, if that node is trusted with the state.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{MatchedPath, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use univrs_authz::Action;

use crate::actions::{self, Access, Route};
use crate::problem::Problem;
use crate::{App, mcp};

/// Hands requests to a node that answers all of them.
#[async_trait]
pub trait Forward: Send + Sync {
    /// The answer of that node, an upgraded connection included.
    ///
    /// # Errors
    /// When no such node could be reached, or it was lost before it answered.
    async fn forward(&self, request: Request) -> Result<Response, NotAnswered>;
}

/// Why a request that was handed on has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAnswered {
    /// It reached nobody, for this reason.
    Unreached(String),
    /// The connection broke before the answer: it may have been done.
    Lost(String),
}

/// What this node leaves to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// What needs the key that opens secrets: it has the state, and not the key.
    Sealed,
    /// Every request with a token, but what is about the images that this machine has: it sees no tokens.
    Tokens,
}

/// Marks a request that another member hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedOn {
    /// Whether that member holds the state, and therefore may speak for its local administrator.
    pub trusted: bool,
}

/// The way to a node that has to answer this request, if it is one that this node leaves to others.
pub(crate) fn leaves(app: &App, request: &Request) -> Option<Arc<dyn Forward>> {
    let elsewhere = app.elsewhere.as_ref()?;
    if request.extensions().get::<HandedOn>().is_some() {
        return None;
    }
    let pattern = request.extensions().get::<MatchedPath>()?.as_str();
    let needs = match actions::route(request.method(), pattern) {
        Route::Known(Access::Needs(action, _)) => Some(action),
        _ => None,
    };
    let leaves = match elsewhere.leaves {
        Leaves::Sealed => {
            let sealed = matches!(
                needs,
                Some(Action::SecretWrite | Action::ResourceWrite | Action::ResourceCredentials)
            );
            sealed || pattern == mcp::PATH || pattern == "/api/plans/{plan}/apply"
        }
        Leaves::Tokens => {
            let carries = request.headers().contains_key(header::AUTHORIZATION)
                || request.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL);
            let about_others =
                needs.is_some_and(|action| !matches!(action, Action::ImageRead | Action::ImageWrite));
            // What is sent into the cluster has to lie where others may take it from.
            let sent = pattern.starts_with("/api/images/blobs/") || pattern == "/api/images/manifest";
            carries && (about_others || sent || pattern == mcp::PATH)
        }
    };
    leaves.then(|| elsewhere.through.clone())
}

/// Hands a request on.
pub(crate) async fn hand_on(through: &dyn Forward, request: Request) -> Response {
    match through.forward(request).await {
        Ok(response) => response,
        Err(NotAnswered::Unreached(reason)) => {
            let detail = format!("only a validator can answer this, and none is reached from here: {reason}");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "No validator answers", detail)
                .hint("try again when this node reaches one, or ask one directly with `--server`")
                .into_response()
        }
        Err(NotAnswered::Lost(reason)) => {
            let detail = format!("the validator that was asked went away before it answered: {reason}");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", "It may have been done", detail)
                .hint("look whether it was done before doing it again")
                .into_response()
        }
    }
}
