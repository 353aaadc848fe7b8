//! `univrs mcp`: the MCP server on standard input and output, in front of the server's public API.

use std::sync::Arc;

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use univrs_client::{Client, RawRequest};
use univrs_mcp::{Api, ApiFault, ApiReply, ApiRequest};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Serve AI operators on standard input and output (Model Context Protocol).
#[derive(Args, Debug)]
pub(crate) struct McpArgs {
    /// How much the operator may do; `observe` without a token, else what the token grants
    #[arg(long, value_enum)]
    mode: Option<Mode>,
}

/// How much an AI operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Look at everything but logs and secrets
    Observe,
    /// Also read logs and plan and apply changes of workloads
    Operate,
    /// Also plan and apply changes of nodes
    Admin,
}

impl Mode {
    const fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl McpArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let mode = match (self.mode, context.client.has_token()) {
            (Some(mode), _) => Some(mode),
            (None, true) => None,
            (None, false) => Some(Mode::Observe),
        };
        let api = Remote { client: context.client.clone(), mode };
        match univrs_mcp::serve_stdio(Arc::new(api)).await {
            Ok(()) => Ok(Exit::Ok),
            Err(detail) => Err(Fault::failed(
                detail,
                Some("this command is for MCP clients: they start it and speak to it; see docs/mcp.md"),
            )),
        }
    }
}

/// The API of a server, over the network.
struct Remote {
    client: Client,
    mode: Option<Mode>,
}

#[async_trait]
impl Api for Remote {
    async fn send(&self, request: ApiRequest) -> Result<ApiReply, ApiFault> {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let raw = RawRequest {
            method: &request.method,
            path: &path,
            query: &request.query,
            body: request.body.as_ref(),
            if_revision: request.if_revision,
            mode: self.mode.map(Mode::word),
        };
        match self.client.raw(raw).await {
            Ok(reply) => Ok(ApiReply { status: reply.status, body: reply.body }),
            Err(error) => Err(ApiFault(crate::fault::chain(&error))),
        }
    }
}
