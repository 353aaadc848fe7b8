//! Provider schemas as the checker reads them: one compact JSON document for all providers.
//!
//! ```json
//! {"providers": {"aws": {"source": "hashicorp/aws", "version": "6.25.0",
//!   "resources": {"aws_vpc": {"attrs": {"cidr_block": "oc string"}, "blocks": {}}},
//!   "data": {}, "provider": {"attrs": {}}}}}
//! ```
//! An attribute is `"MODE TYPE"` (`r` required, `o` optional, `oc` optional or computed, `c` computed only) or an
//! object `{mode, nest, attrs, strict}` for a value made of objects; `strict` says that every key must be present in
//! JSON, null included. A block is `{nest, min, max, attrs, blocks}`; a missing `max` means many.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The schemas of several providers.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    pub(super) providers: BTreeMap<String, Provider>,
}

/// The schema document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is not JSON.
    #[error("the provider schemas are not JSON")]
    Syntax(#[source] serde_json::Error),
    /// Something in it has a shape this reader does not know.
    #[error("the provider schemas are malformed at {at}: {why}")]
    Shape {
        /// Where, as a dotted path.
        at: String,
        /// What was expected there.
        why: &'static str,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Provider {
    pub(super) source: String,
    pub(super) resources: BTreeMap<String, Body>,
    pub(super) data: BTreeMap<String, Body>,
    pub(super) config: Option<Body>,
}

/// The inside of a resource, a block or an object-typed attribute.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub(super) attributes: BTreeMap<String, Attribute>,
    pub(super) blocks: BTreeMap<String, Block>,
}

#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) mode: Mode,
    pub(super) shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Required,
    Optional,
    Computed,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    Plain(Type),
    Objects { nesting: Nesting, body: Body, strict: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nesting {
    Single,
    List,
    Map,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) nesting: Nesting,
    pub(super) least: usize,
    pub(super) most: Option<usize>,
    pub(super) body: Body,
}

/// The type of a plain attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Text,
    Number,
    Bool,
    List(Box<Type>),
    Map(Box<Type>),
}

impl Schemas {
    /// Reads the document described above.
    ///
    /// # Errors
    /// It is not JSON, or an entry has another shape.
    pub fn parse(text: &[u8]) -> Result<Self, SchemaError> {
        let document: Value = serde_json::from_slice(text).map_err(SchemaError::Syntax)?;
        let mut providers = BTreeMap::new();
        for (name, value) in object(&document["providers"], "providers")? {
            let at = format!("providers.{name}");
            let bodies = |key: &str| -> Result<BTreeMap<String, Body>, SchemaError> {
                match &value[key] {
                    Value::Null => Ok(BTreeMap::new()),
                    list => object(list, &format!("{at}.{key}"))?
                        .iter()
                        .map(|(kind, inner)| Ok((kind.clone(), body(inner, &format!("{at}.{kind}"))?)))
                        .collect(),
                }
            };
            let provider = Provider {
                source: text_of(&value["source"], &format!("{at}.source"))?.to_owned(),
                resources: bodies("resources")?,
                data: bodies("data")?,
                config: match &value["provider"] {
                    Value::Null => None,
                    config => Some(body(config, &format!("{at}.provider"))?),
                },
            };
            providers.insert(name.clone(), provider);
        }
        Ok(Self { providers })
    }

    /// The provider a resource type belongs to, by the word before its first `_`.
    pub(super) fn provider_of(&self, kind: &str) -> Option<&Provider> {
        self.providers.get(prefix(kind))
    }
}

/// The provider's local name in a resource type: `aws` of `aws_vpc`.
pub(super) fn prefix(kind: &str) -> &str {
    kind.split('_').next().unwrap_or(kind)
}

fn shape_error(at: &str, why: &'static str) -> SchemaError {
    SchemaError::Shape { at: at.to_owned(), why }
}

fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, SchemaError> {
    value.as_object().ok_or_else(|| shape_error(at, "an object"))
}

fn text_of<'a>(value: &'a Value, at: &str) -> Result<&'a str, SchemaError> {
    value.as_str().ok_or_else(|| shape_error(at, "a string"))
}

fn body(value: &Value, at: &str) -> Result<Body, SchemaError> {
    let mut read = Body::default();
    if let Some(attributes) = value["attrs"].as_object() {
        for (name, entry) in attributes {
            read.attributes.insert(name.clone(), attribute(entry, &format!("{at}.{name}"))?);
        }
    }
    if let Some(blocks) = value["blocks"].as_object() {
        for (name, entry) in blocks {
            let at = format!("{at}.{name}");
            let count = |key: &str| entry[key].as_u64().and_then(|n| usize::try_from(n).ok());
            read.blocks.insert(
                name.clone(),
                Block {
                    nesting: nesting(&entry["nest"], &at)?,
                    least: count("min").unwrap_or(0),
                    most: count("max"),
                    body: body(entry, &at)?,
                },
            );
        }
    }
    Ok(read)
}

fn attribute(value: &Value, at: &str) -> Result<Attribute, SchemaError> {
    if let Some(text) = value.as_str() {
        let (mode_word, kind) = text.split_once(' ').ok_or_else(|| shape_error(at, "`MODE TYPE`"))?;
        return Ok(Attribute { mode: mode(mode_word, at)?, shape: Shape::Plain(plain(kind, at)?) });
    }
    Ok(Attribute {
        mode: mode(text_of(&value["mode"], at)?, at)?,
        shape: Shape::Objects {
            nesting: nesting(&value["nest"], at)?,
            body: body(value, at)?,
            strict: value["strict"].as_bool().unwrap_or(false),
        },
    })
}

fn mode(word: &str, at: &str) -> Result<Mode, SchemaError> {
    match word {
        "r" => Ok(Mode::Required),
        "o" | "oc" => Ok(Mode::Optional),
        "c" => Ok(Mode::Computed),
        _ => Err(shape_error(at, "one of the modes r, o, oc, c")),
    }
}

fn nesting(value: &Value, at: &str) -> Result<Nesting, SchemaError> {
    match text_of(value, at)? {
        "single" | "group" => Ok(Nesting::Single),
        "list" | "set" => Ok(Nesting::List),
        "map" => Ok(Nesting::Map),
        _ => Err(shape_error(at, "one of the nestings single, list, set, map")),
    }
}

fn plain(text: &str, at: &str) -> Result<Type, SchemaError> {
    if let Some((outer, rest)) = text.split_once('(') {
        let inner = rest.strip_suffix(')').ok_or_else(|| shape_error(at, "a closing parenthesis"))?;
        let inner = Box::new(plain(inner, at)?);
        return match outer {
            "list" | "set" => Ok(Type::List(inner)),
            "map" => Ok(Type::Map(inner)),
            _ => Err(shape_error(at, "list, set or map")),
        };
    }
    match text {
        "string" => Ok(Type::Text),
        "number" => Ok(Type::Number),
        "bool" => Ok(Type::Bool),
        "any" | "dynamic" => Ok(Type::Any),
        _ => Err(shape_error(at, "a known type")),
    }
}
