//! Checks `*.tf.json` against provider schemas, without a provider, a registry or a cloud.
//!
//! What it sees: unknown arguments and blocks, missing ones, wrong types, too many blocks, attributes that only the
//! provider sets, references to what is declared nowhere (also to outputs of other roots), broken expressions, and
//! providers with the wrong source. What no schema says it cannot see: arguments that exclude each other, value
//! ranges, names already taken, and whether the cloud agrees.

mod body;
mod document;
mod expression;
mod finding;
mod reference;
mod schema;

use std::collections::BTreeMap;

use serde_json::Value;

pub use finding::{Code, Finding, Report};
pub use schema::{SchemaError, Schemas};

use document::{Kind, Root, address_text, each};
use finding::near;
use schema::prefix;

/// The provider every OpenTofu carries with it; its state reader is a data source without a schema of a provider.
const BUILT_IN_PROVIDER: &str = "terraform";

/// Checks the files (name, bytes) of one root.
pub fn check<'a>(schemas: &Schemas, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Report {
    check_root(schemas, files).0
}

/// Checks a project of several roots: `files` is path → bytes, and every folder with a `*.tf.json` is a root.
///
/// Beyond [`check`], a root that reads the state of another (`data.terraform_remote_state.NAME.outputs.OUTPUT`, where
/// `NAME` is the other folder with `_` for every other sign) must name an output the other root declares.
pub fn check_project(schemas: &Schemas, files: &BTreeMap<String, Vec<u8>>) -> Report {
    let mut folders: BTreeMap<&str, Vec<(&str, &[u8])>> = BTreeMap::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".tf.json")) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        folders.entry(folder).or_default().push((name, bytes));
    }
    let mut whole = Report::default();
    let mut roots = BTreeMap::new();
    for (folder, files) in folders {
        let (report, root) = check_root(schemas, files);
        whole.checked += report.checked;
        whole.findings.extend(
            report
                .findings
                .into_iter()
                .map(|found| Finding { path: format!("{folder}/{}", found.path), ..found }),
        );
        roots.insert(identifier(folder.rsplit('/').next().unwrap_or(folder)), (folder, root));
    }
    for (folder, root) in roots.values() {
        for (document, wanted) in remote_outputs(root) {
            let known = roots.get(document.as_str()).map(|(_, other)| &other.outputs);
            if !known.is_some_and(|outputs| outputs.contains(&wanted)) {
                whole.add(
                    Code::UndeclaredReference,
                    format!("{folder}/data.terraform_remote_state.{document}"),
                    format!("no root `{document}` has the output `{wanted}`"),
                );
            }
        }
    }
    whole.findings.sort();
    whole
}

/// A folder name as the name of a data source.
pub fn identifier(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn check_root<'a>(schemas: &Schemas, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> (Report, Root) {
    let mut report = Report::default();
    let root = Root::read(files.into_iter(), &mut report);
    for ((kind, type_name, name), value) in &root.declared {
        declared(schemas, (*kind, type_name, name), value, &mut report);
    }
    providers(schemas, &root, &mut report);
    reference::check(&root, schemas, &mut report);
    report.findings.sort();
    report.findings.dedup();
    (report, root)
}

fn declared(
    schemas: &Schemas,
    (kind, type_name, name): (Kind, &str, &str),
    value: &Value,
    report: &mut Report,
) {
    let path = address_text(kind, type_name, name);
    if prefix(type_name) == BUILT_IN_PROVIDER {
        report.checked += 1;
        return;
    }
    let Some(provider) = schemas.provider_of(type_name) else {
        report.add(
            Code::Unchecked,
            path,
            format!("there is no schema of the provider `{}`", prefix(type_name)),
        );
        return;
    };
    let bodies = if kind == Kind::Data { &provider.data } else { &provider.resources };
    let Some(schema) = bodies.get(type_name) else {
        let hint = near(type_name, bodies.keys().map(String::as_str));
        report.add(Code::Unchecked, path, format!("the type `{type_name}` is in no schema{hint}"));
        return;
    };
    for one in each(value) {
        body::resource(&path, one, schema, report);
        report.checked += 1;
    }
}

/// Providers in use must be required under their right source, and configured as their schema says.
fn providers(schemas: &Schemas, root: &Root, report: &mut Report) {
    let mut used: Vec<&str> = root.declared.keys().map(|(_, type_name, _)| prefix(type_name)).collect();
    used.dedup();
    used.sort_unstable();
    used.dedup();
    for name in used {
        let Some(provider) = schemas.providers.get(name) else { continue };
        let path = "terraform.required_providers";
        match root.required.get(name) {
            None => report.add(
                Code::WrongProvider,
                path,
                format!("`{name}` is used and not required; its source is `{}`", provider.source),
            ),
            Some(entry) if entry.is_object() => {
                let source = entry["source"].as_str().unwrap_or_default().to_lowercase();
                let short = source
                    .trim_start_matches("registry.terraform.io/")
                    .trim_start_matches("registry.opentofu.org/");
                if short != provider.source {
                    report.add(
                        Code::WrongProvider,
                        path,
                        format!("`{name}` has the source `{source}`, not `{}`", provider.source),
                    );
                }
            }
            Some(_) => {}
        }
    }
    for (name, configuration) in &root.providers {
        if let Some(schema) = schemas.providers.get(name).and_then(|provider| provider.config.as_ref()) {
            body::provider(&format!("provider.{name}"), configuration, schema, report);
        }
    }
}

/// Root and output of every reference to the state of another root.
fn remote_outputs(root: &Root) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<&Value> = root.files.iter().map(|(_, document)| document).collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => {
                for reference in expression::in_template(text).unwrap_or_default() {
                    if let [data, kind, name, outputs, output, ..] = reference.as_slice()
                        && data == "data"
                        && kind == "terraform_remote_state"
                        && outputs == "outputs"
                    {
                        found.push((name.clone(), output.clone()));
                    }
                }
            }
            Value::Array(list) => open.extend(list),
            Value::Object(map) => open.extend(map.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found.sort();
    found.dedup();
    found
}
