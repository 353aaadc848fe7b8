//! Values: what stands on the right of a key.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// An expression, without the `${` and `}` around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expr(String);

impl Expr {
    /// An expression from its text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `var.name`.
    pub(crate) fn var(name: &str) -> Self {
        Self(format!("var.{name}"))
    }

    /// `local.name`.
    pub(crate) fn local(name: &str) -> Self {
        Self(format!("local.{name}"))
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// A value. Maps are ordered by key, so that the same value always gives the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Integer(i64),
    Decimal(f64),
    /// Literal text and expressions, one after the other.
    Text(Vec<Piece>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

/// A part of a string.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Literal(String),
    Expression(Expr),
}

impl Value {
    /// A string of several pieces.
    pub(crate) fn join(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self::Text(pieces.into_iter().collect())
    }

    /// A list.
    pub(crate) fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// A map.
    pub(crate) fn map<K: Into<String>, V: Into<Self>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    fn written(pieces: &[Piece]) -> String {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.replace("${", "$${").replace("%{", "%%{"),
                Piece::Expression(expression) => format!("${{{}}}", expression.text()),
            })
            .collect()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => out.serialize_bool(*value),
            Self::Integer(value) => out.serialize_i64(*value),
            Self::Decimal(value) => out.serialize_f64(*value),
            Self::Text(pieces) => out.serialize_str(&Self::written(pieces)),
            Self::List(items) => items.serialize(out),
            Self::Map(entries) => entries.serialize(out),
        }
    }
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self::Literal(text.to_owned())
    }
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Self::Literal(text)
    }
}

impl From<Expr> for Piece {
    fn from(expression: Expr) -> Self {
        Self::Expression(expression)
    }
}

impl<T: Into<Piece>> From<T> for Value {
    fn from(piece: T) -> Self {
        Self::Text(vec![piece.into()])
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Decimal(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Integer(value.into())
    }
}

impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::List(items)
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(entries: BTreeMap<String, String>) -> Self {
        Self::map(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::{Expr, Piece, Value};

    #[test]
    fn literals_never_become_expressions() {
        let value = Value::join([Piece::from("${a} %{b} $5 "), Expr::var("x").into()]);
        assert_eq!(serde_json::to_string(&value).unwrap(), r#""$${a} %%{b} $5 ${var.x}""#);
    }
}
