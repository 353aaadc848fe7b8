//! Reads `*.tf.json` files into one root: its declarations, with keys that stand twice reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::finding::{Code, Report};

/// Blocks OpenTofu knows on the first level.
const TOP_LEVEL: &[&str] = &[
    "resource",
    "data",
    "provider",
    "terraform",
    "variable",
    "output",
    "locals",
    "module",
    "moved",
    "import",
    "removed",
    "check",
    "ephemeral",
    "//",
];

/// Whether something is managed or only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Resource,
    Data,
}

/// Address of a resource or data source: kind, type, name.
pub(super) type Address = (Kind, String, String);

/// One root module.
#[derive(Debug, Default)]
pub(super) struct Root {
    pub(super) files: Vec<(String, Value)>,
    pub(super) declared: BTreeMap<Address, Value>,
    pub(super) variables: BTreeSet<String>,
    pub(super) locals: BTreeSet<String>,
    pub(super) modules: BTreeSet<String>,
    pub(super) outputs: BTreeSet<String>,
    pub(super) required: BTreeMap<String, Value>,
    pub(super) providers: Vec<(String, Value)>,
}

impl Root {
    /// Reads `files` (name, bytes); faults of the reading itself go to `report`.
    pub(super) fn read<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>, report: &mut Report) -> Self {
        let mut root = Self::default();
        for (name, bytes) in files {
            let mut duplicates = Vec::new();
            let mut input = serde_json::Deserializer::from_slice(bytes);
            let read = Tree { path: String::new(), duplicates: &mut duplicates }
                .deserialize(&mut input)
                .and_then(|value| input.end().map(|()| value));
            for path in duplicates {
                report.add(Code::DuplicateKey, path, "stands twice in one object");
            }
            match read {
                Ok(Value::Object(document)) => root.take(name, document, report),
                Ok(_) => report.add(Code::BadDocument, name, "is not a JSON object"),
                Err(error) => report.add(Code::BadDocument, name, format!("is not JSON: {error}")),
            }
        }
        root
    }

    fn take(&mut self, file: &str, document: Map<String, Value>, report: &mut Report) {
        for (key, value) in &document {
            match key.as_str() {
                "resource" => self.declare(Kind::Resource, value, report),
                "data" => self.declare(Kind::Data, value, report),
                "variable" => self.variables.extend(names(value)),
                "locals" => self.locals.extend(names(value)),
                "module" => self.modules.extend(names(value)),
                "output" => self.outputs.extend(names(value)),
                "provider" => {
                    for group in each(value).filter_map(Value::as_object) {
                        for (name, configurations) in group {
                            self.providers
                                .extend(each(configurations).map(|one| (name.clone(), one.clone())));
                        }
                    }
                }
                "terraform" => {
                    for block in each(value) {
                        for group in each(&block["required_providers"]).filter_map(Value::as_object) {
                            self.required.extend(group.clone());
                        }
                    }
                }
                other if TOP_LEVEL.contains(&other) => {}
                other => {
                    report.add(Code::UnknownTopLevel, format!("{file}: {other}"), "unknown top-level block")
                }
            }
        }
        self.files.push((file.to_owned(), Value::Object(document)));
    }

    fn declare(&mut self, kind: Kind, value: &Value, report: &mut Report) {
        for types in each(value).filter_map(Value::as_object) {
            for (type_name, group) in types {
                for (name, body) in each(group).filter_map(Value::as_object).flatten() {
                    let path = address_text(kind, type_name, name);
                    if !is_identifier(name) {
                        report.add(Code::BadDeclaration, path.clone(), "the name is no identifier");
                    }
                    if body.is_null() {
                        // Null stands for nothing: there is no such resource.
                        continue;
                    }
                    let address = (kind, type_name.clone(), name.clone());
                    if self.declared.insert(address, body.clone()).is_some() {
                        report.add(Code::BadDeclaration, path, "is declared twice");
                    }
                }
            }
        }
    }
}

/// How an address is written: `data.aws_ami.debian`.
pub(super) fn address_text(kind: Kind, type_name: &str, name: &str) -> String {
    match kind {
        Kind::Resource => format!("{type_name}.{name}"),
        Kind::Data => format!("data.{type_name}.{name}"),
    }
}

/// A value that may stand alone or in a list.
pub(super) fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let (list, single) = match value {
        Value::Array(list) => (list.as_slice(), None),
        Value::Null => (&[][..], None),
        other => (&[][..], Some(other)),
    };
    list.iter().chain(single)
}

/// Letters, digits, `_` and `-`, not beginning with a digit or `-`.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn names(value: &Value) -> impl Iterator<Item = String> {
    each(value).filter_map(Value::as_object).flat_map(Map::keys).cloned()
}

/// Reads any JSON and notes keys that stand twice.
struct Tree<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, list.len());
            match items.next_element_seed(Tree { path, duplicates: self.duplicates })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if object.contains_key(&key) {
                self.duplicates.push(path.clone());
            }
            let value = entries.next_value_seed(Tree { path, duplicates: self.duplicates })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
