//! The name server of a node: `<workload>.internal` from the service table, all else from the host's resolvers.

mod answer;
mod forward;
mod server;

pub use forward::{Upstreams, host_resolvers};
pub use server::{DnsError, DnsOptions, DnsServer};
