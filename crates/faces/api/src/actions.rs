//! Which action of the policy each route needs: the one list of what this face can do.
//!
//! The middleware asks for the action before anything of a request is read, and refuses a route that is not listed;
//! handlers ask again through [`univrs_control::Control`], for the very object. Tests compare this list with the API
//! document and call every route without the permission.

use axum::http::Method;
use univrs_authz::Action::{self, *};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, PathItem};

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: anyone may ask.
    Open,
    /// The permission for this action, on objects of this kind.
    Needs(Action, &'static str),
}

use Access::{Needs, Open};

/// Every path with its methods.
const ROUTES: &[(&str, &[(&str, Access)])] = &[
    ("/healthz", &[("GET", Open)]),
    ("/readyz", &[("GET", Open)]),
    ("/metrics", &[("GET", Needs(MetricsRead, "metrics"))]),
    ("/api/openapi.json", &[("GET", Needs(ClusterRead, "cluster"))]),
    ("/api/cluster", &[("GET", Needs(ClusterRead, "cluster"))]),
    ("/api/cluster/backup", &[("GET", Needs(BackupRead, "cluster"))]),
    ("/api/cluster/programs", &[("POST", Needs(NodeWrite, "node"))]),
    ("/api/cluster/upgrade", &[("POST", Needs(NodeWrite, "node"))]),
    ("/api/peers", &[("GET", Needs(NodeRead, "node"))]),
    ("/api/nodes", &[("GET", Needs(NodeRead, "node"))]),
    (
        "/api/nodes/{node}",
        &[
            ("GET", Needs(NodeRead, "node")),
            ("PATCH", Needs(NodeWrite, "node")),
            ("DELETE", Needs(NodeWrite, "node")),
        ],
    ),
    ("/api/nodes/{node}/instances", &[("GET", Needs(InstanceRead, "node"))]),
    ("/api/nodes/{node}/cordon", &[("POST", Needs(NodeWrite, "node"))]),
    ("/api/nodes/{node}/uncordon", &[("POST", Needs(NodeWrite, "node"))]),
    ("/api/nodes/{node}/drain", &[("POST", Needs(NodeWrite, "node"))]),
    (
        "/api/workloads",
        &[("GET", Needs(WorkloadRead, "workload")), ("POST", Needs(WorkloadWrite, "workload"))],
    ),
    (
        "/api/workloads/{workload}",
        &[
            ("GET", Needs(WorkloadRead, "workload")),
            ("PUT", Needs(WorkloadWrite, "workload")),
            ("PATCH", Needs(WorkloadWrite, "workload")),
            ("DELETE", Needs(WorkloadWrite, "workload")),
        ],
    ),
    ("/api/workloads/{workload}/instances", &[("GET", Needs(InstanceRead, "workload"))]),
    ("/api/workloads/{workload}/history", &[("GET", Needs(WorkloadRead, "workload"))]),
    ("/api/workloads/{workload}/explain", &[("GET", Needs(WorkloadRead, "workload"))]),
    ("/api/workloads/{workload}/scale", &[("POST", Needs(WorkloadWrite, "workload"))]),
    ("/api/workloads/{workload}/rollback", &[("POST", Needs(WorkloadWrite, "workload"))]),
    ("/api/workloads/{workload}/logs", &[("GET", Needs(WorkloadLogs, "workload"))]),
    ("/api/workloads/{workload}/exec", &[("GET", Needs(WorkloadExec, "workload"))]),
    ("/api/workloads/{workload}/proxy", &[("GET", Needs(WorkloadExec, "workload"))]),
    ("/api/images", &[("GET", Needs(ImageRead, "image")), ("DELETE", Needs(ImageWrite, "image"))]),
    ("/api/images/pull", &[("POST", Needs(ImageWrite, "image"))]),
    ("/api/images/push", &[("POST", Needs(ImageWrite, "image"))]),
    ("/api/images/self", &[("POST", Needs(ImageWrite, "image"))]),
    ("/api/images/import", &[("POST", Needs(ImageWrite, "image"))]),
    (
        "/api/images/blobs/{digest}",
        &[("GET", Needs(ImageRead, "image")), ("PUT", Needs(ImageWrite, "image"))],
    ),
    ("/api/images/manifest", &[("PUT", Needs(ImageWrite, "image"))]),
    ("/api/images/export", &[("GET", Needs(ImageRead, "image"))]),
    ("/api/orgs", &[("GET", Needs(OrgRead, "org")), ("POST", Needs(OrgWrite, "org"))]),
    ("/api/orgs/{org}", &[("GET", Needs(OrgRead, "org")), ("PUT", Needs(OrgWrite, "org"))]),
    ("/api/tiers", &[("GET", Needs(OrgRead, "tier"))]),
    ("/api/usage", &[("GET", Needs(ResourceRead, "usage"))]),
    ("/api/usage/events", &[("GET", Needs(ResourceRead, "usage"))]),
    ("/api/alerts", &[("GET", Needs(ResourceRead, "alert"))]),
    (
        "/api/alerts/settings",
        &[("GET", Needs(ResourceRead, "alert")), ("PUT", Needs(ResourceWrite, "alert"))],
    ),
    ("/api/alerts/{alert}/silence", &[("POST", Needs(ResourceWrite, "alert"))]),
    ("/api/orgs/{org}/quota", &[("GET", Needs(OrgRead, "org")), ("PUT", Needs(OrgWrite, "org"))]),
    ("/api/tokens", &[("GET", Needs(TokenRead, "token")), ("POST", Needs(TokenWrite, "token"))]),
    ("/api/join-tokens", &[("GET", Needs(NodeRead, "join_token")), ("POST", Needs(NodeWrite, "join_token"))]),
    ("/api/join-tokens/{join_token}", &[("DELETE", Needs(NodeWrite, "join_token"))]),
    ("/api/secrets", &[("GET", Needs(SecretRead, "secret"))]),
    (
        "/api/secrets/{name}",
        &[
            ("GET", Needs(SecretRead, "secret")),
            ("PUT", Needs(SecretWrite, "secret")),
            ("DELETE", Needs(SecretWrite, "secret")),
        ],
    ),
    ("/api/certificates", &[("GET", Needs(WorkloadRead, "certificate"))]),
    ("/api/volumes", &[("GET", Needs(VolumeRead, "volume"))]),
    ("/api/volumes/{volume}", &[("DELETE", Needs(VolumeWrite, "volume"))]),
    ("/api/templates", &[("GET", Needs(ResourceRead, "template"))]),
    ("/api/templates/{template}", &[("GET", Needs(ResourceRead, "template"))]),
    ("/api/providers", &[("GET", Needs(ResourceRead, "provider"))]),
    ("/api/providers/{provider}", &[("GET", Needs(ResourceRead, "provider"))]),
    (
        "/api/resources",
        &[("GET", Needs(ResourceRead, "resource")), ("POST", Needs(ResourceWrite, "resource"))],
    ),
    (
        "/api/resources/{resource}",
        &[("GET", Needs(ResourceRead, "resource")), ("DELETE", Needs(ResourceWrite, "resource"))],
    ),
    ("/api/resources/{resource}/credentials", &[("GET", Needs(ResourceCredentials, "resource"))]),
    ("/api/resources/{resource}/scale", &[("POST", Needs(ResourceWrite, "resource"))]),
    ("/api/resources/{resource}/rotate", &[("POST", Needs(ResourceWrite, "resource"))]),
    (
        "/api/resources/{resource}/backups",
        &[("GET", Needs(ResourceRead, "resource")), ("POST", Needs(ResourceWrite, "resource"))],
    ),
    ("/api/resources/{resource}/restore", &[("POST", Needs(ResourceWrite, "resource"))]),
    ("/api/resources/{resource}/promote", &[("POST", Needs(ResourceWrite, "resource"))]),
    ("/api/resources/{resource}/upgrade", &[("POST", Needs(ResourceWrite, "resource"))]),
    ("/api/resources/{resource}/logs", &[("GET", Needs(WorkloadLogs, "resource"))]),
    ("/api/operations", &[("GET", Needs(OperationRead, "operation"))]),
    ("/api/operations/{operation}", &[("GET", Needs(OperationRead, "operation"))]),
    ("/api/operations/{operation}/cancel", &[("POST", Needs(OperationWrite, "operation"))]),
    ("/api/caller", &[("GET", Needs(ClusterRead, "cluster"))]),
    ("/api/mesh", &[("GET", Needs(NodeRead, "node"))]),
    ("/api/problems", &[("GET", Needs(InstanceRead, "instance"))]),
    ("/api/plans", &[("GET", Needs(OperationRead, "plan"))]),
    ("/api/plans/{plan}", &[("GET", Needs(OperationRead, "plan"))]),
    // The least that any plan needs; what this one does is asked for when it is found.
    ("/api/plans/{plan}/apply", &[("POST", Needs(WorkloadWrite, "plan"))]),
    ("/api/plans/{plan}/approve", &[("POST", Needs(PlanApprove, "plan"))]),
    ("/api/plans/{plan}/reject", &[("POST", Needs(PlanApprove, "plan"))]),
    ("/api/tokens/{token_id}", &[("GET", Needs(TokenRead, "token")), ("DELETE", Needs(TokenWrite, "token"))]),
    // Computed from what is sent; nothing is read of the cluster but its clock, and nothing kept.
    ("/api/topologies/check", &[("POST", Needs(ClusterRead, "topology"))]),
    ("/api/topologies/plan", &[("POST", Needs(ClusterRead, "topology"))]),
    ("/api/topologies/cost", &[("POST", Needs(ClusterRead, "topology"))]),
    ("/api/topologies/optimize", &[("POST", Needs(ClusterRead, "topology"))]),
    ("/api/topologies/emit", &[("POST", Needs(ClusterRead, "topology"))]),
    ("/api/events", &[("GET", Needs(EventRead, "event"))]),
    ("/api/audit", &[("GET", Needs(AuditRead, "audit"))]),
    ("/ws/orchestrator", &[("GET", Needs(EventRead, "event"))]),
    ("/ws/network", &[("GET", Needs(NodeRead, "node"))]),
];

