//! How this machine belongs to a cluster: it goes on where it was, joins one, or founds its own.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use univrs_cli::UpArgs;
use univrs_model::Timestamp;
use univrs_model::member::JoinRequest;
use univrs_model::node::Role;

use crate::cluster::trust::Trust;
use crate::cluster::{address, joining};
use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};
use crate::program::release;
use crate::up::{node, sealing};

/// Listens for other nodes. A machine that is alone does without when the port is taken.
pub(super) async fn listen(
    args: &UpArgs,
    identity: &Identity,
    others: bool,
) -> Result<Option<TcpListener>, Failure> {
    let joined = identity.standing.as_ref().is_some_and(|standing| standing.joined);
    match TcpListener::bind(args.node_listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) if others || joined || wants_to_join(args, identity) => {
            Err(Failure::NodePort { address: args.node_listen, source })
        }
        Err(error) => {
            tracing::warn!(address = %args.node_listen, %error, "no other machine can join this node; stop what has the port or give another --node-listen");
            Ok(None)
        }
    }
}

fn wants_to_join(args: &UpArgs, identity: &Identity) -> bool {
    !args.join.is_empty() && identity.standing.is_none() && !identity.founded
}

/// What this machine is as a member.
pub(super) async fn settle(
    args: &UpArgs,
    dir: &DataDir,
    identity: &mut Identity,
    trust: &Trust,
    listening: Option<SocketAddr>,
    now: Timestamp,
) -> Result<Standing, Failure> {
    if let Some(standing) = identity.standing.clone() {
        check_token(args, dir, trust)?;
        if !args.role.is_empty() && sorted(&args.role) != standing.roles {
            tracing::warn!(roles = ?standing.roles, "--role is not looked at: a node keeps the roles it began with");
        }
        return Ok(standing);
    }
    if !identity.founded && !args.join.is_empty() {
        return join(args, dir, identity, trust, listening, now).await;
    }
    if !args.join.is_empty() {
        return Err(Failure::OtherCluster { path: dir.root().to_owned() });
    }
    let roles = if args.role.is_empty() { Role::ALL.to_vec() } else { args.role.clone() };
    let standing = Standing {
        name: node::name(args)?,
        member: Some(1),
        roles: sorted(&roles),
        cluster_cidr: args.cluster_cidr.to_string(),
        joined: false,
    };
    identity.standing = Some(standing.clone());
    dir.write_identity(identity)?;
    Ok(standing)
}

fn sorted(roles: &[Role]) -> Vec<Role> {
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Refuses to go on in a cluster that is not the token's: whoever gave it expects to be elsewhere.
fn check_token(args: &UpArgs, dir: &DataDir, trust: &Trust) -> Result<(), Failure> {
    let (false, Some(text)) = (args.join.is_empty(), &args.join_token) else { return Ok(()) };
    let token: univrs_model::join::JoinToken = text.parse().map_err(Failure::JoinToken)?;
    match trust.credentials() {
        Some(own) if univrs_trust::fingerprint(&own.authority) != token.authority => {
            Err(Failure::OtherCluster { path: dir.root().to_owned() })
        }
        _ => {
            tracing::info!("this machine has joined already; going on");
            Ok(())
        }
    }
}

async fn join(
    args: &UpArgs,
    dir: &DataDir,
    identity: &mut Identity,
    trust: &Trust,
    listening: Option<SocketAddr>,
    now: Timestamp,
) -> Result<Standing, Failure> {
    let token = joining::token(args).await?;
    let roles = if args.role.is_empty() { token.roles.clone() } else { sorted(&args.role) };
    let listening = listening.unwrap_or(args.node_listen);
    let key = trust.key()?;
    let sealing_key = match roles.contains(&Role::Validator) {
        true => Some(sealing::prepare(dir, identity)?),
        false => None,
    };
    let request = JoinRequest {
        token: token.id.clone(),
        secret: token.secret.clone(),
        node: identity.node.clone(),
        name: node::name(args)?,
        roles,
        location: node::location(args),
        certificate_request: hex::encode(key.request()?),
        sealing_key,
        address: address::advertised(
            args.advertise.as_deref(),
            listening,
            args.join.first().map(String::as_str),
        ),
        now,
        version: release::own().version,
    };
    let welcome = joining::join(&args.join, token.authority, &request).await?;
    trust.replace(joining::credentials(key, &welcome)?)?;
    trust.directory().replace(welcome.members.clone());
    let standing = Standing {
        name: welcome.me.name.clone(),
        member: welcome.me.member,
        roles: welcome.me.roles.clone(),
        cluster_cidr: welcome.cluster_cidr.clone(),
        joined: true,
    };
    // From here on it is a member, whatever happens to this process.
    identity.cluster = welcome.cluster.clone();
    identity.range = welcome.me.block.clone();
    identity.standing = Some(standing.clone());
    dir.write_identity(identity)?;
    tracing::info!(cluster = %identity.cluster, name = %standing.name, block = identity.range, members = welcome.members.len(), "joined");
    Ok(standing)
}
