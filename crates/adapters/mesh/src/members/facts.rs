//! Facts as the keys and values of gossip. Each is sent only when it changes, so they are not one text.

use std::sync::Arc;

use chitchat::NodeState;
use serde::Serialize;
use serde::de::DeserializeOwned;
use univrs_model::ids::NodeId;
use univrs_ports::membership::{Facts, Member};

/// The whole id of the node.
const NODE: &str = "node";
/// Set by a node that says goodbye.
pub(super) const LEFT: &str = "left";
/// A value longer than this is not one of ours.
const LONGEST: usize = 2048;

/// What a node tells the others.
pub(super) fn told(node: &NodeId, facts: &Facts) -> Vec<(String, String)> {
    let Facts { capacity, free, version, cloud, region, roles, load, peer, dial, join, links, hears } = facts;
    [
        (NODE, text(node)),
        ("capacity", text(capacity)),
        ("free", text(free)),
        ("version", text(version)),
        ("cloud", text(cloud)),
        ("region", text(region)),
        ("roles", text(roles)),
        ("load", text(load)),
        ("peer", text(peer)),
        ("dial", text(dial)),
        ("join", text(join)),
        ("links", text(links)),
        ("hears", text(hears)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// What a node has told, as far as it has arrived; nothing before its id is known or when that is not what gossip
/// calls it. A fact that cannot be read is as one that has not arrived: a later version may write it otherwise.
pub(super) fn heard(state: &NodeState) -> Option<(NodeId, Facts)> {
    let node: NodeId = fact(state, NODE)?;
    if super::short(&node) != *state.chitchat_id().node_id {
        return None;
    }
    let facts = Facts {
        capacity: fact(state, "capacity").unwrap_or_default(),
        free: fact(state, "free").unwrap_or_default(),
        version: fact(state, "version").unwrap_or_default(),
        cloud: fact(state, "cloud").unwrap_or_default(),
        region: fact(state, "region").unwrap_or_default(),
        roles: fact(state, "roles").unwrap_or_default(),
        load: fact(state, "load").unwrap_or_default(),
        peer: fact(state, "peer").unwrap_or_default(),
        dial: fact(state, "dial").unwrap_or_default(),
        join: fact(state, "join").unwrap_or_default(),
        links: fact(state, "links").unwrap_or_default(),
        hears: fact(state, "hears").unwrap_or_default(),
    };
    Some((node, facts))
}

/// Where a node says of others who they are: before each one's id.
const OF: &str = "of/";

/// One that is in another domain, as a node of both says. What changes all the time stays within a domain.
pub(super) fn of(member: &Member) -> (String, String) {
    let Facts { capacity, version, cloud, region, roles, peer, dial, join, .. } = Facts::clone(&member.facts);
    let facts =
        Arc::new(Facts { capacity, version, cloud, region, roles, peer, dial, join, ..Facts::default() });
    (format!("{OF}{}", member.node), text(&Member { facts, ..member.clone() }))
}

/// Whether it is such a word.
pub(super) fn is_of(key: &str) -> bool {
    key.starts_with(OF)
}

/// What a node says of others.
pub(super) fn others(state: &NodeState) -> Vec<Member> {
    let said = state.iter_prefix(OF).filter(|(_, value)| value.value.len() <= LONGEST);
    said.filter_map(|(_, value)| serde_json::from_str(&value.value).ok()).collect()
}

fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn fact<T: DeserializeOwned>(state: &NodeState, key: &str) -> Option<T> {
    state.get(key).filter(|value| value.len() <= LONGEST).and_then(|value| serde_json::from_str(value).ok())
}
