//! The language as data: one table of keys, from which the JSON Schema, the reference of `docs/topology.md` and the
//! usual order of a file come.

mod keys;

use serde_json::{Map as Object, Value, json};

use crate::cloud::Cloud;

/// What a key takes. Where a single value is taken, a table with a value for each environment is taken too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A whole number within limits.
    Whole(i64, i64),
    /// A number above 0, at most 1.
    Share,
    /// True or false.
    Truth,
    /// Processors, or bytes: a number or a text with a unit.
    Quantity,
    /// A length of time: `250ms`, `5m`, `30d`.
    Span,
    /// An amount and a currency: `300 USD`.
    Money,
    /// `99.9%`.
    Percent,
    /// An IPv4 range.
    Range,
    /// An IPv4 or IPv6 range.
    Address,
    /// An IPv4 or IPv6 range, or one of some words.
    AddressOrWord(&'static [&'static str]),
    /// A cloud.
    CloudName,
    /// A list; a single entry counts as a list of one.
    List(&'static Kind),
    /// Texts by a name, or one text for all.
    Map,
    /// Whole numbers by a name.
    Env,
    /// A table with the keys below it.
    Table,
    /// A list of tables with the keys below it.
    Many,
    /// Tables by a name of one's own, with the keys below it.
    Named,
}

/// One key of the language.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands: `role.*.ports[].port`.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether the table around it must have it.
    pub required: bool,
    /// What it means.
    pub about: &'static str,
}

impl Key {
    /// The key itself: the last part of its path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The path of the table around it, such as `role.*.ports[]`.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// The path of the tables that it holds, if it holds any.
    pub fn holds(&self) -> Option<String> {
        match self.kind {
            Kind::Table => Some(self.path.to_owned()),
            Kind::Many => Some(format!("{}[]", self.path)),
            Kind::Named => Some(format!("{}.*", self.path)),
            _ => None,
        }
    }
}

/// Every key, in the usual order of a file.
pub fn keys() -> &'static [Key] {
    keys::KEYS
}

/// The keys of the table at that path, in their usual order.
pub fn keys_of(table: &str) -> impl Iterator<Item = &'static Key> {
    keys().iter().filter(move |key| key.table() == table)
}

/// The JSON Schema (2020-12) of the language.
///
/// It is for editors: it knows shapes and words, and lets pass what only a check can know, such as whether a region
/// exists.
pub fn schema() -> Value {
    let mut root = table("");
    if let Value::Object(root) = &mut root {
        root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".into(), json!("Univrs topology"));
        root.insert(
            "description".into(),
            json!("Clouds, machines, services, objectives and a budget in one file."),
        );
    }
    root
}

/// The JSON Schema as it is committed.
pub fn text() -> String {
    format!("{:#}\n", schema())
}

fn table(path: &str) -> Value {
    let mut properties = Object::new();
    for key in keys_of(path) {
        let mut value = of(key.kind, &key.holds().unwrap_or_default());
        if let Value::Object(value) = &mut value {
            value.insert("description".into(), json!(key.about));
        }
        properties.insert(key.name().to_owned(), value);
    }
    let required: Vec<&str> = keys_of(path).filter(|key| key.required).map(Key::name).collect();
    let mut table = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn of(kind: Kind, holds: &str) -> Value {
    match kind {
        Kind::Table => table(holds),
        Kind::Many => json!({"type": "array", "items": table(holds)}),
        Kind::Named => json!({"type": "object", "additionalProperties": table(holds)}),
        Kind::List(entry) => {
            let entry = one(*entry);
            json!({"anyOf": [entry, {"type": "array", "items": {"anyOf": [entry, {"type": "string"}]}}]})
        }
        Kind::Map => {
            let one = json!({"type": ["string", "integer", "boolean"]});
            json!({"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": one}]})
        }
        Kind::Env => json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        single => {
            let single = one(single);
            json!({"anyOf": [single, {"type": "object", "additionalProperties": single}]})
        }
    }
}

/// A single value.
fn one(kind: Kind) -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    match kind {
        Kind::Word(words) => json!({"enum": words}),
        Kind::CloudName => json!({"enum": Cloud::ALL.map(Cloud::as_str)}),
        Kind::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Share => json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        Kind::Truth => json!({"type": "boolean"}),
        Kind::Quantity => json!({"type": ["string", "number"]}),
        Kind::Span => text("^[0-9]"),
        Kind::Money => text("^[0-9]{1,12}(\\.[0-9]{1,6})? [A-Z]{3}$"),
        Kind::Percent => text("^[0-9.]+ *%$"),
        Kind::Range => text("^[0-9.]+/[0-9]{1,2}$"),
        Kind::Address => text("^[0-9A-Fa-f.:]+/[0-9]{1,3}$"),
        Kind::AddressOrWord(words) => {
            json!({"anyOf": [{"enum": words}, text("^[0-9A-Fa-f.:]+/[0-9]{1,3}$")]})
        }
        _ => json!({"type": "string"}),
    }
}

/// Every key as Markdown tables, one for each table of the language: the reference of `docs/topology.md`.
pub fn reference() -> String {
    let mut text = String::new();
    let tables = std::iter::once((String::new(), "The file itself."));
    let tables = tables.chain(keys().iter().filter_map(|key| Some((key.holds()?, key.about))));
    for (path, about) in tables {
        let title = match path.as_str() {
            "" => "At the top".to_owned(),
            path if path.ends_with("[]") && !path.contains('*') => {
                format!("`[[{}]]`", path.replace("[]", ""))
            }
            path => format!("`[{}]`", path.replace("[]", "").replace('*', "NAME")),
        };
        text.push_str(&format!("### {title}\n\n{about}\n\n| key | value | meaning |\n|---|---|---|\n"));
        for key in keys_of(&path) {
            let name =
                if key.required { format!("**`{}`**", key.name()) } else { format!("`{}`", key.name()) };
            text.push_str(&format!("| {name} | {} | {} |\n", words(key.kind), key.about));
        }
        text.push('\n');
    }
    text
}

/// What a kind takes, in words.
fn words(kind: Kind) -> String {
    let choice = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ");
    match kind {
        Kind::Text => "text".into(),
        Kind::Word(words) => choice(words),
        Kind::Whole(least, most) => format!("{least} to {most}"),
        Kind::Share => "above 0, at most 1".into(),
        Kind::Truth => "`true` `false`".into(),
        Kind::Quantity => "quantity".into(),
        Kind::Span => "time".into(),
        Kind::Money => "money".into(),
        Kind::Percent => "percent".into(),
        Kind::Range => "IPv4 range".into(),
        Kind::Address => "range".into(),
        Kind::AddressOrWord(words) => format!("{} or a range", choice(words)),
        Kind::CloudName => choice(&Cloud::ALL.map(Cloud::as_str)),
        Kind::List(entry) => format!("list: {}", words(*entry)),
        Kind::Map => "texts by name".into(),
        Kind::Env => "numbers by name".into(),
        Kind::Table => "table".into(),
        Kind::Many => "tables".into(),
        Kind::Named => "tables by name".into(),
    }
}