/// What is known of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It needs this.
    Known(Access),
    /// The path is known, and has only these methods.
    NoSuchMethod(Vec<&'static str>),
    /// The path is not listed: a fault of this program.
    Unlisted,
}

/// What the route with this method and path pattern needs. `HEAD` is answered as `GET` is.
pub(crate) fn route(method: &Method, pattern: &str) -> Route {
    if pattern == crate::mcp::PATH {
        // Every message of that protocol is a POST; what a tool does is asked for by the requests that it makes.
        return Route::Known(Needs(ClusterRead, "cluster"));
    }
    let Some((_, methods)) = ROUTES.iter().find(|(path, _)| *path == pattern) else { return Route::Unlisted };
    let asked = if method == Method::HEAD { "GET" } else { method.as_str() };
    match methods.iter().find(|(method, _)| *method == asked) {
        Some((_, access)) => Route::Known(*access),
        None => Route::NoSuchMethod(methods.iter().map(|(method, _)| *method).collect()),
    }
}

/// The object that a request names by the first variable part of its path, such as `workload/web`.
pub(crate) fn object(kind: &str, pattern: &str, path: &str) -> String {
    let named = pattern.split('/').zip(path.split('/')).find(|(part, _)| part.starts_with('{'));
    named.map_or_else(|| kind.to_owned(), |(_, name)| format!("{kind}/{name}"))
}

