//! The network of a plan drawn: regions as areas with their gateways, load balancers, roles and services, the tunnels
//! and links between them, and the name that leads to them.

mod mermaid;
mod picture;
mod svg;

pub use mermaid::mermaid;
pub use svg::svg;
