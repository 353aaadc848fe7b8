//! Plans as people read them: `+` is made, `~` is changed, `-` is removed.

use std::collections::BTreeMap;

use serde_json::Value;
use univrs_client::{Change, Error, Plan};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::print_body;

/// A plan that a command came to, as data.
pub(crate) fn show(context: &mut Context<'_>, body: &[u8]) -> Result<Exit, Fault> {
    if context.for_programs() {
        print_body(context, body)?;
        return Ok(Exit::Ok);
    }
    let plan: Plan = serde_json::from_slice(body)
        .map_err(|error| Error::BadReply { status: 200, detail: format!("not a plan: {error}") })?;
    if plan.changes.is_empty() && !plan.summary.is_empty() {
        context.io.data(&plan.summary)?;
        return Ok(Exit::Ok);
    }
    for line in lines(std::slice::from_ref(&plan)) {
        context.io.data(&line)?;
    }
    Ok(Exit::Ok)
}

/// A plan as lines.
pub(crate) fn lines(plans: &[Plan]) -> Vec<String> {
    let changes: Vec<&Change> = plans.iter().flat_map(|plan| &plan.changes).collect();
    if changes.is_empty() {
        return vec!["no changes".to_owned()];
    }
    let mut lines = Vec::new();
    for change in &changes {
        lines.push(format!("{} {} {}", sign(&change.action), change.kind, change.name));
        lines.extend(differences(change).into_iter().map(|line| format!("    {line}")));
    }
    let noun = if changes.len() == 1 { "change" } else { "changes" };
    let mut summary = format!("{} {noun}", changes.len());
    for plan in plans {
        for (title, value) in [("touches", Some(&plan.blast_radius)), ("costs", plan.cost.as_ref())] {
            if let Some(text) = value.and_then(brief) {
                summary.push_str(&format!("; {title} {text}"));
            }
        }
    }
    lines.push(summary);
    lines
}

/// The sign that stands for an action.
fn sign(action: &str) -> char {
    match action {
        "create" | "add" => '+',
        "delete" | "remove" => '-',
        _ => '~',
    }
}

/// What changes in an object, one line per field; of a new object only what tells it apart.
fn differences(change: &Change) -> Vec<String> {
    let (before, after) = (fields(&change.before), fields(&change.after));
    match (change.before.is_null(), change.after.is_null()) {
        (true, false) => {
            let telling = |path: &str| path.ends_with("image") || matches!(path, "kind" | "replicas");
            after
                .iter()
                .filter(|(path, _)| telling(path))
                .map(|(path, value)| format!("{path}: {value}"))
                .collect()
        }
        (false, false) => {
            let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            let none = "none".to_owned();
            paths
                .into_iter()
                .map(|path| (path, before.get(path).unwrap_or(&none), after.get(path).unwrap_or(&none)))
                .filter(|(_, old, new)| old != new)
                .map(|(path, old, new)| format!("{path}: {old} → {new}"))
                .collect()
        }
        (_, true) => Vec::new(),
    }
}

/// Every scalar of an object by its path; the spec alone when the object is a view.
fn fields(object: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(object.get("spec").unwrap_or(object), String::new(), &mut found);
    found
}

fn walk(value: &Value, path: String, found: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| walk(value, below(key), found)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| walk(value, format!("{path}[{index}]"), found));
        }
        Value::String(text) => {
            found.insert(path, text.clone());
        }
        Value::Bool(_) | Value::Number(_) => {
            found.insert(path, value.to_string());
        }
    }
}

/// A value in a few words; nothing when it says nothing.
fn brief(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            let parts: Vec<String> = fields
                .iter()
                .filter_map(|(key, value)| brief(value).map(|text| format!("{key} {text}")))
                .collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        }
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().filter_map(brief).collect();
            (!parts.is_empty()).then(|| parts.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::lines;

    #[test]
    fn plans_show_what_changes_and_nothing_else() {
        let plan = json!({
            "plan_id": "pl_1", "digest": "d", "parent_revision": 3, "expires_at": null,
            "changes": [
                {"action": "create", "kind": "workload", "name": "web", "before": null,
                 "after": {"name": "web", "image": "web:1", "replicas": 3, "priority": 50}},
                {"action": "update", "kind": "workload", "name": "api",
                 "before": {"replicas": 1, "image": "a:1", "labels": {"a": "b"}},
                 "after": {"replicas": 3, "image": "a:1", "labels": {}}},
                {"action": "delete", "kind": "workload", "name": "old", "before": {"x": 1}, "after": null}],
            "blast_radius": {"instances": 4, "nodes": ["a", "b"]}});
        expect![[r#"
            + workload web
                image: web:1
                replicas: 3
            ~ workload api
                labels.a: b → none
                replicas: 1 → 3
            - workload old
            3 changes; touches instances 4, nodes a b"#]]
        .assert_eq(&lines(&[serde_json::from_value(plan).unwrap()]).join("\n"));
    }
}
