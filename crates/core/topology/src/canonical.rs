//! `topology fmt`: the keys of a file in their usual order, evenly spaced, with their comments.
//!
//! TOML keeps its comments: one above a key or table moves with it, one at the very top that a blank line ends stays
//! there. JSON has none. YAML is refused, because no parser at hand keeps its comments. What the file means never
//! changes; a test says so for every example.

use toml_edit::{DocumentMut, Item, Table};

use crate::schema::{Key, Kind, keys_of};
use crate::source::{Document, Format, Node, Value};

/// Why a text was not formatted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotFormat {
    /// It is not valid.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// It is YAML.
    #[error("YAML is not formatted, because its comments would be lost")]
    Yaml,
}

impl CannotFormat {
    /// What to do.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "`univrs topology check` says where",
            Self::Yaml => "write the topology as TOML to have it formatted",
        }
    }
}

/// The text in its usual form.
///
/// # Errors
/// When it cannot be read, or is YAML.
pub fn canonical(text: &str, format: Format) -> Result<String, CannotFormat> {
    if format == Format::Yaml {
        return Err(CannotFormat::Yaml);
    }
    // It refuses what a lenient parser would mend, such as a key that is given twice.
    let (document, findings) = Document::read("", text, format, &[]);
    if let Some(finding) = findings.located(&document).first() {
        return Err(CannotFormat::Syntax(finding.message.clone()));
    }
    if format == Format::Json { Ok(json(document.root())) } else { toml(text) }
}

/// Where a key stands in its table: known keys in the order of the language, the others behind.
fn rank(table: &str, key: &str) -> usize {
    keys_of(table).position(|known| known.name() == key).unwrap_or(usize::MAX)
}

fn known(table: &str, key: &str) -> Option<&'static Key> {
    keys_of(table).find(|known| known.name() == key)
}

fn toml(text: &str) -> Result<String, CannotFormat> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| CannotFormat::Syntax(error.message().to_owned()))?;
    let head = take_head(document.as_table_mut());
    let mut next = 0;
    arrange(document.as_table_mut(), "", &mut next);
    let body = document.to_string();
    let mut out = head;
    // Trailing spaces outside of texts over several lines mean nothing, and those are rare: leave such files alone.
    let several = body.contains("\"\"\"") || body.contains("'''");
    for line in body.trim_start_matches('\n').lines() {
        out.push_str(if several { line } else { line.trim_end() });
        out.push('\n');
    }
    Ok(out)
}

/// Comments at the very top of the file, up to the last blank line before the first key.
fn take_head(table: &mut Table) -> String {
    let Some(first) = table.iter().next().map(|(key, _)| key.to_owned()) else { return String::new() };
    let Some(mut key) = table.key_mut(&first) else { return String::new() };
    let decor = key.leaf_decor_mut();
    let prefix = decor.prefix().and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let Some(end) = prefix.rfind("\n\n") else { return String::new() };
    let (head, rest) = prefix.split_at(end + 2);
    decor.set_prefix(rest.to_owned());
    head.to_owned()
}

/// Puts the keys of a table in order, and counts the tables below it.
fn arrange(table: &mut Table, path: &str, next: &mut isize) {
    let mut names: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let before = names.clone();
    names.sort_by_key(|name| rank(path, name));
    if names != before {
        table.sort_values_by(|one, _, other, _| rank(path, one.get()).cmp(&rank(path, other.get())));
    }
    for name in names {
        let kind = known(path, &name).map(|key| key.kind);
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let below = if kind == Some(Kind::Many) { format!("{below}[]") } else { below };
        match table.get_mut(&name) {
            Some(Item::Table(inner)) => {
                place(inner, next);
                if kind == Some(Kind::Named) {
                    // Names of one's own keep their order.
                    for (_, item) in inner.iter_mut() {
                        if let Item::Table(named) = item {
                            place(named, next);
                            arrange(named, &format!("{below}.*"), next);
                        }
                    }
                } else {
                    arrange(inner, &below, next);
                }
            }
            Some(Item::ArrayOfTables(list)) => {
                for inner in list.iter_mut() {
                    place(inner, next);
                    arrange(inner, &below, next);
                }
            }
            Some(item) => {
                let single = item.is_value();
                space(item);
                if single && let Some(mut key) = table.key_mut(&name) {
                    key.leaf_decor_mut().set_suffix(" ");
                }
            }
            None => {}
        }
    }
}

fn place(table: &mut Table, next: &mut isize) {
    table.set_position(Some(*next));
    *next += 1;
}

/// One space around `=`; what stands inside of a value, comments too, is left alone.
fn space(item: &mut Item) {
    if let Item::Value(value) = item {
        value.decor_mut().set_prefix(" ");
    }
}

/// JSON with the keys of each table in order.
fn json(root: &Node) -> String {
    let mut out = String::new();
    write(&mut out, &root.value, "", 0);
    out.push('\n');
    out
}

/// Writes JSON with the keys of each table in order.
fn write(out: &mut String, value: &Value, path: &str, depth: usize) {
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Table(table) if !table.entries().is_empty() => {
            let mut entries: Vec<(&str, &Value)> =
                table.entries().iter().map(|entry| (entry.key.as_str(), &entry.node.value)).collect();
            entries.sort_by_key(|(key, _)| rank(path, key));
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                indent(out, depth + 1);
                out.push_str(&format!("{}: ", serde_json::Value::from(key)));
                let below = known(path, key).and_then(Key::holds);
                // A table of names has one more level before its keys are known.
                let below = match below {
                    Some(below) if below.ends_with(".*") => below.trim_end_matches(".*").to_owned(),
                    Some(below) => below,
                    None if keys_of(&format!("{path}.*")).next().is_some() => format!("{path}.*"),
                    None => "-".to_owned(),
                };
                write(out, value, &below, depth + 1);
            }
            indent(out, depth);
            out.push('}');
        }
        Value::List(list) if !list.is_empty() => {
            out.push('[');
            for (i, node) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                indent(out, depth + 1);
                write(out, &node.value, path, depth + 1);
            }
            indent(out, depth);
            out.push(']');
        }
        Value::Table(_) => out.push_str("{}"),
        Value::List(_) => out.push_str("[]"),
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&serde_json::Value::from(*number).to_string()),
        Value::Text(text) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
    }
}
