//! What a tool answers: a short text for the model and the whole as structured content; refusals with the next step.

use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{Api, ApiFault, ApiReply, ApiRequest};
use crate::untrusted::{clean_value, line};

/// Longest text of an answer, in characters: about two thousand tokens.
const LONGEST_TEXT: usize = 8000;
/// How many faults of one input are told beside the first.
const MOST_FAULTS: usize = 20;

/// A tool's answer: a text and the whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) whole: Value,
}

/// Why a tool did not do what it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Refusal {
    /// Stable name of the kind of refusal, such as `denied`.
    #[serde(default)]
    pub(crate) code: String,
    /// What is wrong.
    #[serde(default)]
    pub(crate) detail: String,
    /// The argument at fault.
    #[serde(default)]
    pub(crate) field: Option<String>,
    /// The next step.
    #[serde(default)]
    pub(crate) hint: Option<String>,
    /// All faults of the input, when there are several.
    #[serde(default)]
    pub(crate) errors: Vec<Fault>,
}

/// One of several faults of an input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Fault {
    /// The field at fault.
    #[serde(default)]
    field: String,
    /// What is wrong with it.
    #[serde(default)]
    detail: String,
    /// What to do about it.
    #[serde(default)]
    hint: Option<String>,
}

impl Refusal {
    pub(crate) fn argument(field: &str, detail: impl Into<String>) -> Self {
        let (code, field) = ("invalid_arguments".to_owned(), (!field.is_empty()).then(|| field.to_owned()));
        Self { code, detail: detail.into(), field, ..Self::default() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ApiFault> for Refusal {
    fn from(ApiFault(detail): ApiFault) -> Self {
        let hint = "see whether the server runs and is the one that `--server` names, then call again";
        Self { code: "unreachable".to_owned(), detail, ..Self::default() }.hint(hint)
    }
}

/// Asks the API and reads what it says; its refusals become ours.
pub(crate) async fn ask(api: &dyn Api, request: ApiRequest) -> Result<Value, Refusal> {
    let body = ask_text(api, request).await?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&body).map_err(|error| Refusal {
        code: "bad_reply".to_owned(),
        detail: format!("the server's answer could not be read: {error}"),
        ..Refusal::default()
    })
}

/// Asks the API and takes what it says as it is; its refusals become ours.
pub(crate) async fn ask_text(api: &dyn Api, request: ApiRequest) -> Result<String, Refusal> {
    let ApiReply { status, body } = api.send(request).await?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let refusal = serde_json::from_str::<Refusal>(&body).ok().filter(|refusal| !refusal.code.is_empty());
    Err(refusal.unwrap_or_else(|| Refusal {
        code: format!("status_{status}"),
        detail: line(&body, 300),
        ..Refusal::default()
    }))
}

/// The answer or refusal in the form of the protocol.
pub(crate) fn result(outcome: Result<Answer, Refusal>) -> CallToolResult {
    match outcome {
        Ok(Answer { text, whole }) => {
            let mut result = CallToolResult::structured(clean_value(whole));
            result.content = vec![ContentBlock::text(cut(text))];
            result
        }
        Err(refusal) => {
            let field = refusal.field.as_deref().map_or_else(String::new, |field| format!(" ({field})"));
            let mut text = format!("{}{}: {}", refusal.code, line(&field, 200), line(&refusal.detail, 1000));
            if let Some(hint) = &refusal.hint {
                text.push_str(&format!("\nnext: {}", line(hint, 1000)));
            }
            // The first is the refusal itself.
            for Fault { field, detail, hint } in refusal.errors.iter().skip(1).take(MOST_FAULTS) {
                let hint = hint.as_deref().map_or_else(String::new, |hint| format!(" ({})", line(hint, 300)));
                text.push_str(&format!("\nalso {}: {}{hint}", line(field, 200), line(detail, 500)));
            }
            let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
            // No structured content: it would have to be of the shape that success has.
            let problem = clean_value(json!({
                "code": refusal.code, "detail": refusal.detail, "field": refusal.field, "hint": refusal.hint,
                "errors": refusal.errors
            }));
            let mut meta = MetaObject::default();
            meta.insert("univrs/problem".to_owned(), problem);
            result.meta = Some(meta);
            result
        }
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text,
        Some((at, _)) => format!("{}\n… cut here; the structured content has the whole", &text[..at]),
    }
}

/// A field of a JSON object as a short word.
pub(crate) fn word(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => line(text, 300),
        Some(other) => line(&other.to_string(), 300),
    }
}

/// The items of a list.
pub(crate) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
