//! Placeholders: `{{name}}` anywhere in a text stands for a value that is known when it is looked at.
//!
//! A text that is one placeholder and nothing else takes the value's own type, so that `replicas = "{{nodes}}"` is a
//! number. `{{memory|mib}}` is a quantity of bytes as a number of mebibytes, `{{nodes|text}}` a number as text.

use std::collections::BTreeMap;

use serde_json::Value;
use univrs_model::quantity::Bytes;

use crate::parameters::text;

/// What placeholders stand for.
pub(crate) type Values = BTreeMap<String, Value>;

/// `value` with its placeholders replaced. Those whose names begin with one of `later` stay as they are.
///
/// # Errors
/// Names the first placeholder that nothing stands for.
pub(crate) fn expand(value: &Value, values: &Values, later: &[&str]) -> Result<Value, String> {
    Ok(match value {
        Value::String(line) => expand_text(line, values, later)?,
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| expand(item, values, later)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, item)| Ok((key.clone(), expand(item, values, later)?)))
                .collect::<Result<_, String>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// One text with its placeholders replaced.
pub(crate) fn expand_text(line: &str, values: &Values, later: &[&str]) -> Result<Value, String> {
    let mut whole = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) =
            after.split_once("}}").ok_or_else(|| format!("`{line}` has `{{{{` without `}}}}`"))?;
        whole.push_str(before);
        rest = after;
        if later.iter().any(|prefix| name.starts_with(prefix)) {
            whole.push_str(&format!("{{{{{name}}}}}"));
            continue;
        }
        let value = look_up(name, values)?;
        if whole.is_empty() && rest.is_empty() {
            return Ok(value);
        }
        whole.push_str(&text(&value));
    }
    whole.push_str(rest);
    Ok(Value::String(whole))
}

fn look_up(name: &str, values: &Values) -> Result<Value, String> {
    let (key, filter) = name.split_once('|').map_or((name, None), |(key, filter)| (key, Some(filter)));
    let value = values.get(key).ok_or_else(|| format!("nothing stands for `{{{{{name}}}}}`"))?;
    match filter {
        None => Ok(value.clone()),
        Some("text") => Ok(Value::String(text(value))),
        Some("mib") => {
            let bytes: Bytes =
                text(value).parse().map_err(|_| format!("`{key}` is not a quantity of bytes"))?;
            Ok(Value::String((bytes.get() >> 20).to_string()))
        }
        Some(other) => Err(format!("there is no filter `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Values, expand};

    fn values() -> Values {
        [("name", json!("db")), ("nodes", json!(3)), ("memory", json!("4Gi"))]
            .map(|(key, value)| (key.to_owned(), value))
            .into()
    }

    #[test]
    fn placeholders_take_the_type_of_their_value() {
        for (text, expected) in [
            (json!("{{nodes}}"), json!(3)),
            (json!("{{name}}-{{nodes}}"), json!("db-3")),
            (json!(["{{name}}", {"a": "{{memory|mib}}"}]), json!(["db", {"a": "4096"}])),
            (json!("{{backup.id}} of {{name}}"), json!("{{backup.id}} of db")),
            (json!(5), json!(5)),
        ] {
            assert_eq!(expand(&text, &values(), &["backup."]), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_nothing_stands_for_is_named() {
        for text in ["{{other}}", "{{name", "{{name|odd}}", "{{name|mib}}"] {
            assert!(expand(&Value::String(text.into()), &values(), &[]).is_err(), "{text}");
        }
    }
}
