//! Arguments of tools: read strictly, so that a slip is told instead of ignored.

use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use univrs_model::decode;

use crate::reply::Refusal;

/// Largest arguments of one call, in bytes of JSON.
const LARGEST: usize = 256 * 1024;

/// Reads the arguments as `T`.
pub(crate) fn read<T: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<T, Refusal> {
    let text = Value::Object(arguments.unwrap_or_default()).to_string();
    let size = text.len();
    if size > LARGEST {
        return Err(Refusal {
            code: "too_large".to_owned(),
            detail: format!("the arguments have {size} bytes; at most {LARGEST} are taken"),
            ..Refusal::default()
        });
    }
    decode::from_json(text.as_bytes()).map_err(|fault| {
        // A field that is missing has no place; serde names it between backticks.
        let missing = fault.detail.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let field = missing.filter(|_| fault.field.is_empty()).unwrap_or(&fault.field).to_owned();
        let hint = fault.hint.unwrap_or_else(|| "tools/list says which arguments the tool takes".to_owned());
        // Where in the text that nobody wrote tells nothing.
        let detail = fault.detail.split(" at line ").next().unwrap_or_default();
        Refusal::argument(&field, detail).hint(hint)
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
