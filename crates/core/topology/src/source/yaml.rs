//! YAML 1.2 to the tree, with the scalars of its core schema.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Builder, Entry, Node, Table, Value};
use crate::codes::Code;

/// Reads all of the text; nothing when it is not YAML.
pub(super) fn read(builder: &mut Builder<'_>) -> Option<Node> {
    let text = builder.text;
    let mut reader = Reader {
        offsets: Offsets { text, chars: 0, bytes: 0 },
        open: Vec::new(),
        anchors: BTreeMap::new(),
        root: None,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => reader.event(builder, event, span)?,
            Err(error) => {
                let offset = reader.offsets.byte(error.marker().index());
                // The parser has a limit of its own, which it meets before any value is seen.
                let deep = error.info().contains("recursion limit");
                builder.fault(
                    if deep { Code::TooDeep } else { Code::Syntax },
                    offset,
                    error.info().to_owned(),
                );
                return None;
            }
        }
    }
    let nothing = || Node { value: Value::Table(Table::default()), span: None };
    Some(reader.root.unwrap_or_else(nothing))
}

/// A node that has an anchor, and how many values it stands for.
struct Anchored {
    node: Node,
    values: usize,
}

enum Open {
    List { start: usize, anchor: usize, before: usize, list: Vec<Node> },
    Table { start: usize, anchor: usize, before: usize, table: Table, key: Option<(String, Range<usize>)> },
}

struct Reader<'a> {
    offsets: Offsets<'a>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    root: Option<Node>,
}

impl Reader<'_> {
    /// Takes one event in; nothing once reading has to stop, which has then been reported.
    fn event(&mut self, builder: &mut Builder<'_>, event: Event<'_>, span: Span) -> Option<()> {
        let start = self.offsets.byte(span.start.index());
        let end = self.offsets.byte(span.end.index()).max(start);
        match event {
            Event::SequenceStart(anchor, _) => {
                self.count(builder, start)?;
                let before = builder.values;
                self.open.push(Open::List { start, anchor, before, list: Vec::new() });
            }
            Event::MappingStart(anchor, _) => {
                self.count(builder, start)?;
                let before = builder.values;
                self.open.push(Open::Table { start, anchor, before, table: Table::default(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (value, start, anchor, before) = match self.open.pop()? {
                    Open::List { start, anchor, before, list } => (Value::List(list), start, anchor, before),
                    Open::Table { start, anchor, before, table, .. } => {
                        (Value::Table(table), start, anchor, before)
                    }
                };
                let node = Node { value, span: Some(start..end) };
                self.anchor(anchor, &node, builder.values - before + 1);
                self.place(builder, node)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(Open::Table { key: key @ None, .. }) = self.open.last_mut() {
                    *key = Some((text.into_owned(), start..end));
                    return Some(());
                }
                self.count(builder, start)?;
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain { scalar(&text) } else { Value::Text(text.into_owned()) };
                let node = Node { value, span: Some(start..end) };
                self.anchor(anchor, &node, 1);
                self.place(builder, node)?;
            }
            Event::Alias(anchor) => {
                let Some(Anchored { node, values }) = self.anchors.get(&anchor) else {
                    builder.fault(Code::Syntax, start, "an alias stands inside what it stands for".into());
                    return None;
                };
                builder.values += values - 1;
                let node = Node { value: Value::Null, span: Some(start..end) }.with(node, builder.values);
                self.count(builder, start)?;
                self.place(builder, node)?;
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                builder.fault(Code::Syntax, start, "a topology is one YAML document, not several".into());
                return None;
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn count(&self, builder: &mut Builder<'_>, offset: usize) -> Option<()> {
        builder.count(self.open.len(), offset).then_some(())
    }

    fn anchor(&mut self, anchor: usize, node: &Node, values: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), values });
        }
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, builder: &mut Builder<'_>, node: Node) -> Option<()> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { list, .. }) => list.push(node),
            Some(Open::Table { table, key, .. }) => match key.take() {
                Some((key, span)) => builder.insert(table, Entry { key, key_span: Some(span), node }),
                None => {
                    let offset = node.span.map_or(0, |span| span.start);
                    builder.fault(Code::Syntax, offset, "a key has to be a plain text".into());
                    return None;
                }
            },
        }
        Some(())
    }
}

impl Node {
    /// The value of `anchored` at this place; nothing when the document has grown too large to copy it.
    fn with(self, anchored: &Self, values: usize) -> Self {
        if values > super::MOST_VALUES { self } else { Self { value: anchored.value.clone(), ..self } }
    }
}

/// A plain scalar by the core schema of YAML 1.2.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix =
        |prefix, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Value::Integer(number);
    }
    if plain && let Ok(number) = text.parse() {
        return Value::Integer(number);
    }
    match text.parse::<f64>() {
        Ok(number) if plain && number.is_finite() => Value::Float(number),
        _ => Value::Text(text.to_owned()),
    }
}

/// Turns the parser's character numbers into bytes, moving from the last place asked for.
struct Offsets<'a> {
    text: &'a str,
    chars: usize,
    bytes: usize,
}

impl Offsets<'_> {
    fn byte(&mut self, chars: usize) -> usize {
        if chars >= self.chars {
            let forward = self.text[self.bytes..].chars().take(chars - self.chars);
            self.bytes += forward.map(char::len_utf8).sum::<usize>();
        } else {
            let backward = self.text[..self.bytes].chars().rev().take(self.chars - chars);
            self.bytes -= backward.map(char::len_utf8).sum::<usize>();
        }
        self.chars = chars;
        self.bytes
    }
}
