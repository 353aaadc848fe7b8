//! Plans: made by every tool that changes something, and carried out by one.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::await_operation;
use super::summary;
use crate::api::{Api, ApiRequest};
use crate::arguments::segment;
use crate::reply::{Answer, Refusal, ask, items, word};
use crate::wait::{Patience, Progress, checked};

/// The plan of a write.
pub(super) async fn planned(api: &dyn Api, write: ApiRequest) -> Result<Answer, Refusal> {
    let whole = ask(api, write.planned()).await?;
    Ok(Answer { text: summary::plan(&whole), whole })
}

/// The plan of a write, carried out at once when the caller has the direct grant and nobody has to approve it.
pub(super) async fn planned_or_done(api: &dyn Api, write: ApiRequest) -> Result<Answer, Refusal> {
    let plan = ask(api, write.planned()).await?;
    let direct = ask(api, ApiRequest::get(&["api", "caller"])).await?["direct"] == true;
    if !direct || plan["status"] != "ready" {
        return Ok(Answer { text: summary::plan(&plan), whole: plan });
    }
    let (id, digest) = (word(&plan, "/plan_id"), word(&plan, "/digest"));
    let whole = carried_out(api, &id, &digest, false).await?;
    let text = format!("done at revision {}\n{}", word(&whole, "/applied_revision"), summary::plan(&whole));
    Ok(Answer { text, whole })
}

async fn carried_out(api: &dyn Api, id: &str, digest: &str, agreed: bool) -> Result<Value, Refusal> {
    let path = ["api", "plans", segment("plan_id", id)?, "apply"];
    let body = if agreed { json!({ "digest": digest, "agreed": true }) } else { json!({ "digest": digest }) };
    ask(api, ApiRequest::new(Method::POST, &path).body(body)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanArgs {
    plan_id: String,
}

pub(super) async fn get(api: &dyn Api, args: PlanArgs) -> Result<Answer, Refusal> {
    let whole = ask(api, ApiRequest::get(&["api", "plans", segment("plan_id", &args.plan_id)?])).await?;
    Ok(Answer { text: summary::plan(&whole), whole })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyArgs {
    plan_id: String,
    digest: String,
    wait_seconds: Option<u32>,
}

/// Carries a plan out. `agreed` is never an argument of the model's: only the person whom the client asked says it.
pub(super) async fn apply(
    api: &dyn Api,
    patience: &Patience,
    args: ApplyArgs,
    agreed: bool,
) -> Result<Answer, Refusal> {
    let seconds = checked(args.wait_seconds)?;
    let mut whole = carried_out(api, &args.plan_id, &args.digest, agreed).await?;
    let mut now = Vec::new();
    let mut settled = true;
    for change in items(&whole, "/changes") {
        let name = word(change, "/name");
        let state = match (word(change, "/kind").as_str(), word(change, "/action").as_str()) {
            ("workload", action) => await_workload(api, patience, &name, action == "delete", seconds).await?,
            ("operation", _) => {
                let view = await_operation(api, patience, &name, seconds).await?;
                let ended = view["status"] != "running";
                (summary::operation(&view), ended)
            }
            _ => continue,
        };
        settled &= state.1;
        now.push(json!({ "name": name, "state": state.0, "settled": state.1 }));
    }
    let states: Vec<String> = now.iter().map(|one| word(one, "/state")).collect();
    let text = format!("applied at revision {}\n{}", word(&whole, "/applied_revision"), states.join("\n"));
    whole["settled"] = settled.into();
    whole["now"] = now.into();
    Ok(Answer { text, whole })
}

/// How a workload stands, and whether it has settled, when it has or the time is over.
async fn await_workload(
    api: &dyn Api,
    patience: &Patience,
    name: &str,
    removed: bool,
    seconds: u32,
) -> Result<(String, bool), Refusal> {
    let mut wait = patience.wait(seconds);
    loop {
        let view = match ask(api, ApiRequest::get(&["api", "workloads", segment("name", name)?])).await {
            Ok(view) => view,
            Err(refusal) if refusal.code == "not_found" && removed => {
                let message = format!("{name} is gone");
                let progress = Progress { percent: 100.0, message: message.clone(), done: true };
                wait.is_over(&progress).await;
                return Ok((message, true));
            }
            Err(refusal) => return Err(refusal),
        };
        let moving = ["pending", "progressing", "reverting"].iter().any(|status| view["status"] == *status);
        let seen = view["observed_generation"].as_u64() >= view["generation"].as_u64();
        let settled = !removed && seen && !moving;
        let (ready, wanted) =
            (view["ready"].as_f64().unwrap_or(0.0), view["replicas"].as_f64().unwrap_or(0.0));
        let share = if wanted > 0.0 { (ready / wanted).clamp(0.0, 1.0) } else { 1.0 };
        let percent = if settled { 100.0 } else { (share * 99.0).floor() };
        let message = summary::workload(&view);
        if wait.is_over(&Progress { percent, message: message.clone(), done: settled }).await {
            return Ok((message, settled));
        }
    }
}