/// Says in the API document which action each operation needs.
pub(crate) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
            let action = match route(&method, path) {
                Route::Known(Needs(action, _)) => action.as_str(),
                Route::Known(Open) => "none",
                Route::NoSuchMethod(_) | Route::Unlisted => continue,
            };
            let extensions =
                utoipa::openapi::extensions::ExtensionsBuilder::new().add("x-univrs-action", action).build();
            operation.extensions.get_or_insert_default().merge(extensions);
        }
    }
}

/// The operations of a path with their methods.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("PUT", &mut item.put),
        ("POST", &mut item.post),
        ("DELETE", &mut item.delete),
        ("OPTIONS", &mut item.options),
        ("HEAD", &mut item.head),
        ("PATCH", &mut item.patch),
        ("TRACE", &mut item.trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Method;
    use univrs_authz::Action;

    use super::{Access, ROUTES, Route, object, operations, route};

    /// Every route that the router was given is in the document, and the document and the list name the same ones.
    #[test]
    fn every_route_has_its_action() {
        let mut document = crate::openapi();
        let served: BTreeSet<String> = document
            .paths
            .paths
            .iter_mut()
            .flat_map(|(path, item)| {
                let path = path.clone();
                operations(item).map(move |(method, _)| format!("{method} {path}")).collect::<Vec<_>>()
            })
            .collect();
        let listed: BTreeSet<String> = ROUTES
            .iter()
            .flat_map(|(path, methods)| methods.iter().map(move |(method, _)| format!("{method} {path}")))
            .collect();
        let unlisted: Vec<_> = served.difference(&listed).collect();
        assert!(unlisted.is_empty(), "add these to ROUTES with the action they need: {unlisted:?}");
        let gone: Vec<_> = listed.difference(&served).collect();
        assert!(gone.is_empty(), "these are not served: {gone:?}");
    }

    #[test]
    fn only_probes_are_open_and_only_looking_is_a_get() {
        for (path, methods) in ROUTES {
            for (method, access) in *methods {
                match access {
                    Access::Open => assert!(matches!(*path, "/healthz" | "/readyz"), "{path}"),
                    Access::Needs(action, _) => {
                        let looks = action.as_str().ends_with("_read")
                            || matches!(
                                action,
                                Action::WorkloadLogs | Action::WorkloadExec | Action::ResourceCredentials
                            );
                        // A topology is too long for a path; computing with it changes nothing.
                        let gets = *method == "GET" || path.starts_with("/api/topologies/");
                        assert_eq!(gets, looks, "{method} {path} needs {action}");
                    }
                }
            }
        }
    }

    #[test]
    fn routes_are_found_by_method_and_pattern() {
        let read = Route::Known(Access::Needs(Action::WorkloadRead, "workload"));
        assert_eq!(route(&Method::HEAD, "/api/workloads"), read);
        assert_eq!(route(&Method::PUT, "/api/workloads"), Route::NoSuchMethod(vec!["GET", "POST"]));
        assert_eq!(route(&Method::GET, "/api/secret-door"), Route::Unlisted);
        let pattern = "/api/workloads/{workload}/logs";
        assert_eq!(object("workload", pattern, "/api/workloads/web/logs"), "workload/web");
        assert_eq!(object("workload", "/api/workloads", "/api/workloads"), "workload");
    }
}
