//! The cluster as a whole: problems, overview, events, images, operations.

use serde::Deserialize;
use serde_json::{Value, json};

use super::summary::{self, lines, more};
use crate::api::{Api, ApiRequest};
use crate::arguments::{ListArgs, Nothing, segment};
use crate::reply::{Answer, Refusal, ask, items, word};
use crate::untrusted::line;
use crate::wait::{Patience, Progress, checked};

/// How many events are fetched at once.
const EVENTS_PAGE: u32 = 1000;
/// How many pages of events are read for one timeline.
const EVENT_PAGES: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProblemsArgs {
    workload: Option<String>,
}

pub(super) async fn problems(api: &dyn Api, args: ProblemsArgs) -> Result<Answer, Refusal> {
    let workload = args.workload.as_deref().map(|name| segment("workload", name)).transpose()?;
    let whole = ask(api, ApiRequest::get(&["api", "problems"]).with("workload", workload)).await?;
    let text = lines(items(&whole, "/items"), "No problems: everything is as wanted.", |problem| {
        let evidence = items(problem, "/evidence").iter().filter_map(Value::as_str);
        format!(
            "[{}] {} {}: {}\n  evidence: {}\n  fix: {}\n  next: {}",
            word(problem, "/severity"),
            word(problem, "/code"),
            word(problem, "/subject"),
            word(problem, "/cause"),
            evidence.map(|one| line(one, 200)).collect::<Vec<_>>().join("; "),
            word(problem, "/fix"),
            word(problem, "/next")
        )
    });
    Ok(Answer { text, whole })
}

pub(super) async fn overview(api: &dyn Api, _: Nothing) -> Result<Answer, Refusal> {
    let whole = ask(api, ApiRequest::get(&["api", "cluster"])).await?;
    let problems = lines(items(&whole, "/problems"), "no problems", |one| {
        format!("problem: {}", line(one.as_str().unwrap_or_default(), 300))
    });
    let nodes = lines(items(&whole, "/members"), "no nodes", summary::node);
    let text = format!(
        "{}: {} workloads, {} instances; cpu {}/{} and memory {}/{} asked for\n{nodes}\n{problems}",
        word(&whole, "/health"),
        word(&whole, "/workloads"),
        word(&whole, "/instances"),
        word(&whole, "/requested/cpu"),
        word(&whole, "/capacity/cpu"),
        word(&whole, "/requested/memory"),
        word(&whole, "/capacity/memory")
    );
    Ok(Answer { text, whole })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimelineArgs {
    workload: Option<String>,
    node: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn timeline(api: &dyn Api, args: TimelineArgs) -> Result<Answer, Refusal> {
    let limit = args.limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(Refusal::argument("limit", "between 1 and 500 events are answered"));
    }
    // Events name nodes by id.
    let node = match &args.node {
        None => None,
        Some(name) => {
            Some(ask(api, ApiRequest::get(&["api", "nodes", segment("node", name)?])).await?["id"].take())
        }
    };
    let workload = args.workload.map(Value::String);
    let wanted = |event: &Value| {
        workload.as_ref().is_none_or(|name| event.get("workload") == Some(name))
            && node.as_ref().is_none_or(|id| event.get("node") == Some(id))
    };
    let (mut found, mut cursor, mut revision) = (Vec::new(), None::<String>, Value::Null);
    for _ in 0..EVENT_PAGES {
        let request =
            ApiRequest::get(&["api", "events"]).with("limit", Some(EVENTS_PAGE)).with("cursor", cursor);
        let mut page = ask(api, request).await?;
        let Value::Array(events) = page["items"].take() else { break };
        found.extend(events.into_iter().filter(&wanted));
        found.drain(..found.len().saturating_sub(limit));
        revision = page["revision"].take();
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let text = lines(&found, "no events", |event| {
        let about = match word(event, "/workload").as_str() {
            "-" => String::new(),
            name => format!(" {name}"),
        };
        format!("{} {}{about}: {}", word(event, "/at"), word(event, "/kind"), word(event, "/message"))
    });
    Ok(Answer { text, whole: json!({ "items": found, "revision": revision }) })
}

pub(super) async fn images(api: &dyn Api, args: ListArgs) -> Result<Answer, Refusal> {
    let request = ApiRequest::get(&["api", "images"])
        .with("label", args.label)
        .with("limit", args.limit)
        .with("cursor", args.cursor);
    let whole = ask(api, request).await?;
    let text = lines(items(&whole, "/items"), "no images", |image| {
        format!("{} {} ({} bytes)", word(image, "/reference"), word(image, "/digest"), word(image, "/size"))
    }) + &more(&whole);
    Ok(Answer { text, whole })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationArgs {
    operation: String,
    wait_seconds: Option<u32>,
}

pub(super) async fn operation(
    api: &dyn Api,
    patience: &Patience,
    args: OperationArgs,
) -> Result<Answer, Refusal> {
    let id = segment("operation", &args.operation)?;
    let seconds = checked(args.wait_seconds)?;
    let whole = await_operation(api, patience, id, seconds).await?;
    Ok(Answer { text: summary::operation(&whole), whole })
}

/// The operation when it has ended, or as it is when the time is over.
pub(super) async fn await_operation(
    api: &dyn Api,
    patience: &Patience,
    id: &str,
    seconds: u32,
) -> Result<Value, Refusal> {
    let mut wait = patience.wait(seconds);
    loop {
        let view = ask(api, ApiRequest::get(&["api", "operations", id])).await?;
        let progress = Progress {
            percent: view["progress"].as_f64().unwrap_or_default(),
            message: summary::operation(&view),
            done: view["status"] != "running",
        };
        if wait.is_over(&progress).await {
            return Ok(view);
        }
    }
}
