//! Workloads.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::plans::{planned, planned_or_done};
use super::summary::{self, lines, more};
use crate::api::{Api, ApiRequest};
use crate::arguments::{ListArgs, WorkloadArgs, segment};
use crate::reply::{Answer, Refusal, ask, items, word};

pub(super) async fn list(api: &dyn Api, args: ListArgs) -> Result<Answer, Refusal> {
    let request = ApiRequest::get(&["api", "workloads"])
        .with("label", args.label)
        .with("limit", args.limit)
        .with("cursor", args.cursor);
    let whole = ask(api, request).await?;
    let text = lines(items(&whole, "/items"), "no workloads", summary::workload) + &more(&whole);
    Ok(Answer { text, whole })
}

pub(super) async fn get(api: &dyn Api, args: WorkloadArgs) -> Result<Answer, Refusal> {
    let name = segment("name", &args.name)?;
    let mut whole = ask(api, ApiRequest::get(&["api", "workloads", name])).await?;
    // The count under `instances` is the workload's own; these are the instances themselves.
    let mut live = ask(api, ApiRequest::get(&["api", "workloads", name, "instances"])).await?;
    let mut versions = ask(api, ApiRequest::get(&["api", "workloads", name, "history"])).await?;
    let text = format!(
        "{}\n{}\nversions: {}",
        summary::workload(&whole),
        lines(items(&live, "/items"), "no instances", summary::instance),
        items(&versions, "/items")
            .iter()
            .map(|version| format!("{} {}", word(version, "/number"), word(version, "/images")))
            .collect::<Vec<_>>()
            .join(", ")
    );
    whole["instance_list"] = live["items"].take();
    whole["versions"] = versions["items"].take();
    Ok(Answer { text, whole })
}

pub(super) async fn explain(api: &dyn Api, args: WorkloadArgs) -> Result<Answer, Refusal> {
    let name = segment("name", &args.name)?;
    let whole = ask(api, ApiRequest::get(&["api", "workloads", name, "explain"])).await?;
    let counts = |pointer: &str| {
        let counts = whole.pointer(pointer).and_then(Value::as_object);
        let counts = counts.into_iter().flatten().map(|(what, count)| format!("{count} × {what}"));
        counts.collect::<Vec<_>>().join(", ")
    };
    let placed = lines(items(&whole, "/instances"), "no instances", |instance| {
        format!(
            "{} {} on {}: {}",
            word(instance, "/id"),
            word(instance, "/phase"),
            word(instance, "/node"),
            word(instance, "/reason")
        )
    });
    let text = format!(
        "one more instance: {}\nnodes refused: {}\nconstraints that exclude: {}\n{placed}",
        word(&whole, "/next/summary"),
        counts("/next/filtered"),
        counts("/next/constraints")
    );
    Ok(Answer { text, whole })
}

