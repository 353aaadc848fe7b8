//! One-click resources. Their credentials are for people: no tool shows them.

use http::Method;
use serde_json::Value;

use super::plans::planned;
use super::summary::lines;
use crate::api::{Api, ApiRequest};
use crate::arguments::{Nothing, WorkloadArgs, segment};
use crate::reply::{Answer, Refusal, ask, items, word};

pub(super) async fn templates(api: &dyn Api, _args: Nothing) -> Result<Answer, Refusal> {
    let whole = ask(api, ApiRequest::get(&["api", "templates"])).await?;
    let text = lines(items(&whole, "/items"), "no templates", |template| {
        let parameters = template["parameters"].as_object();
        let names: Vec<&str> = parameters.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        format!(
            "{}: {} Parameters: {}",
            word(template, "/id"),
            word(template, "/description"),
            names.join(", ")
        )
    });
    Ok(Answer { text, whole })
}

pub(super) async fn get(api: &dyn Api, args: WorkloadArgs) -> Result<Answer, Refusal> {
    let whole = ask(api, ApiRequest::get(&["api", "resources", segment("name", &args.name)?])).await?;
    let text = format!(
        "{} ({} on {}): {}, {} {} % {}",
        word(&whole, "/name"),
        word(&whole, "/template"),
        word(&whole, "/provider"),
        word(&whole, "/status"),
        word(&whole, "/stage"),
        word(&whole, "/progress"),
        word(&whole, "/message")
    );
    Ok(Answer { text, whole })
}

pub(super) async fn create(api: &dyn Api, document: Value) -> Result<Answer, Refusal> {
    planned(api, ApiRequest::new(Method::POST, &["api", "resources"]).body(document)).await
}
