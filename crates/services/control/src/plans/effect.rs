//! What an operation of a transaction means: which object changes how, and what that does to running instances.
//!
//! Pure: a picture of the state and the values go in.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_model::operation::Operation;
use univrs_model::policy::UpdateStrategy;
use univrs_model::rollout::Workload;
use univrs_model::workload::WorkloadKind;
use univrs_ports::store::{Op, StoredValue};

use crate::plans::{BlastRadius, Change, ChangeAction};
use crate::state::{State, WorkloadKey};

/// Ending more instances than this at once, without others in their place, needs a person's approval.
const MANY: u32 = 10;
/// What is shown of objects that carry secret values; everything else of them stays in the store.
const SHOWN_OF_SECRETS: &[&str] =
    &["id", "name", "org", "grant", "direct", "version", "created_at", "updated_at", "expires_at"];

/// What an operation does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The objects it changes.
    pub(crate) changes: Vec<Change>,
    /// What it does to instances.
    pub(crate) blast_radius: BlastRadius,
    /// Why a person should look first, as the rest of a sentence.
    pub(crate) destroys: Vec<String>,
}

impl Effect {
    pub(crate) fn add(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.destroys.extend(other.destroys);
        let (mine, its) = (&mut self.blast_radius, other.blast_radius);
        mine.starts = mine.starts.saturating_add(its.starts);
        mine.stops = mine.stops.saturating_add(its.stops);
    }
}

/// What `op` does to `state`, where its key now has the value `before`.
pub(crate) fn changes_of(state: &State, op: &Op, before: Option<&StoredValue>) -> Effect {
    let (key, after) = match op {
        Op::Put { key, value, .. } => (key.as_str(), serde_json::from_slice(value).unwrap_or_default()),
        Op::Delete(key) => (key.as_str(), Value::Null),
        Op::DeletePrefix(prefix) => {
            let name = prefix.as_str().to_owned();
            return Effect {
                destroys: vec![format!("removes everything below `{name}`")],
                ..Effect::default()
            };
        }
    };
    let before = before.and_then(|stored| serde_json::from_slice(&stored.value).ok()).unwrap_or_default();
    let (kind, name) = object_of(state, key, &before, &after);
    if kind == "request" {
        return Effect::default();
    }
    match kind.as_str() {
        "workload" => of_workload(state, key, name, &before, &after),
        "operation" => of_operation(state, name, before, after),
        _ if after.is_null() && before.is_null() => Effect::default(),
        _ => {
            // Some objects are marked first and go when others have let go of them.
            let marked = |value: &Value| {
                value["removing"] == true || value.get("revoked_at").is_some_and(|at| !at.is_null())
            };
            let after = if marked(&after) && !marked(&before) { Value::Null } else { after };
            let destroys = if after.is_null() { vec![format!("removes {kind} {name}")] } else { Vec::new() };
            let change = change(&kind, name, shown(&kind, before), shown(&kind, after));
            Effect { changes: vec![change], destroys, ..Effect::default() }
        }
    }
}

/// The kind and the name of the object under a key, as people call them.
fn object_of(state: &State, key: &str, before: &Value, after: &Value) -> (String, String) {
    if let Some((_, kind, last)) = keys::split(key) {
        return (kind.to_owned(), last.to_owned());
    }
    let (kind, last) = key.split_once('/').unwrap_or((key, ""));
    let name = match kind {
        "node" | "node-policy" => {
            last.parse::<NodeId>().ok().and_then(|id| state.nodes.get(&id)).map(|node| node.name.to_string())
        }
        _ => [after, before].into_iter().find_map(|value| value.get("name")?.as_str().map(str::to_owned)),
    };
    let kind = match kind {
        "node-policy" => "node_policy",
        "organisation" => "org",
        other => other,
    };
    (kind.to_owned(), name.unwrap_or_else(|| last.to_owned()))
}

fn change(kind: &str, name: String, before: Value, after: Value) -> Change {
    let action = match (before.is_null(), after.is_null()) {
        (true, _) => ChangeAction::Create,
        (false, true) => ChangeAction::Delete,
        (false, false) => ChangeAction::Update,
    };
    Change { action, kind: kind.to_owned(), name, before, after }
}