/// Makes a workload what the document says.
pub(super) async fn deploy(api: &dyn Api, document: Value) -> Result<Answer, Refusal> {
    let name = document.get("name").and_then(Value::as_str).unwrap_or_default();
    let name = segment("name", name)?;
    let existing = match ask(api, ApiRequest::get(&["api", "workloads", name])).await {
        Ok(view) => Some(view),
        Err(refusal) if refusal.code == "not_found" => None,
        Err(refusal) => return Err(refusal),
    };
    // An id finds a workload too, but a document goes by its name.
    let write = match existing.filter(|view| view["name"] == name) {
        None => ApiRequest::new(Method::POST, &["api", "workloads"]),
        Some(view) => ApiRequest {
            if_revision: view["revision"].as_u64(),
            ..ApiRequest::new(Method::PUT, &["api", "workloads", name])
        },
    };
    planned(api, write.body(document.clone())).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateArgs {
    name: String,
    image: Option<String>,
    container: Option<String>,
    #[serde(default)]
    patch: Map<String, Value>,
}

pub(super) async fn update(api: &dyn Api, args: UpdateArgs) -> Result<Answer, Refusal> {
    let name = segment("name", &args.name)?;
    let mut patch = args.patch;
    let mut if_revision = None;
    match &args.image {
        None if patch.is_empty() => {
            return Err(Refusal::argument("image", "nothing to change: give `image` or `patch`"));
        }
        None => {}
        Some(image) => {
            if patch.contains_key("image") || patch.contains_key("containers") {
                return Err(Refusal::argument("patch", "the image is given twice"));
            }
            let view = ask(api, ApiRequest::get(&["api", "workloads", name])).await?;
            if_revision = view["revision"].as_u64();
            let (key, value) = with_image(&view, image, args.container.as_deref())?;
            patch.insert(key.to_owned(), value);
        }
    }
    let write = ApiRequest::new(Method::PATCH, &["api", "workloads", name]).body(Value::Object(patch));
    planned_or_done(api, ApiRequest { if_revision, ..write }).await
}

/// The field of a spec that carries the image, with the new one in it.
fn with_image(view: &Value, image: &str, container: Option<&str>) -> Result<(&'static str, Value), Refusal> {
    let mut containers = items(view, "/spec/containers").to_vec();
    if containers.is_empty() {
        return match container {
            None | Some("app") => Ok(("image", json!(image))),
            Some(other) => {
                Err(Refusal::argument("container", format!("the workload has no container `{other}`")))
            }
        };
    }
    let names: Vec<String> = containers.iter().map(|one| word(one, "/name")).collect();
    let at = match (container, names.len()) {
        (Some(wanted), _) => names.iter().position(|name| name == wanted),
        (None, 1) => Some(0),
        (None, _) => {
            let detail = format!("the workload has several containers: {}", names.join(", "));
            return Err(Refusal::argument("container", detail).hint("say which one gets the image"));
        }
    };
    let chosen = at.and_then(|at| containers.get_mut(at)).ok_or_else(|| {
        Refusal::argument("container", format!("the workload has these containers: {}", names.join(", ")))
    })?;
    chosen["image"] = json!(image);
    Ok(("containers", Value::Array(containers)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleArgs {
    name: String,
    replicas: u32,
}

pub(super) async fn scale(api: &dyn Api, args: ScaleArgs) -> Result<Answer, Refusal> {
    let path = ["api", "workloads", segment("name", &args.name)?, "scale"];
    planned(api, ApiRequest::new(Method::POST, &path).body(json!({ "replicas": args.replicas }))).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackArgs {
    name: String,
    to: Option<u64>,
}

pub(super) async fn roll_back(api: &dyn Api, args: RollbackArgs) -> Result<Answer, Refusal> {
    let path = ["api", "workloads", segment("name", &args.name)?, "rollback"];
    planned(api, ApiRequest::new(Method::POST, &path).body(json!({ "to": args.to }))).await
}

pub(super) async fn delete(api: &dyn Api, args: WorkloadArgs) -> Result<Answer, Refusal> {
    let path = ["api", "workloads", segment("name", &args.name)?];
    planned(api, ApiRequest::new(Method::DELETE, &path)).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::with_image;

    #[test]
    fn an_image_goes_where_the_spec_has_it() {
        let short = json!({"spec": {"image": "web:1"}});
        assert_eq!(with_image(&short, "web:2", None).unwrap(), ("image", json!("web:2")));
        assert!(with_image(&short, "web:2", Some("other")).is_err());
        let one = json!({"spec": {"containers": [{"name": "app", "image": "web:1", "env": {"A": "b"}}]}});
        let (key, value) = with_image(&one, "web:2", None).unwrap();
        assert_eq!(key, "containers");
        assert_eq!(value, json!([{"name": "app", "image": "web:2", "env": {"A": "b"}}]));
        let two = json!({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}});
        assert!(with_image(&two, "z", None).unwrap_err().detail.contains("a, b"));
        assert_eq!(with_image(&two, "z", Some("b")).unwrap().1[1]["image"], "z");
        assert!(with_image(&two, "z", Some("c")).is_err());
    }
}
