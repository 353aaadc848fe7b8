//! One service as one workload.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use univrs_model::span::Span;
use univrs_model::workload::{
    ContainerSpec, Dependency, DependencyCondition, DisconnectPolicy, Placement, UpdatePolicy,
    UpdateStrategy, WorkloadKind, WorkloadSpec,
};

use crate::reader::Reader;
use crate::values::{scalar, span};

impl Reader<'_> {
    /// The workload of a service; nothing when it has faults that leave none.
    pub(crate) fn service(&mut self, service_name: &str, service: &Value) -> Option<WorkloadSpec> {
        let field = format!("services.{service_name}");
        let name = self.names.get(service_name)?.clone();
        let Some(service) = service.as_object() else {
            self.fault(field, "a service is a map");
            return None;
        };
        self.service_keys(&field, service);
        self.deploy_keys(&field, service.get("deploy"));
        let image = self.image(&field, service)?;
        let mut container = ContainerSpec::of_image("app", &image);
        container.command =
            self.command(&format!("{field}.entrypoint"), service.get("entrypoint").unwrap_or(&Value::Null));
        container.args =
            self.command(&format!("{field}.command"), service.get("command").unwrap_or(&Value::Null));
        container.env = self.environment(&field, service);
        container.working_dir = service.get("working_dir").and_then(scalar);
        container.user = service.get("user").and_then(scalar);
        container.ports = self.ports(&field, &name, service);
        container.resources = self.resources(&field, service);
        container.health = self.health(&field, service.get("healthcheck"));
        if let Some(grace) = service.get("stop_grace_period").and_then(scalar) {
            let grace = self.take(&format!("{field}.stop_grace_period"), span(&grace));
            container.stop_grace = grace.unwrap_or(container.stop_grace);
        }
        let storage = self.storage(&field, service_name, service);
        container.mounts = storage.mounts;
        let replicas = self.replicas(&field, service);
        if replicas.is_some_and(|count| count > 1) && !storage.volumes.is_empty() {
            self.note(format!("{field}.volumes"), "each replica has volumes of its own");
        }
        let (kind, update) = (self.kind(&field, service), self.update(&field, service));
        Some(WorkloadSpec {
            name,
            kind,
            replicas: replicas.unwrap_or(1),
            singleton: false,
            priority: 50,
            image: None,
            containers: vec![container],
            volumes: storage.volumes,
            secrets: self.secret_uses(&field, service),
            placement: self.placement(&field, service),
            depends_on: self.dependencies(&field, service),
            schedule: None,
            update,
            restart: self.restart(&field, service),
            on_disconnect: DisconnectPolicy::default(),
            ingress: Vec::new(),
            labels: self.labels(&field, service),
        })
    }

    /// Slips and what is left out among the keys under `deploy`.
    fn deploy_keys(&mut self, field: &str, deploy: Option<&Value>) {
        let at = format!("{field}.deploy");
        let known = ["mode", "replicas", "resources", "update_config", "placement", "restart_policy"];
        let left_out = [
            ("endpoint_mode", "a name leads to the instances themselves"),
            ("labels", "a workload has the labels of the service itself"),
            ("rollback_config", "going back is done as an update is"),
        ];
        self.inner_keys(&at, deploy, &known, &left_out);
        let of = |key: &str| deploy.and_then(|deploy| deploy.get(key));
        let left_out = [("max_failure_ratio", "the first instance that fails ends the update")];
        let known = ["parallelism", "delay", "failure_action", "monitor", "order"];
        self.inner_keys(&format!("{at}.update_config"), of("update_config"), &known, &left_out);
        let left_out = [("window", "a start counts when its checks pass")];
        let known = ["condition", "delay", "max_attempts"];
        self.inner_keys(&format!("{at}.restart_policy"), of("restart_policy"), &known, &left_out);
        let left_out = [("max_replicas_per_node", "replicas are spread over nodes as far as there are any")];
        self.inner_keys(
            &format!("{at}.placement"),
            of("placement"),
            &["constraints", "preferences"],
            &left_out,
        );
        let resources = of("resources");
        self.inner_keys(&format!("{at}.resources"), resources, &["limits", "reservations"], &[]);
        for group in ["limits", "reservations"] {
            let left_out = [("pids", "the limit of processes is the node's")];
            let known = ["cpus", "memory", "devices"];
            let map = resources.and_then(|resources| resources.get(group));
            self.inner_keys(&format!("{at}.resources.{group}"), map, &known, &left_out);
        }
    }

    fn image(&mut self, field: &str, service: &Map<String, Value>) -> Option<String> {
        match (service.get("image").and_then(scalar), service.contains_key("build")) {
            (Some(image), true) => {
                self.note(
                    format!("{field}.build"),
                    format!("the image is not built here; {image} is used as it is"),
                );
                Some(image)
            }
            (Some(image), false) => Some(image),
            (None, true) => {
                self.refuse(
                    format!("{field}.build"),
                    "images are not built here",
                    "build it, bring it in with `univrs image import`, and name it in `image`",
                );
                None
            }
            (None, false) => {
                self.fault(format!("{field}.image"), "a service needs an image");
                None
            }
        }
    }

    /// The files of `env_file`, then `environment`; a name without a value takes the caller's.
    fn environment(&mut self, field: &str, service: &Map<String, Value>) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let files = match service.get("env_file") {
            Some(Value::Array(items)) => items.clone(),
            Some(Value::Null) | None => Vec::new(),
            Some(one) => vec![one.clone()],
        };
        for (at, file) in files.iter().enumerate() {
            let at = format!("{field}.env_file[{at}]");
            let path = match file {
                Value::Object(long) => long.get("path").and_then(scalar),
                file => scalar(file),
            };
            let required = file.get("required").and_then(Value::as_bool).unwrap_or(true);
            let Some(path) = path else {
                self.fault(at, "it names no file");
                continue;
            };
            match (self.around.read)(&path) {
                Ok(text) => env.extend(env_file(&text)),
                Err(detail) if required => self.fault(at, format!("{path} cannot be read: {detail}")),
                Err(_) => {}
            }
        }
        let at = format!("{field}.environment");
        for (key, value) in self.pairs(&at, service.get("environment").unwrap_or(&Value::Null)) {
            match value.or_else(|| self.around.env.get(&key).cloned()) {
                Some(value) => drop(env.insert(key, value)),
                None => self.note(&at, format!("{key} has no value here and is left out")),
            }
        }
        env
    }

    fn replicas(&mut self, field: &str, service: &Map<String, Value>) -> Option<u32> {
        let deploy = service.get("deploy").and_then(|deploy| deploy.get("replicas"));
        let (key, value) = match (deploy, service.get("scale")) {
            (Some(value), _) => ("deploy.replicas", value),
            (None, value) => ("scale", value?),
        };
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.or_else(|| scalar(value)?.parse().ok());
        self.take(
            &format!("{field}.{key}"),
            count.ok_or_else(|| format!("`{value}` is not a number of replicas")),
        )
    }

    fn kind(&mut self, field: &str, service: &Map<String, Value>) -> WorkloadKind {
        let mode = service.get("deploy").and_then(|deploy| deploy.get("mode")).and_then(scalar);
        match mode.as_deref() {
            None | Some("replicated") => WorkloadKind::Service,
            Some("global") if self.around.as_resource => {
                let hint = "write `replicas: 1`";
                self.refuse(
                    format!("{field}.deploy.mode"),
                    "a resource has a size, and `global` grows with the cluster",
                    hint,
                );
                WorkloadKind::Service
            }
            Some("global") => WorkloadKind::Daemon,
            Some("replicated-job") => WorkloadKind::Job,
            Some(other) => {
                let hint = "write replicated, global or replicated-job";
                self.refuse(format!("{field}.deploy.mode"), format!("`{other}` cannot be had here"), hint);
                WorkloadKind::Service
            }
        }
    }

    /// `deploy.update_config`; without it, the better default of a workload.
    fn update(&mut self, field: &str, service: &Map<String, Value>) -> UpdatePolicy {
        let mut update = UpdatePolicy::default();
        let Some(config) = service.get("deploy").and_then(|deploy| deploy.get("update_config")) else {
            return update;
        };
        let at = |key: &str| format!("{field}.deploy.update_config.{key}");
        let many =
            config.get("parallelism").and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
        let many = many.unwrap_or(1);
        if many == 0 {
            update.strategy = UpdateStrategy::Recreate;
        }
        match config.get("order").and_then(scalar).as_deref() {
            Some("start-first") => (update.max_surge, update.max_unavailable) = (many.max(1), 0),
            _ => (update.max_surge, update.max_unavailable) = (0, many.max(1)),
        }
        if let Some(monitor) = config.get("monitor").and_then(scalar) {
            update.min_healthy = self.take(&at("monitor"), span(&monitor)).unwrap_or(Span::seconds(2));
        }
        match config.get("failure_action").and_then(scalar).as_deref() {
            Some("rollback") => {}
            _ => {
                update.auto_revert = false;
                self.note(
                    at("failure_action"),
                    "a failed update stays where it is; `rollback` makes it go back by itself",
                );
            }
        }
        if config.get("delay").is_some() {
            self.note(
                at("delay"),
                "the next instance is replaced when the one before has passed for `monitor`",
            );
        }
        update
    }

    fn placement(&mut self, field: &str, service: &Map<String, Value>) -> Placement {
        let mut placement = Placement::default();
        let Some(asked) = service.get("deploy").and_then(|deploy| deploy.get("placement")) else {
            return placement;
        };
        let at = format!("{field}.deploy.placement");
        for (index, constraint) in
            asked.get("constraints").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let text = scalar(constraint).unwrap_or_default();
            let here = |rest: &str| match rest.strip_prefix("node.labels.") {
                Some(label) => Some(format!("label.{label}")),
                None => (rest.trim() == "node.hostname").then(|| "name ".to_owned()),
            };
            match here(text.trim()) {
                Some(constraint) => placement.constraints.push(constraint),
                None => self.refuse(
                    format!("{at}.constraints[{index}]"),
                    format!("`{text}` asks for what nodes here do not have"),
                    "write `node.labels.<key> == <value>` and label nodes with `univrs node label`",
                ),
            }
        }
        for preference in asked.get("preferences").and_then(Value::as_array).into_iter().flatten() {
            let label = preference.get("spread").and_then(scalar).unwrap_or_default();
            placement.spread.extend(label.strip_prefix("node.labels.").map(|label| format!("label.{label}")));
        }
        placement
    }

    fn dependencies(&mut self, field: &str, service: &Map<String, Value>) -> Vec<Dependency> {
        let at = format!("{field}.depends_on");
        let named: Vec<(String, DependencyCondition)> = match service.get("depends_on") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => {
                self.texts(&at, items).into_iter().map(|name| (name, DependencyCondition::Started)).collect()
            }
            Some(Value::Object(fields)) => {
                let mut named = Vec::new();
                for (name, how) in fields {
                    let condition = match how.get("condition").and_then(Value::as_str) {
                        None | Some("service_started") => DependencyCondition::Started,
                        Some("service_healthy") => DependencyCondition::Healthy,
                        Some("service_completed_successfully") => DependencyCondition::Completed,
                        Some(other) => {
                            let hint =
                                "write service_started, service_healthy or service_completed_successfully";
                            self.refuse(
                                format!("{at}.{name}.condition"),
                                format!("`{other}` is not a condition"),
                                hint,
                            );
                            continue;
                        }
                    };
                    named.push((name.clone(), condition));
                }
                named
            }
            Some(_) => {
                self.fault(&at, "it is a list or a map of services");
                Vec::new()
            }
        };
        let mut dependencies = Vec::new();
        for (service, condition) in named {
            match self.names.get(&service).cloned() {
                Some(workload) => dependencies.push(Dependency { workload, condition }),
                None => self.fault(
                    format!("{at}.{service}"),
                    "there is no such service, or its profile is not active",
                ),
            }
        }
        dependencies
    }

    fn labels(&mut self, field: &str, service: &Map<String, Value>) -> BTreeMap<String, String> {
        let pairs = self.pairs(&format!("{field}.labels"), service.get("labels").unwrap_or(&Value::Null));
        pairs.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
    }
}

/// The variables of an environment file: lines of `KEY=value`, with or without `export` and quotes.
pub fn env_file(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(env_line).collect()
}

fn env_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let value = value.trim();
    let quoted = |quote: char| value.len() >= 2 && value.starts_with(quote) && value.ends_with(quote);
    let value = match quoted('"') || quoted('\'') {
        true => &value[1..value.len() - 1],
        false => value.split(" #").next().unwrap_or(value).trim_end(),
    };
    Some((key.trim().to_owned(), value.to_owned()))
}
