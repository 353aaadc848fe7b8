//! JSON to the tree.
//!
//! The structure is read here, because no JSON library tells where a value stands; texts and numbers are left to
//! `serde_json`.

use std::ops::Range;

use super::{Builder, Entry, Node, Table, Value};
use crate::codes::Code;

/// Reads all of the text; nothing when it is not JSON.
pub(super) fn read(builder: &mut Builder<'_>) -> Option<Node> {
    let mut reader = Reader { text: builder.text, at: 0 };
    let result = reader.value(builder, 0).and_then(|node| {
        reader.space();
        if reader.at < reader.text.len() { Err(reader.expected("the end of the text")) } else { Ok(node) }
    });
    match result {
        Ok(node) => Some(node),
        Err(Stop::Syntax(offset, message)) => {
            builder.fault(Code::Syntax, offset, message);
            None
        }
        Err(Stop::Limit) => None,
    }
}

enum Stop {
    Syntax(usize, String),
    /// A limit, which has been reported.
    Limit,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> Stop {
        let found =
            self.text[self.at..].chars().next().map_or_else(|| "the end".into(), |c| format!("`{c}`"));
        Stop::Syntax(self.at, format!("expected {what}, found {found}"))
    }

    /// Takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn value(&mut self, builder: &mut Builder<'_>, depth: usize) -> Result<Node, Stop> {
        self.space();
        let start = self.at;
        if !builder.count(depth, start) {
            return Err(Stop::Limit);
        }
        let value = match self.peek() {
            Some(b'{') => self.table(builder, depth)?,
            Some(b'[') => self.list(builder, depth)?,
            Some(b'"') => Value::Text(self.string()?.0),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { value, span: Some(start..self.at) })
    }

    fn table(&mut self, builder: &mut Builder<'_>, depth: usize) -> Result<Value, Stop> {
        self.at += 1;
        let mut table = Table::default();
        if self.take(b'}') {
            return Ok(Value::Table(table));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in quotation marks"));
            }
            let (key, span) = self.string()?;
            if !self.take(b':') {
                return Err(self.expected("`:`"));
            }
            let node = self.value(builder, depth + 1)?;
            builder.insert(&mut table, Entry { key, key_span: Some(span), node });
            if self.take(b'}') {
                return Ok(Value::Table(table));
            }
            if !self.take(b',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn list(&mut self, builder: &mut Builder<'_>, depth: usize) -> Result<Value, Stop> {
        self.at += 1;
        let mut list = Vec::new();
        if self.take(b']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value(builder, depth + 1)?);
            if self.take(b']') {
                return Ok(Value::List(list));
            }
            if !self.take(b',') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<(String, Range<usize>), Stop> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        while bytes.get(end).is_some_and(|b| *b != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        if end >= bytes.len() {
            return Err(Stop::Syntax(start, "a text does not end".into()));
        }
        self.at = end + 1;
        let text = serde_json::from_str(&self.text[start..self.at]).map_err(|_| {
            Stop::Syntax(start, "a text holds a bare control character or a wrong escape".into())
        })?;
        Ok((text, start..self.at))
    }

    fn number(&mut self) -> Result<Value, Stop> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        if let Ok(number) = serde_json::from_str::<i64>(text) {
            return Ok(Value::Integer(number));
        }
        let fail = |_| {
            Stop::Syntax(start, format!("`{}` is not a number", text.chars().take(80).collect::<String>()))
        };
        serde_json::from_str::<f64>(text).map(Value::Float).map_err(fail)
    }

    fn word(&mut self) -> Result<Value, Stop> {
        for (word, value) in
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
        {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.expected("a value"))
    }
}
