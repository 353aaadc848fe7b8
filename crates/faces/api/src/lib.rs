//! The REST and WebSocket face: HTTP in, calls of [`univrs_control::Control`] out, nothing decided here.
//!
//! Handlers live in one file per noun and are documented where they stand; `openapi.json` is generated from them.
//! Errors become problem documents in `problem.rs` alone; who may come in is decided in `access.rs`.

mod access;
mod actions;
mod backup;
mod body;
mod certificates;
pub mod codes;
pub mod elsewhere;
mod history;
mod image_plans;
mod images;
mod join_tokens;
mod mcp;
mod mesh;
mod metrics;
mod network;
mod nodes;
mod operations;
mod orgs;
mod page;
mod peers;
mod plans;
mod probes;
mod problem;
mod problems;
mod reach;
mod resources;
mod schemas;
mod secrets;
mod sockets;
mod tokens;
mod topologies;
mod upgrade;
mod volumes;
mod watching;
mod workloads;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;
use univrs_control::Control;
use univrs_ports::clock::Clock;
use univrs_ports::images::ImageLibrary;
use univrs_ports::mesh::Mesh;
use univrs_ports::notify::Notifier;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use elsewhere::{Forward, Leaves};

pub use axum::serve::Listener;
pub use metrics::Metrics;
pub use peers::Peers;
pub use problem::Problem;

/// How long running requests may go on after the server was asked to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    /// The control plane.
    pub control: Control,
    /// Images on this machine.
    pub images: Arc<dyn ImageLibrary>,
    /// The encrypted network between nodes.
    pub mesh: Arc<dyn Mesh>,
    /// Other nodes, as gossip and discovery see them.
    pub peers: Peers,
    /// Checks where alerts are to be told.
    pub notifier: Arc<dyn Notifier>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What Prometheus sees.
    pub metrics: Arc<Metrics>,
    /// What this node leaves to others, and how it reaches them; on a validator nothing.
    pub elsewhere: Option<Elsewhere>,
    /// Whether the API is bound to loopback: whoever reaches it is then the local administrator.
    pub loopback: bool,
    /// Cancelled when the server is to stop.
    pub shutdown: CancellationToken,
}

/// Requests that this node does not answer itself.
#[derive(Clone)]
pub struct Elsewhere {
    /// Which.
    pub leaves: Leaves,
    /// How they reach a node that answers.
    pub through: Arc<dyn Forward>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Univrs",
    description = "Machines from any cloud as one self-healing computer.\n\nOn loopback no token is needed. Elsewhere \
        send `Authorization: Bearer <token>`, or for a WebSocket `Sec-WebSocket-Protocol: univrs.bearer.<token>`. \
        `x-univrs-action` says which action of the policy an operation needs. `X-Univrs-Org`, or `org` in the query, \
        chooses the organisation for who may act in several.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Document;

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(probes::router())
        .merge(nodes::router())
        .merge(upgrade::router())
        .merge(peers::router())
        .merge(workloads::router())
        .merge(reach::router())
        .merge(images::router())
        .merge(orgs::router())
        .merge(tokens::router())
        .merge(backup::router())
        .merge(join_tokens::router())
        .merge(secrets::router())
        .merge(volumes::router())
        .merge(certificates::router())
        .merge(resources::router())
        .merge(watching::router())
        .merge(history::router())
        .merge(operations::router())
        .merge(topologies::router())
        .merge(plans::router())
        .merge(problems::router())
        .merge(mesh::router())
        .merge(access::router())
        .merge(sockets::router())
        .merge(network::router())
        .routes(utoipa_axum::routes!(openapi_document))
}

/// The OpenAPI document, as it is committed and served.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().split_for_parts().1;
    actions::describe(&mut document);
    for (path, item) in &mut document.paths.paths {
        let methods = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ];
        for (method, operation) in methods {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
            }
        }
    }
    schemas::complete(&mut document);
    document
}

/// A name for a route that no other has: `get /api/workloads/{workload}/logs` is `get_workloads_workload_logs`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(['/', '.', '-']).map(|word| word.trim_matches(['{', '}', '*']));
    let words = words.filter(|word| !word.is_empty() && *word != "api");
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "probes", responses((status = OK, body = Object)))]
async fn openapi_document() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(openapi())
}

/// The whole face as a service.
pub fn router(app: App) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .merge(mcp::router(&app))
        .fallback(site)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(body::LARGEST_BODY))
        .layer(axum::middleware::from_fn_with_state(app.clone(), access::admit))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The server failed",
                "the server could not complete the request; its log says why",
            )
            .into_response()
        }))
        .layer(axum::middleware::from_fn_with_state(app.clone(), measure))
        .with_state(app)
}

/// Serves until `app.shutdown` is cancelled, then lets running requests end.
///
/// # Errors
/// When the listener fails.
pub async fn serve<L: Listener>(listener: L, app: App) -> std::io::Result<()>
where
    L::Addr: std::fmt::Debug,
{
    let stop = app.shutdown.clone();
    let drained = app.shutdown.clone();
    let server =
        axum::serve(listener, router(app)).with_graceful_shutdown(async move { stop.cancelled().await });
    tokio::select! {
        result = server => result,
        () = async { drained.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!("requests were still running when the server stopped");
            Ok(())
        }
    }
}

async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // Whatever is said of the request on its way carries the id that its reply and the audit log have.
    let span = tracing::info_span!("request", %method, route, id = tracing::field::Empty);
    let begun = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let took = begun.elapsed();
    app.metrics.answered(method.as_str(), &route, response.status().as_u16(), took);
    span.in_scope(|| {
        let status = response.status().as_u16();
        tracing::debug!(status, millis = took.as_secs_f64() * 1e3, "answered");
    });
    response
}

/// Whether this program was built with the dashboard.
pub const fn has_dashboard() -> bool {
    univrs_dashboard::site::is_present()
}

/// Views and files of the dashboard; a problem for every other path.
async fn site(request: Request) -> Response {
    let found = univrs_dashboard::site::answer(request.method(), request.uri().path(), request.headers());
    found.unwrap_or_else(|| no_such_path(request.uri()).into_response())
}

fn no_such_path(uri: &axum::http::Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "No such path",
        format!("nothing is served at {}", uri.path().escape_default()),
    )
    .hint("GET /api/openapi.json lists what is")
}

async fn no_such_method() -> Problem {
    Problem::no_such_method(Vec::new())
}
