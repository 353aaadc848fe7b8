//! What this node says of itself.

use univrs_cli::UpArgs;
use univrs_model::Timestamp;
use univrs_model::name::Name;
use univrs_model::node::{Location, Node, RuntimeKind};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};
use crate::machine;
use crate::program::release;

/// The name of this node: the one it has, or that of the host.
pub(super) fn name(args: &UpArgs) -> Result<Name, Failure> {
    match &args.name {
        Some(name) => Ok(name.clone()),
        None => machine::name(),
    }
}

/// Where this machine stands.
pub(super) fn location(args: &UpArgs) -> Location {
    Location {
        cloud: args.cloud.clone(),
        region: args.region.clone(),
        zone: args.zone.clone(),
        operator: args.operator.clone(),
    }
}

/// The node as it registers with the control plane. `address` is where other nodes reach it.
pub(super) fn describe(
    args: &UpArgs,
    dir: &DataDir,
    identity: &Identity,
    standing: &Standing,
    runtime: Option<RuntimeKind>,
    address: Option<String>,
    now: Timestamp,
) -> Node {
    Node {
        id: identity.node.clone(),
        name: args.name.clone().filter(|_| !standing.joined).unwrap_or_else(|| standing.name.clone()),
        roles: standing.roles.clone(),
        location: location(args),
        capacity: machine::capacity(
            dir.root(),
            args.capacity.unwrap_or_default(),
            args.overcommit.cpu,
            args.overcommit.memory,
        ),
        runtime,
        api_address: args.api.to_string(),
        address,
        block: identity.range.clone(),
        wireguard: None,
        peer: None,
        version: release::own().version,
        bind_paths: args.allow_bind.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        labels: args.labels.iter().cloned().collect(),
        created_at: now,
    }
}
