//! Every route of the document, called by who may only look: nothing changes.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use univrs_ports::store::StateStore;

use crate::harness::Face;

/// Methods and path patterns of all routes, with the action that each needs.
fn routes() -> Vec<(Method, String, String)> {
    let document = serde_json::to_value(univrs_api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let operations = paths.into_iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().clone();
        methods.into_iter().map(move |(method, operation)| (path.clone(), method, operation))
    });
    operations
        .map(|(path, method, operation)| {
            let action = operation["x-univrs-action"].as_str();
            let action = action.unwrap_or_else(|| panic!("{method} {path} has no action")).to_owned();
            (method.to_uppercase().parse().unwrap(), path, action)
        })
        .collect()
}

/// The path with the names of things that exist.
fn filled(path: &str) -> String {
    let path = path.replace("{workload}", "web").replace("{node}", "one").replace("{org}", "default");
    let path = path.replace("{operation}", "op_none").replace("{plan}", "pl_none");
    let path = path.replace("{name}", "password").replace("{volume}", "web.data");
    let path = path.replace("{token_id}", "look").replace("{join_token}", "jt_none");
    let path = path.replace("{resource}", "none").replace("{alert}", "none");
    let path = path.replace("{template}", "redis-small").replace("{provider}", "none");
    let path = path.replace("{digest}", &format!("sha256:{}", "0".repeat(64)));
    assert!(!path.contains('{'), "say what {path} stands for");
    match path.as_str() {
        path if path.starts_with("/api/images/blobs/") => format!("{path}?offset=0&size=2"),
        "/api/images/manifest" => format!("{path}?reference=web:1"),
        "/api/images" | "/api/images/export" => format!("{path}?reference=web:1"),
        path if path.ends_with("/exec") => format!("{path}?command=id"),
        path if path.ends_with("/proxy") => format!("{path}?port=80"),
        _ => path,
    }
}

/// A body that the route would take.
fn body(method: &Method, path: &str) -> Value {
    match path {
        "/api/workloads" => json!({"name": "new", "image": "web:1"}),
        "/api/workloads/{workload}" if method == Method::PUT => json!({"name": "web", "image": "web:2"}),
        "/api/workloads/{workload}" if method == Method::PATCH => json!({"replicas": 2}),
        "/api/workloads/{workload}/scale" => json!({"replicas": 3}),
        "/api/nodes/{node}" if method == Method::PATCH => json!({"labels": {"a": "b"}}),
        "/api/plans/{plan}/apply" => json!({"digest": "sha256:0"}),
        "/api/images/pull" | "/api/images/push" => json!({"reference": "web:1"}),
        "/api/secrets/{name}" if method == Method::PUT => json!({"value": "hidden"}),
        path if path.starts_with("/api/topologies/") => crate::topologies::small(),
        "/api/orgs/{org}/quota" => json!({"resources": 3}),
        "/api/orgs/{org}" => json!({"tier": "pro"}),
        "/api/alerts/settings" => json!({"monthly_cost": 10}),
        "/api/alerts/{alert}/silence" => json!({"for": "1h"}),
        "/api/orgs" | "/api/tokens" => json!({"name": "new"}),
        _ if method == Method::GET || method == Method::DELETE => Value::Null,
        _ => json!({}),
    }
}

#[tokio::test]
async fn who_may_only_look_changes_nothing() {
    let face = Face::start().await;
    for spec in [
        json!({"name": "look", "grant": "observe"}),
        json!({"name": "look-wide", "grant": "observe", "cluster_wide": true}),
        json!({"name": "direct", "grant": "observe", "direct": true}),
    ] {
        let token = face.make_token("default", spec.clone()).await;
        let before = (face.store.revision(), face.images.writes());
        let mut denied = 0;
        for (method, path, action) in routes() {
            for body in [body(&method, &path), json!({"nonsense": [1, 2]}), Value::Null] {
                let answer = face.holding(&token, method.clone(), &filled(&path), body).await;
                let may_look = action.ends_with("_read") || action == "none";
                if !may_look {
                    denied += 1;
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} {}", answer.body);
                    assert!(answer.detail().starts_with(&format!("{action} on ")), "{}", answer.body);
                }
                assert!(!answer.status.is_server_error(), "{method} {path} {}", answer.body);
                let after = (face.store.revision(), face.images.writes());
                assert_eq!(after, before, "{method} {path} changed something");
            }
        }
        assert!(denied > 30, "{denied}");
    }
}

#[tokio::test]
async fn every_write_can_be_planned_and_a_plan_moves_no_image() {
    let face = Face::start().await;
    let document = serde_json::to_value(univrs_api::openapi()).unwrap();
    for (method, path, action) in routes() {
        // A plan is carried out and decided about, topologies are only read, and a piece of an image is nothing by itself.
        let piece = path.starts_with("/api/images/blobs/") || path == "/api/images/manifest";
        if method == Method::GET || action.ends_with("_read") || path.starts_with("/api/plans") || piece {
            continue;
        }
        let operation = &document["paths"][&path][method.as_str().to_lowercase()];
        let mut names = operation["parameters"].as_array().into_iter().flatten().map(|one| &one["name"]);
        assert!(names.any(|name| name == "dry_run"), "{method} {path} cannot be planned");
        let filled = filled(&path);
        let mark = if filled.contains('?') { '&' } else { '?' };
        let before = face.images.writes();
        let asked = format!("{filled}{mark}dry_run=true");
        let answer = face.on_the_machine(method.clone(), &asked, body(&method, &path)).await;
        assert!(!answer.status.is_server_error(), "{method} {path} {}", answer.body);
        if answer.status.is_success() {
            assert!(answer.body["plan_id"].is_string(), "{method} {path} {}", answer.body);
        }
        assert_eq!(face.images.writes(), before, "{method} {path} did it");
    }
}

#[tokio::test]
async fn the_bodies_above_are_those_that_the_routes_take() {
    let face = Face::start().await;
    face.make_token("default", json!({"name": "look"})).await;
    for (method, path, action) in routes() {
        // These need a running instance, a lost node, an earlier version, an operation under way, a plan, a volume, an alert or a resource.
        let needs_more = ["/exec", "/proxy", "/rollback", "/cancel", "/{volume}", "/silence"].iter().any(|end| path.ends_with(end))
                || path.starts_with("/ws/")
                || path.starts_with("/api/plans")
                // Nobody joins what has no authority.
                || path.starts_with("/api/join-tokens")
                || path.starts_with("/api/resources")
                // Nodes here have no program of their own.
                || path.starts_with("/api/cluster/")
                || (method == Method::DELETE && path.starts_with("/api/nodes"))
                || (method == Method::DELETE && path.starts_with("/api/secrets"));
        if needs_more || action.ends_with("_read") || action == "none" {
            continue;
        }
        let before = (face.store.revision(), face.images.writes());
        let answer = face.on_the_machine(method.clone(), &filled(&path), body(&method, &path)).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.body);
        let after = (face.store.revision(), face.images.writes());
        assert!(after.0 > before.0 || path.ends_with("logs"), "{method} {path} left no trace");
        assert!(after.1 > before.1 || !path.starts_with("/api/images"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_with_those_it_has() {
    let face = Face::start().await;
    let answer = face.on_the_machine(Method::PUT, "/api/orgs", json!({})).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "GET, POST");
}
