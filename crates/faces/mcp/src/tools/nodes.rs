//! Nodes.

use serde::Deserialize;

use super::plans::planned;
use super::summary::{self, lines, more};
use crate::api::{Api, ApiRequest};
use crate::arguments::{ListArgs, NodeArgs, segment};
use crate::reply::{Answer, Refusal, ask, items};

pub(super) async fn list(api: &dyn Api, args: ListArgs) -> Result<Answer, Refusal> {
    let request = ApiRequest::get(&["api", "nodes"])
        .with("label", args.label)
        .with("limit", args.limit)
        .with("cursor", args.cursor);
    let whole = ask(api, request).await?;
    let text = lines(items(&whole, "/items"), "no nodes", summary::node) + &more(&whole);
    Ok(Answer { text, whole })
}

pub(super) async fn get(api: &dyn Api, args: NodeArgs) -> Result<Answer, Refusal> {
    let name = segment("node", &args.node)?;
    let mut whole = ask(api, ApiRequest::get(&["api", "nodes", name])).await?;
    let mut held = ask(api, ApiRequest::get(&["api", "nodes", name, "instances"])).await?;
    whole["held"] = held["items"].take();
    let text = format!(
        "{}\n{}",
        summary::node(&whole),
        lines(items(&whole, "/held"), "it holds no instance of this organisation", summary::instance)
    );
    Ok(Answer { text, whole })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainArgs {
    node: String,
    deadline: Option<String>,
}

pub(super) async fn drain(api: &dyn Api, args: DrainArgs) -> Result<Answer, Refusal> {
    let node = segment("node", &args.node)?;
    let request = ApiRequest::new(http::Method::POST, &["api", "nodes", node, "drain"]);
    planned(api, request.with("deadline", args.deadline)).await
}
