//! Which keys of a file mean here what they mean to Docker: those that are read and about which nothing had to be said.

use serde_json::Value;

use crate::Note;
use crate::keys::READ;

/// The paths of these keys.
pub(crate) fn keys(document: &Value, notes: &[Note]) -> Vec<String> {
    let mut taken = Vec::new();
    for (name, service) in document["services"].as_object().into_iter().flatten() {
        for key in service.as_object().into_iter().flatten().map(|(key, _)| key.as_str()) {
            let path = format!("services.{name}.{key}");
            if READ.contains(&key) && !notes.iter().any(|note| is_below(&note.field, &path)) {
                taken.push(path);
            }
        }
    }
    for kind in ["volumes", "secrets"] {
        for name in document[kind].as_object().into_iter().flatten().map(|(name, _)| name) {
            let path = format!("{kind}.{name}");
            if !notes.iter().any(|note| is_below(&note.field, &path)) {
                taken.push(path);
            }
        }
    }
    taken
}

/// Whether `field` is `path` or a part of it.
fn is_below(field: &str, path: &str) -> bool {
    field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
