//! OpenTofu from a plan: a [`Plan`] in, files out, and a checker for them over the providers' own schemas.
//!
//! ```text
//! Plan ──► one root for each region (aws, azurerm, google, oci, hcloud, digitalocean) ──┐
//!      ──► shared roots: dns, links ────────────────────────────────────────────────────┼─► path → bytes ─► check
//!      ──► shared/mesh.json, wireguard/*.conf, inventory.yaml, README.md ───────────────┘
//! ```
//!
//! Invariants, each with a property test:
//! - EMI-1: every emitted `*.tf.json` passes [`check`] over the schemas of all seven providers, cross-root outputs
//!   included.
//! - EMI-2: the same plan gives the same bytes.
//! - EMI-3: editing one region changes only its own root and what is shared.
//! - EMI-4: no secret stands in a file; what is secret is a variable without default.

mod aws;
mod azure;
mod balancer;
pub mod check;
mod cloud_init;
mod digitalocean;
mod emission;
mod emit;
mod gcp;
mod hetzner;
mod inventory;
mod links;
mod names;
mod oci;
mod quantity;
mod readme;
mod seeds;
mod site;
mod sizes;
mod tf;
mod undone;
mod wireguard;

pub use emission::{Emission, EmitError, Gap};
pub use emit::{Options, emit};
pub use tf::Backend;

#[cfg(doc)]
use univrs_topology::plan::Plan;
