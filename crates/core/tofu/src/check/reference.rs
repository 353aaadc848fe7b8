//! Every reference of a root must lead to something declared.

use serde_json::{Map, Value};

use super::document::{Kind, Root, address_text, each};
use super::expression::{Reference, in_expression, in_template};
use super::finding::{Code, Report, near};
use super::schema::{Schemas, prefix};

/// Names that exist without declaration.
const BUILT_IN: &[&str] = &["each", "count", "self", "path", "terraform", "tofu"];

/// Checks all strings of the root, and what it names as bare expressions.
pub(super) fn check(root: &Root, schemas: &Schemas, report: &mut Report) {
    for (_, document) in &root.files {
        let Some(blocks) = document.as_object() else { continue };
        for (key, value) in blocks {
            match key.as_str() {
                "//" => {}
                "variable" => plain_variables(value, report),
                "resource" | "data" => {
                    for types in each(value).filter_map(Value::as_object) {
                        // `resource.` in front of every path would say nothing.
                        let path = if key == "data" { "data" } else { "" };
                        object(path, types, root, schemas, report);
                    }
                }
                other => walk(other, value, root, schemas, report),
            }
        }
    }
    for ((kind, type_name, name), body) in &root.declared {
        let path = address_text(*kind, type_name, name);
        for one in each(body) {
            bare(&path, one, root, schemas, report);
        }
    }
}

/// What a variable says of itself is read before anything is known: it cannot refer to anything.
fn plain_variables(value: &Value, report: &mut Report) {
    for (name, variable) in each(value).filter_map(Value::as_object).flatten() {
        let path = format!("variable.{name}");
        match variable {
            Value::Object(body) => {
                body.iter().for_each(|(key, value)| plain(&format!("{path}.{key}"), value, report))
            }
            _ => report.add(Code::BadDocument, path, "a variable needs an object"),
        }
    }
}

fn plain(path: &str, value: &Value, report: &mut Report) {
    match value {
        Value::String(text) if !matches!(in_template(text), Ok(found) if found.is_empty()) => {
            report.add(Code::InvalidExpression, path, "cannot refer to anything");
        }
        Value::Array(list) => list.iter().for_each(|item| plain(path, item, report)),
        Value::Object(map) => map.values().for_each(|item| plain(path, item, report)),
        _ => {}
    }
}

/// `depends_on` and the references in `lifecycle` are written without `${…}`.
fn bare(path: &str, body: &Value, root: &Root, schemas: &Schemas, report: &mut Report) {
    let lists =
        [("depends_on", &body["depends_on"]), ("lifecycle", &body["lifecycle"]["replace_triggered_by"])];
    for (key, list) in lists {
        for text in each(list).filter_map(Value::as_str).filter(|text| !text.contains("${")) {
            let at = format!("{path}.{key}");
            match in_expression(text) {
                Ok(found) => found.iter().for_each(|one| follow(&at, one, root, schemas, report)),
                Err(why) => report.add(Code::InvalidExpression, at, why),
            }
        }
    }
}

fn walk(path: &str, value: &Value, root: &Root, schemas: &Schemas, report: &mut Report) {
    match value {
        Value::String(text) => match in_template(text) {
            Ok(found) => found.iter().for_each(|one| follow(path, one, root, schemas, report)),
            Err(why) => report.add(Code::InvalidExpression, path, why),
        },
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                walk(&format!("{path}[{index}]"), item, root, schemas, report);
            }
        }
        Value::Object(map) => object(path, map, root, schemas, report),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn object(path: &str, map: &Map<String, Value>, root: &Root, schemas: &Schemas, report: &mut Report) {
    for (key, value) in map.iter().filter(|(key, _)| *key != "//") {
        let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        walk(&at, value, root, schemas, report);
    }
}

fn follow(path: &str, reference: &Reference, root: &Root, schemas: &Schemas, report: &mut Report) {
    let whole = reference.join(".");
    let names: Vec<&str> = reference.iter().map(String::as_str).collect();
    let undeclared = |report: &mut Report, hint: String| {
        report.add(Code::UndeclaredReference, path, format!("`{whole}` is declared nowhere{hint}"));
    };
    match names.as_slice() {
        ["var", name, ..] if root.variables.contains(*name) => {}
        ["var", name, ..] => undeclared(report, near(name, root.variables.iter().map(String::as_str))),
        ["local", name, ..] if root.locals.contains(*name) => {}
        ["local", name, ..] => undeclared(report, near(name, root.locals.iter().map(String::as_str))),
        ["module", name, ..] if root.modules.contains(*name) => {}
        [first, ..] if BUILT_IN.contains(first) => {}
        ["data", type_name, name, rest @ ..] => {
            target(path, (Kind::Data, type_name, name), rest, root, schemas, report);
        }
        [type_name, name, rest @ ..] if type_name.contains('_') => {
            target(path, (Kind::Resource, type_name, name), rest, root, schemas, report);
        }
        _ => undeclared(report, String::new()),
    }
}

fn target(
    path: &str,
    (kind, type_name, name): (Kind, &str, &str),
    rest: &[&str],
    root: &Root,
    schemas: &Schemas,
    report: &mut Report,
) {
    let address = address_text(kind, type_name, name);
    if !root.declared.contains_key(&(kind, type_name.to_owned(), name.to_owned())) {
        let same = root.declared.keys().filter(|(other, of, _)| *other == kind && of == type_name);
        let hint = near(name, same.map(|(_, _, name)| name.as_str()));
        report.add(Code::UndeclaredReference, path, format!("`{address}` is declared nowhere{hint}"));
        return;
    }
    let Some(provider) = schemas.providers.get(prefix(type_name)) else { return };
    let bodies = if kind == Kind::Data { &provider.data } else { &provider.resources };
    let (Some(body), Some(attribute)) = (bodies.get(type_name), rest.first()) else { return };
    let known = body.attributes.contains_key(*attribute) || body.blocks.contains_key(*attribute);
    if !known && *attribute != "id" {
        let hint = near(attribute, body.attributes.keys().map(String::as_str));
        report.add(Code::UnknownAttribute, path, format!("`{address}` has no attribute `{attribute}`{hint}"));
    }
}
