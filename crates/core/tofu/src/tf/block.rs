//! Bodies of blocks, resources, and references to them.

use std::collections::BTreeMap;

use super::value::{Expr, Value};

/// The inside of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object(BTreeMap<String, Value>);

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets an argument.
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Sets an argument if there is a value.
    pub(crate) fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// Adds a block of that type; several make a list.
    pub(crate) fn block(mut self, key: &str, block: Self) -> Self {
        if let Value::List(list) = self.0.entry(key.to_owned()).or_insert_with(|| Value::List(Vec::new())) {
            list.push(block.into());
        }
        self
    }

    /// Adds as many blocks of that type as there are.
    pub(crate) fn blocks(self, key: &str, blocks: impl IntoIterator<Item = Self>) -> Self {
        blocks.into_iter().fold(self, |body, block| body.block(key, block))
    }

    /// Whether an argument is set.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Map(object.0)
    }
}

/// A resource or data source to be declared.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(super) data: bool,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) body: Object,
}

impl Resource {
    /// A resource of a type under a name.
    pub(crate) fn new(kind: &str, name: impl Into<String>) -> Self {
        Self { data: false, kind: kind.to_owned(), name: name.into(), body: Object::new() }
    }

    /// A data source.
    pub(crate) fn data(kind: &str, name: impl Into<String>) -> Self {
        Self { data: true, ..Self::new(kind, name) }
    }

    /// Sets an argument.
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body = self.body.set(key, value);
        self
    }

    /// Sets an argument if there is a value.
    pub(crate) fn maybe(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        self.body = self.body.maybe(key, value);
        self
    }

    /// Adds a block.
    pub(crate) fn block(mut self, key: &str, block: Object) -> Self {
        self.body = self.body.block(key, block);
        self
    }

    /// Adds blocks.
    pub(crate) fn blocks(mut self, key: &str, blocks: impl IntoIterator<Item = Object>) -> Self {
        self.body = self.body.blocks(key, blocks);
        self
    }

    /// Later changes of these arguments are not applied: something else keeps them.
    pub(crate) fn ignore_changes(self, arguments: &[&str]) -> Self {
        self.block("lifecycle", Object::new().set("ignore_changes", Value::list(arguments.iter().copied())))
    }

    /// Waits for another resource that no argument refers to.
    pub(crate) fn after(self, other: &Ref) -> Self {
        self.set("depends_on", Value::list([other.address()]))
    }

    /// What others refer to.
    pub(crate) fn reference(&self) -> Ref {
        Ref { data: self.data, kind: self.kind.clone(), name: self.name.clone() }
    }
}

/// A reference to a declared resource or data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ref {
    data: bool,
    kind: String,
    name: String,
}

impl Ref {
    /// A resource that some other function declares.
    pub(crate) fn to(kind: &str, name: impl Into<String>) -> Self {
        Self { data: false, kind: kind.to_owned(), name: name.into() }
    }

    /// `aws_vpc.main`.
    pub(crate) fn address(&self) -> String {
        format!("{}{}.{}", if self.data { "data." } else { "" }, self.kind, self.name)
    }

    /// One of its attributes, which may lead deeper: `endpoint[0].ip`.
    pub(crate) fn attr(&self, attribute: &str) -> Expr {
        Expr::new(format!("{}.{attribute}", self.address()))
    }

    /// Its `id`.
    pub(crate) fn id(&self) -> Expr {
        self.attr("id")
    }
}
