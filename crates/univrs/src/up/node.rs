//! What this node says of itself.

use univrs_cli::UpArgs;
use univrs_model::Timestamp;
use univrs_model::node::{Location, Node, RuntimeKind};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity};
use crate::machine;

/// The node as it registers with the control plane.
pub(super) fn describe(
    args: &UpArgs,
    dir: &DataDir,
    identity: &Identity,
    runtime: Option<RuntimeKind>,
    now: Timestamp,
) -> Result<Node, Failure> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => machine::name()?,
    };
    let mut roles = args.role.clone();
    roles.sort_unstable();
    roles.dedup();
    Ok(Node {
        id: identity.node.clone(),
        name,
        roles,
        location: Location {
            cloud: args.cloud.clone(),
            region: args.region.clone(),
            zone: args.zone.clone(),
            operator: args.operator.clone(),
        },
        capacity: machine::capacity(
            dir.root(),
            args.capacity.unwrap_or_default(),
            args.overcommit.cpu,
            args.overcommit.memory,
        ),
        runtime,
        api_address: args.api.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        bind_paths: args.allow_bind.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        labels: args.labels.iter().cloned().collect(),
        created_at: now,
    })
}
