//! Parameters: what was given, checked against what the template takes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use univrs_model::decode::nearest;
use univrs_model::field::FieldError;
use univrs_model::quantity::{Bytes, Cpu};

use crate::source::{Parameter, ParameterKind};

/// Longest identifier: names of roles and databases are made from it.
const LONGEST_IDENTIFIER: usize = 40;
/// Longest text.
const LONGEST_TEXT: usize = 500;
/// Longest document.
const LONGEST_DOCUMENT: usize = 32 << 10;

/// What was given, with defaults for the rest.
pub(crate) fn resolve(
    known: &BTreeMap<String, Parameter>,
    given: &Map<String, Value>,
) -> Result<BTreeMap<String, Value>, Vec<FieldError>> {
    let mut faults = Vec::new();
    for name in given.keys().filter(|name| !known.contains_key(*name)) {
        let fault = FieldError::new(field(name), "the template has no such parameter");
        faults.push(match nearest(name, known.keys().map(String::as_str)) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => fault.hint("it has none"),
            None => fault.hint(format!("it has {}", known.keys().cloned().collect::<Vec<_>>().join(", "))),
        });
    }
    let mut resolved = BTreeMap::new();
    for (name, parameter) in known {
        let value = match (given.get(name), &parameter.default) {
            (Some(given), _) => {
                checked(parameter, given).map_err(|detail| FieldError::new(field(name), detail))
            }
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => {
                Err(FieldError::new(field(name), "it has to be given").hint(parameter.description.clone()))
            }
        };
        match value {
            Ok(value) => {
                resolved.insert(name.clone(), value);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(resolved) } else { Err(faults) }
}

fn field(name: &str) -> String {
    format!("parameters.{}", name.chars().take(80).collect::<String>())
}

/// A parameter of the template itself.
pub(crate) fn check_definition(name: &str, parameter: &Parameter) -> Result<(), FieldError> {
    let values = [&parameter.default, &parameter.min, &parameter.max];
    for value in values.into_iter().flatten() {
        typed(parameter.kind, value)
            .map_err(|detail| FieldError::new(format!("parameters.{name}"), detail))?;
    }
    match &parameter.default {
        Some(default) => checked(parameter, default)
            .map(drop)
            .map_err(|detail| FieldError::new(format!("parameters.{name}.default"), detail)),
        None => Ok(()),
    }
}

/// A value in its usual form, or what is wrong with it.
fn checked(parameter: &Parameter, value: &Value) -> Result<Value, String> {
    let (value, size) = typed(parameter.kind, value)?;
    let bound = |bound: &Option<Value>| -> Option<(i128, String)> {
        let (shown, size) = typed(parameter.kind, bound.as_ref()?).ok()?;
        Some((size, text(&shown)))
    };
    if let Some((_, least)) = bound(&parameter.min).filter(|(least, _)| size < *least) {
        return Err(format!("{} is less than {least}", text(&value)));
    }
    if let Some((_, most)) = bound(&parameter.max).filter(|(most, _)| size > *most) {
        return Err(format!("{} is more than {most}", text(&value)));
    }
    if !parameter.choices.is_empty() && !parameter.choices.contains(&text(&value)) {
        return Err(format!("`{}` is none of {}", clip(&text(&value)), parameter.choices.join(", ")));
    }
    Ok(value)
}

/// The value in its usual form, and its size where it has one.
fn typed(kind: ParameterKind, value: &Value) -> Result<(Value, i128), String> {
    let as_text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return Err("it is neither text nor a number".to_owned()),
    };
    match kind {
        ParameterKind::Integer => {
            let number: i64 =
                as_text.parse().map_err(|_| format!("`{}` is not a whole number", clip(&as_text)))?;
            Ok((json!(number), number.into()))
        }
        ParameterKind::Boolean => {
            let truth: bool =
                as_text.parse().map_err(|_| format!("`{}` is neither true nor false", clip(&as_text)))?;
            Ok((json!(truth), 0))
        }
        ParameterKind::Cpu => {
            let cpu: Cpu = as_text.parse().map_err(|error| format!("{error}"))?;
            Ok((json!(cpu.to_string()), cpu.as_millicores().into()))
        }
        ParameterKind::Bytes => {
            let bytes: Bytes = as_text.parse().map_err(|error| format!("{error}"))?;
            Ok((json!(bytes.to_string()), bytes.get().into()))
        }
        ParameterKind::Identifier => {
            let fits = as_text.len() <= LONGEST_IDENTIFIER
                && as_text.starts_with(|c: char| c.is_ascii_lowercase())
                && as_text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if fits {
                return Ok((json!(as_text), 0));
            }
            Err(format!(
                "`{}` is not a name of at most {LONGEST_IDENTIFIER} of a-z, 0-9 and `_` that begins with a letter",
                clip(&as_text)
            ))
        }
        ParameterKind::Text => {
            if as_text.len() <= LONGEST_TEXT && !as_text.contains(char::is_control) && !as_text.contains("{{")
            {
                return Ok((json!(as_text), 0));
            }
            Err(format!("a text has one line of at most {LONGEST_TEXT} bytes, without `{{{{`"))
        }
        ParameterKind::Document => {
            let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
            if as_text.len() <= LONGEST_DOCUMENT && !as_text.contains(odd) {
                return Ok((json!(as_text), 0));
            }
            Err(format!(
                "a document has at most {LONGEST_DOCUMENT} bytes, and of control characters only ends of lines and tabs"
            ))
        }
    }
}

/// A value as people write it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_default).collect()
}

/// JSON Schema (2020-12) of the parameters.
pub(crate) fn schema(parameters: &BTreeMap<String, Parameter>) -> Value {
    let one = |parameter: &Parameter| {
        let mut schema = match parameter.kind {
            ParameterKind::Integer => json!({"type": "integer"}),
            ParameterKind::Boolean => json!({"type": "boolean"}),
            ParameterKind::Cpu => json!({"type": ["string", "number"], "pattern": "^[0-9]+(\\.[0-9]+)?m?$"}),
            ParameterKind::Bytes => {
                json!({"type": ["string", "integer"], "pattern": "^[0-9]+(\\.[0-9]+)?([KMGTP]i|[kMGTB])?$"})
            }
            ParameterKind::Identifier => json!({"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$"}),
            ParameterKind::Text => json!({"type": "string", "maxLength": LONGEST_TEXT}),
            ParameterKind::Document => {
                json!({"type": "string", "maxLength": LONGEST_DOCUMENT, "x-univrs-lines": true})
            }
        };
        schema["description"] = json!(parameter.description);
        if let Some(default) = &parameter.default {
            schema["default"] = default.clone();
        }
        if !parameter.choices.is_empty() {
            schema["enum"] = json!(parameter.choices);
        }
        let numeric = parameter.kind == ParameterKind::Integer;
        for (name, key, bound) in
            [("minimum", "x-univrs-minimum", &parameter.min), ("maximum", "x-univrs-maximum", &parameter.max)]
        {
            if let Some(bound) = bound {
                schema[if numeric { name } else { key }] = bound.clone();
            }
        }
        schema["x-univrs-scalable"] = json!(parameter.scalable);
        schema
    };
    let properties: Map<String, Value> =
        parameters.iter().map(|(name, parameter)| (name.clone(), one(parameter))).collect();
    let required: Vec<&String> = parameters
        .iter()
        .filter(|(_, parameter)| parameter.default.is_none())
        .map(|(name, _)| name)
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": properties, "required": required, "additionalProperties": false,
    })
}
