//! Compares one body with its schema: arguments, blocks, types, counts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::document::each;
use super::finding::{Code, Report, near};
use super::schema::{Attribute, Block, Body, Mode, Nesting, Shape, Type};

/// Arguments every resource and data source has.
const META: &[&str] =
    &["count", "for_each", "depends_on", "provider", "lifecycle", "provisioner", "connection"];

/// Checks a resource or data source.
pub(super) fn resource(path: &str, value: &Value, schema: &Body, report: &mut Report) {
    match value.as_object() {
        Some(object) => inside(path, object, schema, META, false, report),
        None => report.add(Code::WrongType, path, format!("needs an object, got {}", kind(value))),
    }
    // What is not to be followed must exist, or nothing is ignored.
    for lifecycle in each(&value["lifecycle"]) {
        for text in each(&lifecycle["ignore_changes"]).filter_map(Value::as_str).filter(|text| *text != "all")
        {
            let name = text.split(['.', '[']).next().unwrap_or(text);
            if !schema.attributes.contains_key(name) && !schema.blocks.contains_key(name) {
                let hint =
                    near(name, schema.attributes.keys().chain(schema.blocks.keys()).map(String::as_str));
                let message = format!("there is no argument `{name}` to ignore{hint}");
                report.add(Code::UnknownArgument, format!("{path}.lifecycle.ignore_changes"), message);
            }
        }
    }
}

/// Checks the configuration of a provider.
pub(super) fn provider(path: &str, value: &Value, schema: &Body, report: &mut Report) {
    match value.as_object() {
        Some(object) => inside(path, object, schema, &["alias", "version"], false, report),
        None => report.add(Code::WrongType, path, format!("needs an object, got {}", kind(value))),
    }
}

fn inside(
    path: &str,
    object: &Map<String, Value>,
    schema: &Body,
    meta: &[&str],
    strict: bool,
    report: &mut Report,
) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, value) in object {
        let at = format!("{path}.{key}");
        if let Some(attribute) = schema.attributes.get(key) {
            if attribute.mode == Mode::Computed && !value.is_null() {
                report.add(Code::ComputedOnly, at, "is computed by the provider and cannot be set");
            } else {
                argument(&at, value, attribute, report);
            }
        } else if let Some(block) = schema.blocks.get(key) {
            *seen.entry(key).or_default() += blocks(&at, value, block, report);
        } else if key == "dynamic" {
            for (name, count) in dynamic(&at, value, schema, report) {
                *seen.entry(name).or_default() += count;
            }
        } else if key != "//" && !meta.contains(&key.as_str()) {
            let known = schema.attributes.keys().chain(schema.blocks.keys()).map(String::as_str);
            let hint = near(key, known.chain(meta.iter().copied()));
            report.add(Code::UnknownArgument, at, format!("unsupported argument or block{hint}"));
        }
    }
    for (name, attribute) in &schema.attributes {
        let absent = object.get(name).is_none_or(Value::is_null);
        if attribute.mode == Mode::Required && absent && !strict {
            report.add(Code::MissingArgument, path, format!("missing required argument `{name}`"));
        }
    }
    for (name, block) in &schema.blocks {
        if seen.get(name.as_str()).copied().unwrap_or(0) < block.least {
            report.add(Code::MissingBlock, path, format!("missing required block `{name}`"));
        }
    }
}

fn argument(path: &str, value: &Value, attribute: &Attribute, report: &mut Report) {
    match &attribute.shape {
        Shape::Plain(wanted) => plain(path, value, wanted, report),
        Shape::Objects { nesting, body, strict } => objects(path, value, *nesting, body, *strict, report),
    }
}

fn objects(path: &str, value: &Value, nesting: Nesting, schema: &Body, strict: bool, report: &mut Report) {
    if value.is_null() || is_template(value) {
        return;
    }
    let items: Vec<(String, &Value)> = match (nesting, value) {
        (Nesting::Single, one) => vec![(path.to_owned(), one)],
        (Nesting::List, Value::Array(list)) => {
            list.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)).collect()
        }
        (Nesting::Map, Value::Object(map)) => {
            map.iter().map(|(key, item)| (format!("{path}.{key}"), item)).collect()
        }
        (Nesting::List, other) => {
            report.add(Code::WrongType, path, format!("needs a list of objects, got {}", kind(other)));
            return;
        }
        (Nesting::Map, other) => {
            report.add(Code::WrongType, path, format!("needs a map of objects, got {}", kind(other)));
            return;
        }
    };
    for (at, item) in items {
        if item.is_null() || is_template(item) {
            continue;
        }
        let Some(object) = item.as_object() else {
            report.add(Code::WrongType, at, format!("needs an object, got {}", kind(item)));
            continue;
        };
        let missing: Vec<&str> =
            schema.attributes.keys().filter(|key| !object.contains_key(*key)).map(String::as_str).collect();
        if strict && !missing.is_empty() {
            let list = missing.join("`, `");
            report.add(
                Code::MissingArgument,
                at.clone(),
                format!("an object value must set every key in JSON, null if need be; missing `{list}`"),
            );
        }
        inside(&at, object, schema, &[], strict, report);
    }
}

