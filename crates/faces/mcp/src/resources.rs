//! What can be read by address: `univrs://…`, each the JSON of one path of the API.

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::Value;

use crate::api::{Api, ApiRequest};
use crate::arguments::segment;
use crate::reply::{ask, items};
use crate::untrusted::clean_value;

/// How many workloads are listed by name; all can be read.
const LISTED: usize = 100;

/// What there is to read whatever the cluster holds: address, title, path.
const FIXED: &[(&str, &str, &str)] = &[
    ("univrs://cluster", "The cluster as a whole", "cluster"),
    ("univrs://problems", "What is wrong and how to mend it", "problems"),
    ("univrs://plans", "Plans that were made of late", "plans"),
];

/// What can be read by name: address, title, path.
const NAMED: &[(&str, &str, &str)] = &[
    ("univrs://workloads/{name}", "A workload", "workloads"),
    ("univrs://nodes/{name}", "A node", "nodes"),
    ("univrs://operations/{id}", "A long change", "operations"),
];

pub(crate) async fn list(api: &dyn Api) -> Vec<Resource> {
    let resource = |uri: String, title: &str| {
        let name = uri.trim_start_matches("univrs://").to_owned();
        Resource::new(uri, name).with_title(title).with_mime_type("application/json")
    };
    let mut listed: Vec<Resource> =
        FIXED.iter().map(|(uri, title, _)| resource((*uri).to_owned(), title)).collect();
    let request = ApiRequest::get(&["api", "workloads"]).with("limit", Some(LISTED));
    // Who may not see workloads sees the rest.
    let workloads = ask(api, request).await.unwrap_or_default();
    let names =
        items(&workloads, "/items").iter().filter_map(|view| view.get("name").and_then(Value::as_str));
    listed.extend(names.map(|name| resource(format!("univrs://workloads/{name}"), "A workload")));
    listed
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |(uri, title, kind): &(&str, &str, &str)| {
        ResourceTemplate::new(*uri, *kind).with_title(*title).with_mime_type("application/json")
    };
    NAMED.iter().map(template).collect()
}

pub(crate) async fn read(api: &dyn Api, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let unknown = || {
        let shown = crate::untrusted::line(uri, 200);
        ErrorData::resource_not_found(format!("there is no resource `{shown}`"), None)
    };
    let request = request_for(uri).ok_or_else(unknown)?;
    let value = ask(api, request).await.map_err(|refusal| {
        let said = format!("{}: {}", refusal.code, crate::untrusted::line(&refusal.detail, 500));
        match refusal.code.as_str() {
            "not_found" | "ambiguous" => ErrorData::resource_not_found(said, None),
            _ => ErrorData::invalid_request(said, None),
        }
    })?;
    let text = clean_value(value).to_string();
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type("application/json")]))
}

fn request_for(uri: &str) -> Option<ApiRequest> {
    if let Some((_, _, path)) = FIXED.iter().find(|(fixed, _, _)| *fixed == uri) {
        return Some(ApiRequest::get(&["api", path]));
    }
    let (kind, name) = uri.strip_prefix("univrs://")?.split_once('/')?;
    let (_, _, path) = NAMED.iter().find(|(_, _, path)| *path == kind)?;
    let name = segment("name", name).ok()?;
    Some(ApiRequest::get(&["api", path, name]))
}

#[cfg(test)]
mod tests {
    use super::request_for;

    #[test]
    fn addresses_lead_to_paths_and_nowhere_else() {
        for (uri, path) in [
            ("univrs://cluster", Some("api/cluster")),
            ("univrs://workloads/web", Some("api/workloads/web")),
            ("univrs://workloads/../tokens", None),
            ("univrs://workloads/web/exec", None),
            ("univrs://tokens/x", None),
            ("file:///etc/passwd", None),
            ("univrs://workloads/", None),
        ] {
            let found = request_for(uri).map(|request| request.path.join("/"));
            assert_eq!(found.as_deref(), path, "{uri}");
        }
    }
}
