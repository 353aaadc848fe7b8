//! Arguments of tools: read strictly, so that a slip is told instead of ignored.

use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::reply::Refusal;

/// Largest arguments of one call, in bytes of JSON.
const LARGEST: usize = 256 * 1024;

/// Reads the arguments as `T`.
pub(crate) fn read<T: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<T, Refusal> {
    let object = Value::Object(arguments.unwrap_or_default());
    let size = object.to_string().len();
    if size > LARGEST {
        return Err(Refusal {
            code: "too_large".to_owned(),
            detail: format!("the arguments have {size} bytes; at most {LARGEST} are taken"),
            ..Refusal::default()
        });
    }
    serde_json::from_value(object).map_err(|error| {
        let detail = error.to_string();
        // serde names the field between backticks.
        let field = detail.split('`').nth(1).unwrap_or("").to_owned();
        Refusal::argument(&field, detail).hint("tools/list says which arguments the tool takes")
    })
}

/// A tool without arguments.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Which part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListArgs {
    pub(crate) label: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<String>,
}

/// One workload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkloadArgs {
    pub(crate) name: String,
}

/// One node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeArgs {
    pub(crate) node: String,
}

/// One segment of a path: a name or an id, nothing that could lead elsewhere.
pub(crate) fn segment<'a>(field: &str, text: &'a str) -> Result<&'a str, Refusal> {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    let named = (1..=100).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.');
    if named {
        Ok(text)
    } else {
        Err(Refusal::argument(field, format!("`{text}` is neither a name nor an id")))
    }
}
