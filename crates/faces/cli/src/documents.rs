//! Workload files: JSON, YAML or TOML, with one or several documents; and compose files.
//!
//! Faults are found before anything is sent, all at once, and named with their file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;
use univrs_compose::Surroundings;
use univrs_model::field::FieldError;
use univrs_model::workload::WorkloadSpec;
use univrs_model::{check, decode};

use crate::context::Context;
use crate::fault::Fault;

/// One workload as its user wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) name: String,
    /// The document itself, which is what is sent.
    pub(crate) value: Value,
}

/// Reads all documents of a file; `-` is standard input. Of a compose file, the services of these profiles take part.
pub(crate) fn read(
    context: &mut Context<'_>,
    file: &str,
    profiles: &BTreeSet<String>,
) -> Result<Vec<Document>, Fault> {
    let bytes = if file == "-" {
        context.io.read_all().map_err(|source| Fault::local("read standard input", source))?
    } else {
        std::fs::read(file).map_err(|source| Fault::local(format!("read {file}"), source))?
    };
    let text =
        String::from_utf8(bytes).map_err(|_| one_fault(file, FieldError::new("", "it is not UTF-8 text")))?;
    let kind = Path::new(file).extension().and_then(|kind| kind.to_str()).unwrap_or_default().to_lowercase();
    let values = values(&kind, &text).map_err(|fault| one_fault(file, fault))?;
    if values.iter().any(univrs_compose::is_compose) {
        return services(context, file, &text, profiles);
    }
    if values.is_empty() {
        return Err(one_fault(file, FieldError::new("", "it holds no workload")));
    }
    let many = values.len() > 1;
    let mut documents = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let label = if many { format!("{file} (document {})", index + 1) } else { file.to_owned() };
        documents.push(checked(value).map_err(|faults| Fault::Document { file: label, faults })?);
    }
    Ok(documents)
}

/// The services of a compose file as workloads; what differs from Docker is said first.
fn services(
    context: &mut Context<'_>,
    file: &str,
    text: &str,
    profiles: &BTreeSet<String>,
) -> Result<Vec<Document>, Fault> {
    let folder = Path::new(file).parent().unwrap_or(Path::new("."));
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    // As with Docker, `.env` beside the file gives what the environment does not.
    let mut env: BTreeMap<String, String> =
        read(".env").map(|text| univrs_compose::env_file(&text)).unwrap_or_default();
    let readable = |value: OsString| value.into_string().ok();
    env.extend(std::env::vars_os().filter_map(|(key, value)| Some((readable(key)?, readable(value)?))));
    let around = Surroundings { env: &env, profiles, read: &read, as_resource: false };
    let found = univrs_compose::convert(text, &around)
        .map_err(|faults| Fault::Document { file: file.to_owned(), faults })?;
    for note in &found.notes {
        context.talk(&format!("note: {}: {}", note.field, note.detail))?;
    }
    let document = |spec: &WorkloadSpec| {
        let value = serde_json::to_value(spec)
            .map_err(|error| one_fault(file, FieldError::new(spec.name.as_str(), error.to_string())))?;
        Ok(Document { name: spec.name.to_string(), value })
    };
    found.workloads.iter().map(document).collect()
}

fn one_fault(file: &str, fault: FieldError) -> Fault {
    Fault::Document { file: file.to_owned(), faults: vec![fault] }
}

/// A document whose every field is known and acceptable.
fn checked(value: Value) -> Result<Document, Vec<FieldError>> {
    let spec: WorkloadSpec = decode::from_value(value.clone()).map_err(|fault| vec![fault])?;
    let faults = check::workload(&spec);
    if faults.is_empty() { Ok(Document { name: spec.name.to_string(), value }) } else { Err(faults) }
}

/// The documents in a text; lists and `{"workloads": […]}` count as several.
fn values(kind: &str, text: &str) -> Result<Vec<Value>, FieldError> {
    let syntax = |detail: String| FieldError::new("", detail);
    let found = match kind {
        "json" => {
            let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            stream.collect::<Result<Vec<_>, _>>().map_err(|error| syntax(error.to_string()))?
        }
        "toml" => {
            vec![
                toml::from_str::<Value>(text)
                    .map_err(|error| syntax(error.to_string().trim_end().to_owned()))?,
            ]
        }
        // YAML contains JSON, so it also serves for standard input and unknown endings.
        _ => {
            let mut found = Vec::new();
            for document in serde_norway::Deserializer::from_str(text) {
                let value: Value =
                    serde::Deserialize::deserialize(document).map_err(|error| syntax(error.to_string()))?;
                found.push(value);
            }
            found
        }
    };
    Ok(found.into_iter().flat_map(flatten).collect())
}

fn flatten(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        Value::Object(mut fields)
            if fields.len() == 1 && fields.get("workloads").is_some_and(Value::is_array) =>
        {
            match fields.remove("workloads") {
                Some(Value::Array(items)) => items,
                Some(_) | None => Vec::new(),
            }
        }
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use super::{checked, values};

    #[test]
    fn each_format_holds_one_or_several() {
        for (kind, text, count) in [
            ("json", r#"{"name":"a","image":"x"}"#, 1),
            ("json", "{\"name\":\"a\",\"image\":\"x\"}\n{\"name\":\"b\",\"image\":\"x\"}", 2),
            ("json", r#"[{"name":"a","image":"x"},{"name":"b","image":"x"}]"#, 2),
            ("yaml", "name: a\nimage: x\n---\nname: b\nimage: x\n", 2),
            ("yaml", "---\nname: a\nimage: x\n---\n", 1),
            ("", r#"{"name":"a","image":"x"}"#, 1),
            ("toml", "name = \"a\"\nimage = \"x\"\n", 1),
            (
                "toml",
                "[[workloads]]\nname = \"a\"\nimage = \"x\"\n[[workloads]]\nname = \"b\"\nimage = \"x\"\n",
                2,
            ),
        ] {
            let found = values(kind, text).unwrap();
            assert_eq!(found.len(), count, "{text}");
            assert!(found.into_iter().all(|value| checked(value).is_ok()), "{text}");
        }
        assert!(values("toml", "name = ").is_err());
        assert!(values("json", "{").is_err());
        assert!(values("yaml", "a: [").is_err());
    }

    #[test]
    fn all_faults_of_a_document_come_at_once() {
        let value = serde_json::json!({"name": "a", "image": "x y", "priority": 101});
        assert_eq!(checked(value).unwrap_err().len(), 2);
    }
}
