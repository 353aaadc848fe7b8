//! Which instances a request may go to: the service table, prepared for look-up.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use univrs_ports::network::ServiceTable;

use super::backend::Backend;
use super::metrics::{Counters, IngressMetrics};
use super::options::IngressOptions;

/// One route, ready for use.
#[derive(Debug)]
pub(crate) struct Target {
    /// Without a slash at the end; empty matches every path.
    path: String,
    pub(crate) workload: String,
    pub(crate) backends: Vec<Arc<Backend>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) turn: AtomicUsize,
}

/// The routes of one service table.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) source: Arc<ServiceTable>,
    /// By host, the longest paths first.
    hosts: HashMap<String, Vec<Arc<Target>>>,
    backends: BTreeMap<SocketAddrV4, Arc<Backend>>,
}

/// Matches every host.
const ANY_HOST: &str = "*";

impl Routes {
    /// Prepares a table. Instances that `before` knew keep their connections and their history.
    pub(crate) fn new(
        source: Arc<ServiceTable>,
        before: Option<&Self>,
        options: &IngressOptions,
        metrics: &IngressMetrics,
    ) -> Self {
        let mut backends: BTreeMap<SocketAddrV4, Arc<Backend>> = BTreeMap::new();
        let mut hosts: HashMap<String, Vec<Arc<Target>>> = HashMap::new();
        for route in &source.routes {
            let backend = |address: &SocketAddrV4| {
                let known = before.and_then(|before| before.backends.get(address));
                let make = || known.cloned().unwrap_or_else(|| Arc::new(Backend::new(*address, options)));
                Arc::clone(backends.entry(*address).or_insert_with(make))
            };
            let target = Target {
                path: route.path.trim_end_matches('/').to_owned(),
                workload: route.workload.clone(),
                backends: route.backends.iter().map(backend).collect(),
                counters: metrics.of(&route.workload),
                turn: AtomicUsize::new(0),
            };
            hosts.entry(route.host.to_ascii_lowercase()).or_default().push(Arc::new(target));
        }
        for targets in hosts.values_mut() {
            // Of equal paths the first by name wins, whatever the order of the table.
            targets.sort_by(|one, other| {
                (other.path.len(), &one.workload).cmp(&(one.path.len(), &other.workload))
            });
        }
        metrics.keep(|workload| source.routes.iter().any(|route| route.workload == workload));
        Self { source, hosts, backends }
    }

    /// The route with the longest path for this host, else for any host. The host is in lower case, without port.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Arc<Target>> {
        [host, ANY_HOST].iter().find_map(|host| {
            let targets = self.hosts.get(*host)?;
            targets.iter().find(|target| is_below(path, &target.path)).cloned()
        })
    }
}

/// Whether `path` is `prefix` or something inside it; whole segments count, so `/apis` is not below `/api`.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use univrs_ports::network::{Route, ServiceTable};

    use super::{Routes, is_below};
    use crate::ingress::IngressOptions;
    use crate::ingress::metrics::IngressMetrics;

    fn route(host: &str, path: &str, workload: &str) -> Route {
        let backends = vec!["10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap()];
        Route { host: host.into(), path: path.into(), workload: workload.into(), backends }
    }

    fn routes(list: Vec<Route>, before: Option<&Routes>, metrics: &IngressMetrics) -> Routes {
        let table = ServiceTable { routes: list, ..ServiceTable::default() };
        Routes::new(Arc::new(table), before, &IngressOptions::default(), metrics)
    }

    #[test]
    fn whole_segments_count() {
        assert!(is_below("/api", "/api") && is_below("/api/x", "/api") && is_below("/", ""));
        assert!(!is_below("/apis", "/api") && !is_below("/", "/api"));
    }

    #[tokio::test]
    async fn the_longest_path_of_the_own_host_wins() {
        let list = vec![
            route("a.test", "/", "root"),
            route("a.test", "/api", "api"),
            route("a.test", "/api/v2/", "v2"),
            route("*", "/", "any"),
            route("*", "/api/v2/deep", "never"),
            route("B.test", "/only", "only"),
        ];
        let routes = routes(list, None, &IngressMetrics::default());
        let find = |host: &str, path: &str| routes.find(host, path).map(|target| target.workload.clone());
        for (host, path, workload) in [
            ("a.test", "/", "root"),
            ("a.test", "/apis", "root"),
            ("a.test", "/api", "api"),
            ("a.test", "/api/v1", "api"),
            ("a.test", "/api/v2", "v2"),
            ("a.test", "/api/v2/deep", "v2"),
            ("b.test", "/only/this", "only"),
            ("b.test", "/else", "any"),
            ("c.test", "/", "any"),
        ] {
            assert_eq!(find(host, path).as_deref(), Some(workload), "{host}{path}");
        }
    }

    #[tokio::test]
    async fn instances_keep_their_connections_over_changes() {
        let metrics = IngressMetrics::default();
        let first = routes(vec![route("a.test", "/", "web")], None, &metrics);
        let second = routes(vec![route("b.test", "/", "web")], Some(&first), &metrics);
        assert!(first.find("b.test", "/").is_none() && second.find("a.test", "/").is_none());
        let backend = |routes: &Routes, host: &str| Arc::clone(&routes.find(host, "/").unwrap().backends[1]);
        assert!(Arc::ptr_eq(&backend(&first, "a.test"), &backend(&second, "b.test")));
        assert_eq!(metrics.workloads().len(), 1);
        routes(vec![], Some(&second), &metrics);
        assert!(metrics.workloads().is_empty());
    }
}
