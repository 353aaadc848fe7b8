//! TOML to the tree.

use toml::de::{DeTable, DeValue};

use super::{Builder, Entry, Node, Table, Value};
use crate::codes::Code;

/// Reads all of the text; faults are reported and what could be read is given back.
pub(super) fn read(builder: &mut Builder<'_>) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(builder.text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        let code = match error.message() {
            "duplicate key" => Code::DuplicateKey,
            message if message.contains("recurs") => Code::TooDeep,
            _ => Code::Syntax,
        };
        builder.fault(code, offset, error.message().trim_end_matches('.').replace('\n', ", "));
    }
    let span = table.span();
    let value = convert_table(builder, table.into_inner(), 0)?;
    Some(Node { value, span: Some(span) })
}

fn convert_table(builder: &mut Builder<'_>, from: DeTable<'_>, depth: usize) -> Option<Value> {
    let mut entries: Vec<Entry> = Vec::with_capacity(from.len());
    for (key, value) in from {
        let (key_span, span) = (key.span(), value.span());
        let value = convert(builder, value.into_inner(), span.start, depth + 1)?;
        let key = key.into_inner().into_owned();
        entries.push(Entry { key, key_span: Some(key_span), node: Node { value, span: Some(span) } });
    }
    // The parser sorts by key; people think in the order they wrote.
    entries.sort_by_key(|entry| entry.key_span.as_ref().map(|span| span.start));
    let mut table = Table::default();
    for entry in entries {
        builder.insert(&mut table, entry);
    }
    Some(Value::Table(table))
}

fn convert(builder: &mut Builder<'_>, value: DeValue<'_>, offset: usize, depth: usize) -> Option<Value> {
    if !builder.count(depth, offset) {
        return None;
    }
    Some(match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                builder.fault(Code::OutOfRange, offset, format!("the number {number} is too large"));
                Value::Null
            }
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => {
                builder.fault(Code::OutOfRange, offset, format!("the number {number} cannot be meant"));
                Value::Null
            }
        },
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(array) => {
            let mut list = Vec::with_capacity(array.len());
            for item in array {
                let span = item.span();
                let value = convert(builder, item.into_inner(), span.start, depth + 1)?;
                list.push(Node { value, span: Some(span) });
            }
            Value::List(list)
        }
        DeValue::Table(table) => convert_table(builder, table, depth)?,
    })
}