/// Checks the blocks under one key and counts them.
fn blocks(path: &str, value: &Value, schema: &Block, report: &mut Report) -> usize {
    if is_template(value) {
        report.add(Code::WrongType, path, "a block cannot be an expression");
        return 0;
    }
    if let (Nesting::Map, Value::Object(map)) = (schema.nesting, value) {
        for (key, item) in map {
            block(&format!("{path}.{key}"), item, &schema.body, report);
        }
        return map.len();
    }
    let count = each(value).count();
    for (index, item) in each(value).enumerate() {
        let at = if value.is_array() { format!("{path}[{index}]") } else { path.to_owned() };
        block(&at, item, &schema.body, report);
    }
    if let Some(most) = schema.most.filter(|most| count > *most) {
        report.add(Code::TooManyBlocks, path, format!("at most {most} of this block, got {count}"));
    }
    count
}

fn block(path: &str, value: &Value, schema: &Body, report: &mut Report) {
    match value.as_object() {
        Some(object) => inside(path, object, schema, &[], false, report),
        None => report.add(Code::WrongType, path, format!("a block needs an object, got {}", kind(value))),
    }
}

/// `dynamic` blocks: their content is checked, and each counts as one block.
fn dynamic<'a>(path: &str, value: &'a Value, schema: &'a Body, report: &mut Report) -> Vec<(&'a str, usize)> {
    let mut counted = Vec::new();
    for (name, definition) in each(value).filter_map(Value::as_object).flatten() {
        let at = format!("{path}.{name}");
        let Some((name, wanted)) = schema.blocks.get_key_value(name) else {
            let hint = near(name, schema.blocks.keys().map(String::as_str));
            report.add(Code::UnknownArgument, at, format!("no such block{hint}"));
            continue;
        };
        counted.push((name.as_str(), 1));
        for one in each(definition) {
            if one.get("for_each").is_none() {
                report.add(Code::MissingArgument, at.clone(), "missing required argument `for_each`");
            }
            if let Some(content) = one["content"].as_object() {
                inside(&format!("{at}.content"), content, &wanted.body, &[], false, report);
            }
        }
    }
    counted
}

fn plain(path: &str, value: &Value, wanted: &Type, report: &mut Report) {
    if value.is_null() || is_template(value) {
        return;
    }
    let fits = match (wanted, value) {
        (Type::Any, _) => true,
        (Type::List(inner), Value::Array(list)) => {
            for (index, item) in list.iter().enumerate() {
                plain(&format!("{path}[{index}]"), item, inner, report);
            }
            true
        }
        (Type::Map(inner), Value::Object(map)) => {
            for (key, item) in map {
                plain(&format!("{path}.{key}"), item, inner, report);
            }
            true
        }
        (Type::Text, Value::String(_) | Value::Number(_) | Value::Bool(_)) => true,
        (Type::Number, Value::Number(_)) => true,
        (Type::Number, Value::String(text)) => text.parse::<f64>().is_ok_and(f64::is_finite),
        (Type::Bool, Value::Bool(_)) => true,
        (Type::Bool, Value::String(text)) => text == "true" || text == "false",
        _ => false,
    };
    if !fits {
        report.add(Code::WrongType, path, format!("needs {}, got {}", type_name(wanted), kind(value)));
    }
}

/// Whether the value is a string whose content is known only when it runs.
fn is_template(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("${") || text.contains("%{"))
}

fn type_name(wanted: &Type) -> String {
    match wanted {
        Type::Any => "anything".to_owned(),
        Type::Text => "a string".to_owned(),
        Type::Number => "a number".to_owned(),
        Type::Bool => "a bool".to_owned(),
        Type::List(inner) => format!("a list of {}", type_name(inner).trim_start_matches("a ")),
        Type::Map(inner) => format!("a map of {}", type_name(inner).trim_start_matches("a ")),
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a bool".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
