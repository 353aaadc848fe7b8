//! The HTTP ingress of a node: a reverse proxy from host names and paths to instances.
//!
//! The service table says which instances may get new requests; one that leaves it finishes what it has. Every
//! request looks at the table of its moment, so there is no delay between a change and its effect.

mod backend;
mod body;
mod headers;
mod metrics;
mod options;
mod proxy;
mod routes;
mod server;
mod tls;

pub use metrics::{IngressMetrics, WorkloadSnapshot};
pub use options::IngressOptions;
pub use server::{Ingress, IngressListener};
pub use tls::{Certificates, Certified, TlsError, server_config};
pub use tokio_rustls::rustls::ServerConfig;
