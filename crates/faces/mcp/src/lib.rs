//! The MCP face: tools, resources and prompts for AI operators, over the public API and under the same policy.
//!
//! A tool is one or a few requests of the REST API and a summary of what came back. How the requests are carried is
//! the business of an [`Api`]: inside the daemon they go straight to the API's own handlers, and `univrs mcp` sends
//! them to a server over HTTP. So there is one implementation of every tool, and nothing that an AI operator does takes
//! another path than what a person does.
//!
//! Changes come in two steps: a tool that writes answers the plan of the change, and `plan_apply` carries it out.
//! What ends instances or removes objects waits for a person between the two; no tool approves anything.
//!
//! Absent by design: commands inside containers, values of secrets, tokens.

mod api;
mod arguments;
mod consent;
mod http;
mod prompts;
mod reply;
mod resources;
mod server;
mod stdio;
mod tools;
mod untrusted;
mod wait;

pub use api::{Api, ApiFault, ApiReply, ApiRequest, Gate, OpenFor, address};
pub use http::{LARGEST_REQUEST, Service, service, service_of};
pub use server::Server;
pub use stdio::serve_stdio;
pub use tools::{MOST_BYTES, MOST_TOOLS, listed};
