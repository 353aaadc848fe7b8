//! The server on standard input and output, as MCP clients start it.

use std::sync::Arc;

use rmcp::ServiceExt;
use rmcp::transport::io::stdio_pipes;

use crate::api::{Api, Gate};
use crate::server::Server;

/// Serves on standard input and output until the client closes them.
///
/// # Errors
/// When the first message is not one of the protocol, in a sentence.
pub async fn serve_stdio(api: Arc<dyn Api>) -> Result<(), String> {
    let server = Server::new(Gate::One(api));
    let running =
        server.serve(stdio_pipes()).await.map_err(|error| format!("no MCP client speaks: {error}"))?;
    running.waiting().await.map_err(|error| format!("the MCP server ended badly: {error}"))?;
    Ok(())
}
