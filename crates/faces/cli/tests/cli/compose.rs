//! Compose files as Debian's `docker-compose config` reads them and as they are read here: what is taken means the same,
//! and of what is left nothing goes without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use univrs_compose::{Converted, Surroundings, convert};
use univrs_model::workload::{DependencyCondition, WorkloadSpec};

/// Files that become workloads.
const TAKEN: [&str; 4] = ["wordpress", "counter", "sized", "steps"];

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/compose/tests/corpus"))
        .join(format!("{name}.yml"))
}

/// What `docker-compose config` makes of a file; nothing where there is no such program.
fn config(name: &str) -> Option<Value> {
    let mut command = Command::new("docker-compose");
    command.arg("-f").arg(corpus(name)).arg("config").env_remove("PREFIX");
    let done = match command.output() {
        Ok(done) => done,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    Some(serde_norway::from_slice(&done.stdout).unwrap())
}

fn ours(name: &str, as_resource: bool) -> Converted {
    let read = |_: &str| Err("no such file".to_owned());
    let (env, profiles) = (BTreeMap::new(), BTreeSet::new());
    let around = Surroundings { env: &env, profiles: &profiles, read: &read, as_resource };
    convert(&std::fs::read_to_string(corpus(name)).unwrap(), &around).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(text).collect(),
        other => text(other).split_whitespace().map(str::to_owned).collect(),
    }
}

/// `config` writes a file that can be read again, in which a dollar sign is two.
fn plain(text: &str) -> String {
    text.replace("$$", "$")
}

fn same(name: &str, service: &Value, spec: &WorkloadSpec) {
    let container = &spec.containers[0];
    assert_eq!(container.image, text(&service["image"]), "{name}");
    assert_eq!(container.args, words(&service["command"]), "{name}: command");
    assert_eq!(container.command, words(&service["entrypoint"]), "{name}: entrypoint");
    let theirs: BTreeMap<String, String> = service["environment"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), plain(&text(value))))
        .collect();
    assert_eq!(container.env, theirs, "{name}: environment");
    assert_eq!(container.working_dir.as_deref(), service["working_dir"].as_str(), "{name}: working_dir");
    assert_eq!(container.user.as_deref(), service["user"].as_str(), "{name}: user");
    let theirs: BTreeSet<String> = service["depends_on"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(other, how)| format!("{other} {}", how["condition"].as_str().unwrap_or("service_started")))
        .chain(
            service["depends_on"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|other| format!("{} service_started", text(other))),
        )
        .collect();
    let word = |condition| match condition {
        DependencyCondition::Started => "service_started",
        DependencyCondition::Healthy => "service_healthy",
        DependencyCondition::Completed => "service_completed_successfully",
    };
    let needs = spec.depends_on.iter().map(|need| format!("{} {}", need.workload, word(need.condition)));
    assert_eq!(needs.collect::<BTreeSet<_>>(), theirs, "{name}: depends_on");
    let theirs: BTreeSet<String> = service["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| match mount {
            Value::String(short) => short.split(':').nth(1).unwrap_or(short).to_owned(),
            long => text(&long["target"]),
        })
        .collect();
    let mounts: BTreeSet<String> = container.mounts.iter().map(|mount| mount.path.clone()).collect();
    assert_eq!(mounts, theirs, "{name}: volumes");
    let theirs: BTreeSet<String> = service["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(service["expose"].as_array().into_iter().flatten())
        .map(|port| match port {
            Value::Object(long) => text(&long["target"]),
            short => {
                let whole = text(short);
                let whole = whole.split('/').next().unwrap_or_default();
                whole.rsplit(':').next().unwrap_or_default().to_owned()
            }
        })
        .collect();
    let ports: BTreeSet<String> =
        container.ports.iter().map(|port| port.container_port.to_string()).collect();
    assert_eq!(ports, theirs, "{name}: ports");
    let replicas = service["deploy"]["replicas"].as_u64().unwrap_or(1);
    assert_eq!(u64::from(spec.replicas), replicas, "{name}: replicas");
    if let Some(limit) = service["deploy"]["resources"]["limits"]["memory"].as_str() {
        let mebibytes: u64 = limit.trim_end_matches(['M', 'm']).parse().unwrap();
        assert_eq!(container.resources.memory_limit.unwrap().get(), mebibytes << 20, "{name}: memory");
    }
    if let Some(test) = service["healthcheck"]["test"].as_array().filter(|test| test[0] == "CMD") {
        let exec = container.health.as_ref().unwrap().exec.as_ref().unwrap();
        assert_eq!(exec.command, test[1..].iter().map(text).collect::<Vec<_>>(), "{name}: healthcheck");
    }
}

#[test]
fn what_is_taken_means_what_docker_compose_says_and_the_rest_is_said() {
    for file in TAKEN {
        let Some(theirs) = config(file) else {
            eprintln!("NOT RUN: docker-compose is not installed (apt-get install docker-compose)");
            return;
        };
        for as_resource in [false, true] {
            let found = ours(file, as_resource);
            let services = theirs["services"].as_object().unwrap();
            let names: BTreeSet<&str> = found.workloads.iter().map(|spec| spec.name.as_str()).collect();
            assert_eq!(names, services.keys().map(String::as_str).collect(), "{file}");
            for spec in &found.workloads {
                let service = &services[spec.name.as_str()];
                same(&format!("{file}: {}", spec.name), service, spec);
                for key in service.as_object().unwrap().keys() {
                    let path = format!("services.{}.{key}", spec.name);
                    let said = found.notes.iter().any(|note| note.field.starts_with(&path));
                    // What is switched off asks for nothing.
                    let idle = service[key] == Value::Bool(false);
                    assert!(said || idle || found.taken.contains(&path), "{file}: nothing is said of {path}");
                }
            }
        }
    }
}