/// The document of an object without what nobody may read.
fn shown(kind: &str, value: Value) -> Value {
    let carries_secrets = matches!(kind, "secret" | "token" | "data-key" | "join-token");
    match value {
        Value::Object(fields) if carries_secrets => Value::Object(
            fields
                .into_iter()
                .filter(|(field, _)| SHOWN_OF_SECRETS.contains(&field.as_str()))
                .collect::<Map<_, _>>(),
        ),
        other if carries_secrets && !other.is_null() => Value::Object(Map::new()),
        other => other,
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

fn of_workload(state: &State, key: &str, name: String, before: &Value, after: &Value) -> Effect {
    let old = read::<Workload>(before);
    let new = read::<Workload>(after).filter(|new| !new.deleting);
    let instances = keys::split(key)
        .and_then(|(org, _, name)| Some(WorkloadKey { org: org.parse().ok()?, name: name.parse().ok()? }))
        .map(|key| state.instances_of(&key))
        .unwrap_or_default();
    let live = count(instances.iter().filter(|instance| !instance.phase().is_terminal()).count());
    let document = |workload: &Option<Workload>| {
        workload.as_ref().and_then(|known| serde_json::to_value(&known.spec).ok()).unwrap_or_default()
    };
    let mut effect = Effect {
        changes: vec![change("workload", name.clone(), document(&old), document(&new))],
        ..Effect::default()
    };
    let (starts, stops) = match (&old, &new) {
        (None, Some(new)) => (wanted(state, new), 0),
        (_, None) => (0, live),
        (Some(old), Some(new)) if old.spec.needs_new_instances(&new.spec) => (wanted(state, new), live),
        (Some(_), Some(new)) => {
            let wanted = wanted(state, new);
            (wanted.saturating_sub(live), live.saturating_sub(wanted))
        }
    };
    effect.blast_radius = BlastRadius { starts, stops };
    effect.destroys = match (&old, &new) {
        (_, None) => vec![format!("removes workload {name} with {}", instances_of(live))],
        (Some(old), Some(new)) => endings(&name, old, new, live, stops),
        (None, Some(_)) => Vec::new(),
    };
    effect
}

/// Why a change of a workload should be looked at first.
fn endings(name: &str, old: &Workload, new: &Workload, live: u32, stops: u32) -> Vec<String> {
    let counted = !matches!(new.spec.kind, WorkloadKind::Daemon);
    if counted && new.spec.replicas == 0 && old.spec.replicas > 0 {
        return vec![format!("stops all {} of {name}", instances_of(live))];
    }
    // A rolling update puts a new instance in the place of each old one before it goes.
    let all_at_once =
        new.spec.update.strategy == UpdateStrategy::Recreate && old.spec.needs_new_instances(&new.spec);
    let ended = match (all_at_once, counted) {
        (true, _) => stops,
        (false, true) => live.saturating_sub(new.spec.replicas),
        (false, false) => 0,
    };
    if ended > MANY {
        return vec![format!("stops {} of {name} at once", instances_of(ended))];
    }
    Vec::new()
}

fn of_operation(state: &State, name: String, before: Value, after: Value) -> Effect {
    let begun = read::<Operation>(&after).filter(|_| before.is_null());
    let mut effect = Effect { changes: vec![change("operation", name, before, after)], ..Effect::default() };
    let Some(operation) = begun else { return effect };
    match operation.kind.as_str() {
        crate::operations::DRAIN => {}
        "resource_delete" => {
            effect.destroys = vec![format!("removes resource {} with all it holds", operation.subject)];
            return effect;
        }
        "resource_restore" => {
            effect.destroys = vec![format!("replaces what resource {} holds", operation.subject)];
            return effect;
        }
        _ => return effect,
    }
    let node = operation.parameters.get("node").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let Some(node) = node else { return effect };
    let live = state.assignments_on(&node).filter(|assignment| !assignment.lost).filter(|assignment| {
        state.instance(&assignment.id).is_some_and(|instance| !instance.phase().is_terminal())
    });
    let moved = count(live.count());
    effect.blast_radius = BlastRadius { starts: moved, stops: moved };
    effect.destroys = vec![format!("moves {} away from node {}", instances_of(moved), operation.subject)];
    effect
}

/// How many instances a workload asks for.
fn wanted(state: &State, workload: &Workload) -> u32 {
    match workload.spec.kind {
        WorkloadKind::Daemon => count(state.nodes_alive.len()),
        WorkloadKind::Service | WorkloadKind::Job => workload.spec.replicas,
        // It runs when it is due, not when it is written.
        WorkloadKind::Cron => 0,
    }
}

fn instances_of(number: u32) -> String {
    if number == 1 { "1 instance".to_owned() } else { format!("{number} instances") }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
