//! What a tool answers: a short text for the model and the whole as structured content; refusals with the next step.

use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, ApiFault, ApiReply, ApiRequest};
use crate::untrusted::{clean_value, line};

/// Longest text of an answer, in characters: about two thousand tokens.
const LONGEST_TEXT: usize = 8000;

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
}

impl Refusal {
    pub(crate) fn argument(field: &str, detail: impl Into<String>) -> Self {
        let (code, field) = ("invalid_arguments".to_owned(), (!field.is_empty()).then(|| field.to_owned()));
        Self { code, detail: detail.into(), field, hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ApiFault> for Refusal {
    fn from(ApiFault(detail): ApiFault) -> Self {
        Self { code: "unreachable".to_owned(), detail, field: None, hint: None }
    }
}

/// Asks the API and reads what it says; its refusals become ours.
pub(crate) async fn ask(api: &dyn Api, request: ApiRequest) -> Result<Value, Refusal> {
    let ApiReply { status, body } = api.send(request).await?;
    if !(200..300).contains(&status) {
        let refusal = serde_json::from_str::<Refusal>(&body).ok().filter(|refusal| !refusal.code.is_empty());
        return Err(refusal.unwrap_or_else(|| Refusal {
            code: format!("status_{status}"),
            detail: line(&body, 300),
            ..Refusal::default()
        }));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&body).map_err(|error| Refusal {
        code: "bad_reply".to_owned(),
        detail: format!("the server's answer could not be read: {error}"),
        ..Refusal::default()
    })
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
            let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
            // No structured content: it would have to be of the shape that success has.
            let problem = clean_value(json!({
                "code": refusal.code, "detail": refusal.detail, "field": refusal.field, "hint": refusal.hint
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
