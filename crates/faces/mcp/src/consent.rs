//! Asking the person in front of the client to agree to a plan (elicitation).
//!
//! It counts only for a token that was made with `approval: elicitation`; the API decides that, not this face. Clients of
//! 2026-07-28 are answered with what is to be asked and call again with the person's answer; older ones are asked while
//! the call waits, where the transport carries requests to the client (standard input and output). What is asked names
//! the plan's digest, and the answer is taken for that digest only.

use std::collections::BTreeMap;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ClientResult, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    InputRequest, InputRequiredResult, ProtocolVersion, ServerRequest,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::api::{Api, ApiRequest};
use crate::arguments::segment;
use crate::reply::{Refusal, ask, items, word};
use crate::untrusted::line;

/// How long a person may think: as long as a plan lasts.
const PATIENCE: Duration = Duration::from_mins(10);
/// The key of the question among those of one call.
const QUESTION: &str = "approve";

/// What asking came to.
pub(crate) enum Consent {
    /// The person agreed.
    Agreed,
    /// The client has to ask the person and call again.
    Ask(Box<InputRequiredResult>),
    /// Nobody can be asked, or it would not count; the plan waits as before.
    Unasked,
    /// The person was asked and did not agree.
    Declined,
}

/// Asks the person about the plan that a call of `plan_apply` names.
pub(crate) async fn seek(
    api: &dyn Api,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    live: bool,
) -> Result<Consent, Refusal> {
    let declared = context.client_capabilities().and_then(|client| client.elicitation);
    // A client that says no kind asks by forms; one that names kinds has to name that.
    if !declared.is_some_and(|kinds| kinds.form.is_some() || kinds.url.is_none()) {
        return Ok(Consent::Unasked);
    }
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (id, digest) = (argument("plan_id"), argument("digest"));
    let caller = ask(api, ApiRequest::get(&["api", "caller"])).await?;
    if caller["approval"] != "elicitation" {
        return Ok(Consent::Unasked);
    }
    let plan = ask(api, ApiRequest::get(&["api", "plans", segment("plan_id", &id)?])).await?;
    if plan["digest"] != digest.as_str() || plan["status"] != "waiting_for_approval" {
        return Ok(Consent::Unasked);
    }
    let question = ElicitRequest::new(question(&plan)?);
    if context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
        let answer = request.input_responses.as_ref().and_then(|answers| answers.get(QUESTION));
        let about_this = request.request_state.as_deref() == Some(digest.as_str());
        return Ok(match answer {
            Some(answer) if about_this => verdict(serde_json::from_value(answer.clone()).ok()),
            _ => {
                let questions = BTreeMap::from([(QUESTION.to_owned(), InputRequest::Elicitation(question))]);
                Consent::Ask(Box::new(InputRequiredResult::new(Some(questions), Some(digest))))
            }
        });
    }
    if !live {
        return Ok(Consent::Unasked);
    }
    let asked = context.peer.send_request(ServerRequest::ElicitRequest(question));
    let answer = tokio::select! {
        answer = tokio::time::timeout(PATIENCE, asked) => answer,
        () = context.ct.cancelled() => return Ok(Consent::Declined),
    };
    Ok(match answer {
        Ok(Ok(ClientResult::ElicitResult(answer))) => verdict(Some(answer)),
        Ok(_) | Err(_) => Consent::Declined,
    })
}

/// Only a yes is one.
fn verdict(answer: Option<ElicitResult>) -> Consent {
    let agreed = answer.is_some_and(|answer| {
        answer.action == ElicitationAction::Accept
            && answer.content.is_some_and(|content| content["approve"] == true)
    });
    if agreed { Consent::Agreed } else { Consent::Declined }
}

/// The question in words that name what would happen, in the form that clients show.
fn question(plan: &Value) -> Result<ElicitRequestParams, Refusal> {
    let reasons: Vec<String> = items(plan, "/approval_needed")
        .iter()
        .filter_map(Value::as_str)
        .map(|text| line(text, 200))
        .collect();
    let message = format!(
        "An AI operator wants to apply a plan that {}. It starts {} and stops {} instances. Plan {}, digest {}.",
        reasons.join(" and "),
        word(plan, "/blast_radius/starts"),
        word(plan, "/blast_radius/stops"),
        word(plan, "/plan_id"),
        word(plan, "/digest"),
    );
    let form = json!({
        "mode": "form",
        "message": message,
        "requestedSchema": {"type": "object", "required": ["approve"], "properties": {"approve": {
            "type": "boolean", "title": "Approve this plan", "description": "It is carried out once, at once.", "default": false,
        }}},
    });
    serde_json::from_value(form).map_err(|error| Refusal {
        code: "internal".to_owned(),
        detail: format!("the question could not be written: {error}"),
        ..Refusal::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Consent, question, verdict};

    #[test]
    fn only_a_yes_is_one() {
        for (answer, agreed) in [
            (json!({"action": "accept", "content": {"approve": true}}), true),
            (json!({"action": "accept", "content": {"approve": false}}), false),
            (json!({"action": "accept", "content": {"approve": "true"}}), false),
            (json!({"action": "accept"}), false),
            (json!({"action": "decline", "content": {"approve": true}}), false),
            (json!({"action": "cancel"}), false),
            (json!("yes"), false),
        ] {
            let verdict = verdict(serde_json::from_value(answer.clone()).ok());
            assert_eq!(matches!(verdict, Consent::Agreed), agreed, "{answer}");
        }
    }

    #[test]
    fn the_question_says_what_would_happen_without_control_characters() {
        let plan = json!({"plan_id": "pl_1", "digest": "sha256:d", "approval_needed": ["removes workload we\u{202e}b"],
            "blast_radius": {"starts": 0, "stops": 3}});
        let asked = serde_json::to_value(question(&plan).unwrap()).unwrap();
        let text = asked["message"].as_str().unwrap();
        assert!(
            text.contains("removes workload web") && text.contains("stops 3") && text.contains("sha256:d"),
            "{text}"
        );
        assert_eq!(asked["requestedSchema"]["properties"]["approve"]["type"], "boolean");
    }
}
