//! `/mcp`: the MCP server inside this one. Its tools use the API's own handlers, in the name of who called.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, header};
use tower::ServiceExt;
use univrs_mcp::{Api, ApiFault, ApiReply, ApiRequest, Gate};
use univrs_model::caller::Caller;

use crate::App;

/// Where it is served.
pub(crate) const PATH: &str = "/mcp";
/// Largest answer of the API that a tool takes, in bytes.
const LARGEST_ANSWER: usize = 32 << 20;

/// The path of the server.
pub(crate) fn router(app: &App) -> Router<App> {
    let (routes, _) = crate::routes().split_for_parts();
    let routes = routes.with_state(app.clone());
    let gate = Gate::Each(Arc::new(move |parts: &Parts| {
        let caller = parts.extensions.get::<Caller>()?.clone();
        Some(Arc::new(Inside { routes: routes.clone(), caller }) as Arc<dyn Api>)
    }));
    Router::new().route_service(PATH, univrs_mcp::service(gate, app.shutdown.clone()))
}

/// The API without the network: the caller is known already, and the control plane asks the policy as ever.
struct Inside {
    routes: Router,
    caller: Caller,
}

#[async_trait]
impl Api for Inside {
    async fn send(&self, request: ApiRequest) -> Result<ApiReply, ApiFault> {
        let uri = univrs_mcp::address(&request);
        let mut built = Request::builder().method(request.method).uri(uri).extension(self.caller.clone());
        if let Some(revision) = request.if_revision {
            built = built.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        let body = match request.body {
            None => Body::empty(),
            Some(json) => {
                built = built.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
        };
        let request =
            built.body(body).map_err(|error| ApiFault(format!("the request is not one: {error}")))?;
        let response = match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), LARGEST_ANSWER)
            .await
            .map_err(|error| ApiFault(format!("the answer could not be read: {error}")))?;
        Ok(ApiReply { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}
