//! The server over Streamable HTTP, without sessions: every request stands for itself, so any node can answer it.

use std::sync::Arc;

use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::api::Gate;
use crate::server::Server;

/// Largest request, in bytes.
pub const LARGEST_REQUEST: usize = 1 << 20;

/// The server as a service of an HTTP server.
pub type Service = StreamableHttpService<Server, NeverSessionManager>;

/// The server as a service, until `shutdown`.
///
/// The HTTP server in front says who may come in: it checks `Host`, `Origin` and tokens for all its paths, so nothing is
/// checked a second time and differently here.
pub fn service(gate: Gate, shutdown: CancellationToken) -> Service {
    service_of(Server::new(gate), shutdown)
}

/// Any handler with this server's transport settings; the conformance suite's fixtures are another.
pub fn service_of<S: ServerHandler + Clone>(
    server: S,
    shutdown: CancellationToken,
) -> StreamableHttpService<S, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(LARGEST_REQUEST)
        .with_cancellation_token(shutdown)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config)
}
