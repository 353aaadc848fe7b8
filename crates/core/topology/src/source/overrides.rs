//! `--set path=value`: replaces one value of the tree.

use toml::de::{DeTable, DeValue};

use super::{Entry, Node, Table, Value};
use crate::codes::Code;
use crate::finding::Finding;

/// Applies one `path=value`.
///
/// Keys are separated by dots. An entry of a list is named by its number, `region[0]` or `region.0`, and a region
/// also by `cloud:name`. The value is read as TOML when it is TOML, else it is the text itself.
pub(super) fn apply(root: &mut Node, text: &str) -> Result<(), Finding> {
    let fail =
        |message: String| Finding::new(Code::BadOverride, "", format!("--set {}: {message}", clip(text)));
    let Some((path, value)) = text.split_once('=') else {
        return Err(fail("there is no `=`".into()).hint("write --set role.web.count=3"));
    };
    let path = path.trim();
    let segments: Vec<&str> =
        path.split(['.', '[']).map(|segment| segment.strip_suffix(']').unwrap_or(segment)).collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(fail("the path has an empty part".into()).hint("write --set role.web.count=3"));
    }
    if segments.len() > super::MOST_DEPTH {
        return Err(fail("the path is too long".into()));
    }
    let mut node = root;
    for segment in segments {
        if node.value == Value::Null {
            node.value = Value::Table(Table::default());
        }
        node = match &mut node.value {
            Value::Table(table) => {
                if table.get(segment).is_none() {
                    let node = Node { value: Value::Null, span: None };
                    // Just seen to be absent.
                    let _ = table.insert(Entry { key: segment.to_owned(), key_span: None, node });
                }
                match table.get_mut(segment) {
                    Some(entry) => &mut entry.node,
                    None => return Err(fail(format!("`{segment}` is not there"))),
                }
            }
            Value::List(list) => {
                let length = list.len();
                let index =
                    segment.parse().ok().or_else(|| list.iter().position(|item| is_called(item, segment)));
                match index.and_then(|index: usize| list.get_mut(index)) {
                    Some(item) => item,
                    None => {
                        let message = format!("the list has no entry `{}`", clip(segment));
                        return Err(fail(message).hint(format!("it has {length} entries, numbered from 0")));
                    }
                }
            }
            other => return Err(fail(format!("`{}` lies inside {}", clip(segment), other.kind()))),
        };
    }
    *node = Node { value: read_value(value.trim()), span: None };
    Ok(())
}

fn clip(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Whether a list's entry is the region `cloud:name`, or has the name.
fn is_called(item: &Node, called: &str) -> bool {
    let Value::Table(table) = &item.value else { return false };
    let text = |key| match table.get(key).map(|entry| &entry.node.value) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    match called.split_once(':') {
        Some((cloud, name)) => text("cloud") == Some(cloud) && text("name") == Some(name),
        None => text("name") == Some(called),
    }
}

fn read_value(text: &str) -> Value {
    let assignment = format!("value = {text}");
    let parsed = DeTable::parse(&assignment).ok().and_then(|table| {
        let mut table = table.into_inner();
        // More than one key means that the text held a line break and more.
        (table.len() == 1).then(|| table.remove("value")).flatten()
    });
    parsed.and_then(|value| convert(value.into_inner())).unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn convert(value: DeValue<'_>) -> Option<Value> {
    let node = |value| Node { value, span: None };
    Some(match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok().filter(|n: &f64| n.is_finite())?),
        DeValue::Datetime(_) => return None,
        DeValue::Array(array) => {
            let items = array.into_iter().map(|item| convert(item.into_inner()).map(node));
            Value::List(items.collect::<Option<_>>()?)
        }
        DeValue::Table(from) => {
            let mut table = Table::default();
            for (key, value) in from {
                let node = node(convert(value.into_inner())?);
                table.insert(Entry { key: key.into_inner().into_owned(), key_span: None, node }).ok()?;
            }
            Value::Table(table)
        }
    })
}
