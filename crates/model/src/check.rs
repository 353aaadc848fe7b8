//! What a workload spec must obey beyond its types. All faults are reported in one run.

mod ingress;

use std::collections::BTreeSet;

use crate::field::FieldError;
use crate::name::Name;
use crate::quantity::Cpu;
use crate::workload::{ContainerSpec, HealthCheck, OnChange, WorkloadKind, WorkloadSpec};

/// More replicas than that in one workload is a slip.
pub const MOST_REPLICAS: u32 = 100_000;

/// More cores than that in one container are a slip.
const MOST_CPU: Cpu = Cpu::millicores(10_000 * 1000);

/// Every fault of `spec`; empty when it is acceptable.
pub fn workload(spec: &WorkloadSpec) -> Vec<FieldError> {
    let mut faults = faults_as_a_whole(spec);
    faults.extend(ingress::faults(spec));
    faults.extend(secret_faults(spec));
    faults.extend(duplicates("containers", spec.containers.iter().map(|c| &c.name)));
    faults.extend(duplicates("volumes", spec.volumes.iter().map(|v| &v.name)));
    faults.extend(volume_faults(spec));
    let volumes: BTreeSet<&Name> = spec.volumes.iter().map(|v| &v.name).collect();
    for (index, container) in spec.containers.iter().enumerate() {
        faults.extend(container_faults(&format!("containers[{index}]"), container, &volumes));
    }
    faults.extend(host_port_faults(spec));
    faults
}

fn faults_as_a_whole(spec: &WorkloadSpec) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut fault = |field: String, detail: String, hint: Option<&str>| {
        faults.push(FieldError { field, detail, hint: hint.map(str::to_owned) });
    };
    match (&spec.image, spec.containers.is_empty()) {
        (None, true) => fault("image".into(), "a workload needs `image` or `containers`".into(), None),
        (Some(_), false) => fault(
            "image".into(),
            "`image` and `containers` exclude each other".into(),
            Some("put the image into `containers[0].image`"),
        ),
        (Some(image), true) => {
            if let Some(detail) = image_fault(image) {
                fault("image".into(), detail, Some("write `name:tag` or `name@sha256:…`"));
            }
        }
        (None, false) => {}
    }
    if spec.replicas > MOST_REPLICAS {
        fault("replicas".into(), format!("{} is more than {MOST_REPLICAS}", spec.replicas), None);
    }
    if spec.singleton && spec.replicas > 1 {
        fault("replicas".into(), "a singleton has at most one replica".into(), Some("set `replicas` to 1"));
    }
    if spec.priority > 100 {
        fault("priority".into(), "the priority is between 0 and 100".into(), None);
    }
    if spec.kind == WorkloadKind::Cron && spec.schedule.is_none() {
        fault(
            "schedule".into(),
            "a cron workload needs a schedule".into(),
            Some(r#"add {"cron":"0 3 * * *"}"#),
        );
    }
    if spec.kind != WorkloadKind::Cron && spec.schedule.is_some() {
        fault(
            "schedule".into(),
            "only a cron workload has a schedule".into(),
            Some(r#"set `kind` to "cron""#),
        );
    }
    if spec.update.max_surge == 0 && spec.update.max_unavailable == 0 {
        fault(
            "update.max_surge".into(),
            "`max_surge` and `max_unavailable` cannot both be 0: no update could move".into(),
            Some("set `max_surge` to 1"),
        );
    }
    if spec.update.deadline.as_millis() == 0 {
        fault(
            "update.deadline".into(),
            "every update would fail at once".into(),
            Some("write how long it may make no progress, such as `2m`"),
        );
    }
    if spec.restart.max < spec.restart.initial {
        fault("restart.max".into(), format!("it is less than `initial`, {}", spec.restart.initial), None);
    }
    for (index, dependency) in spec.depends_on.iter().enumerate() {
        if dependency.workload == spec.name {
            fault(format!("depends_on[{index}].workload"), "a workload cannot wait for itself".into(), None);
        }
    }
    faults
}

fn volume_faults(spec: &WorkloadSpec) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (index, volume) in spec.volumes.iter().enumerate() {
        for (field, size) in [("size", volume.size), ("limit", volume.limit)] {
            if size.is_some_and(|size| size.get() == 0) {
                let fault =
                    FieldError::new(format!("volumes[{index}].{field}"), "a volume holds more than nothing");
                faults.push(fault.hint("write `1Gi`, or leave it out"));
            }
        }
        if let (Some(size), Some(limit)) = (volume.size, volume.limit)
            && limit < size
        {
            let detail = format!("{limit} is less than the {size} that are set aside");
            faults.push(FieldError::new(format!("volumes[{index}].limit"), detail));
        }
    }
    for (index, path) in
        spec.volumes.iter().enumerate().filter_map(|(at, v)| Some((at, v.host_path.as_ref()?)))
    {
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains('\0') {
            faults.push(FieldError::new(
                format!("volumes[{index}].host_path"),
                "a directory to bind is absolute and has no `..`",
            ));
        }
    }
    faults
}

fn host_port_faults(spec: &WorkloadSpec) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut taken = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().enumerate() {
            if let Some(host_port) = port.host_port
                && !taken.insert((host_port, port.protocol))
            {
                faults.push(FieldError::new(
                    format!("containers[{index}].ports[{port_index}].host_port"),
                    format!("host port {host_port} is used twice"),
                ));
            }
        }
    }
    faults
}

fn image_fault(image: &str) -> Option<String> {
    if image.is_empty() {
        return Some("the image reference is empty".to_owned());
    }
    if image.len() > 512 {
        return Some("the image reference is longer than 512 characters".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+');
    let bad = image.chars().find(|c| !allowed(*c))?;
    Some(format!("`{}` cannot stand in an image reference", bad.escape_default()))
}

fn container_faults(path: &str, container: &ContainerSpec, volumes: &BTreeSet<&Name>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if let Some(detail) = image_fault(&container.image) {
        faults.push(FieldError::new(format!("{path}.image"), detail));
    }
    for (key, value) in &container.env {
        if key.is_empty() || key.contains('=') || key.contains('\0') || value.contains('\0') {
            faults.push(FieldError::new(
                format!("{path}.env"),
                format!("`{}` is not an environment variable", key.escape_default()),
            ));
        }
    }
    let resources = &container.resources;
    if resources.cpu.as_millicores() == 0 {
        faults.push(
            FieldError::new(format!("{path}.resources.cpu"), "a container asks for more than 0 CPU")
                .hint("write `100m`"),
        );
    }
    for (field, cpu) in [("cpu", Some(resources.cpu)), ("cpu_limit", resources.cpu_limit)] {
        if cpu.is_some_and(|cpu| cpu > MOST_CPU) {
            faults.push(FieldError::new(
                format!("{path}.resources.{field}"),
                format!("no machine has more than {MOST_CPU} cores"),
            ));
        }
    }
    if resources.memory.get() == 0 {
        faults.push(
            FieldError::new(format!("{path}.resources.memory"), "a container asks for more than 0 memory")
                .hint("write `64Mi`"),
        );
    }
    if resources.cpu_limit.is_some_and(|limit| limit < resources.cpu) {
        faults.push(FieldError::new(format!("{path}.resources.cpu_limit"), "the limit is below the request"));
    }
    if resources.memory_limit.is_some_and(|limit| limit < resources.memory) {
        faults.push(FieldError::new(
            format!("{path}.resources.memory_limit"),
            "the limit is below the request",
        ));
    }
    faults.extend(duplicates(&format!("{path}.ports"), container.ports.iter().map(|port| &port.name)));
    for (index, port) in container.ports.iter().enumerate() {
        if port.container_port == 0 || port.host_port == Some(0) {
            faults.push(FieldError::new(format!("{path}.ports[{index}]"), "a port is between 1 and 65535"));
        }
    }
    for (index, mount) in container.mounts.iter().enumerate() {
        if !volumes.contains(&mount.volume) {
            faults.push(
                FieldError::new(
                    format!("{path}.mounts[{index}].volume"),
                    format!("no volume is named `{}`", mount.volume),
                )
                .hint("declare it under `volumes`"),
            );
        }
        if container.mounts[..index].iter().any(|before| before.path == mount.path) {
            let detail = format!("`{}` is used twice", mount.path.escape_default());
            faults.push(FieldError::new(format!("{path}.mounts[{index}].path"), detail));
        }
        if !mount.path.starts_with('/') || mount.path.split('/').any(|part| part == "..") {
            faults.push(FieldError::new(
                format!("{path}.mounts[{index}].path"),
                "a mount path is absolute and has no `..`",
            ));
        }
    }
    if let Some(health) = &container.health {
        faults.extend(health_faults(&format!("{path}.health"), health));
    }
    faults
}

fn secret_faults(spec: &WorkloadSpec) -> Vec<FieldError> {
    let mut faults = duplicates("secrets", spec.secrets.iter().map(|secret| &secret.name));
    let mut taken = BTreeSet::new();
    for (index, secret) in spec.secrets.iter().enumerate() {
        let path = format!("secrets[{index}]");
        if secret.env.is_none() && secret.file.is_none() {
            let detail = "a secret is delivered as `env`, as `file`, or both";
            faults.push(FieldError::new(&path, detail).hint(r#"add "file": "/run/secrets/name""#));
        }
        if let Some(env) = &secret.env {
            let field = format!("{path}.env");
            if env.is_empty() || env.contains(['=', '\0']) {
                let detail = format!("`{}` is not the name of an environment variable", env.escape_default());
                faults.push(FieldError::new(&field, detail));
            }
            if spec.containers.iter().any(|container| container.env.contains_key(env)) {
                faults.push(FieldError::new(&field, format!("a container sets `{env}` itself")));
            }
            if !taken.insert(env) {
                faults.push(FieldError::new(&field, format!("`{env}` is used twice")));
            }
        }
        if let Some(file) = &secret.file {
            let field = format!("{path}.file");
            let parts = || file.split('/').skip(1);
            if !file.starts_with('/')
                || parts().any(|part| matches!(part, "" | "." | ".."))
                || file.contains('\0')
            {
                let detail = "a secret's file is an absolute path without `.` and `..`";
                faults.push(FieldError::new(&field, detail).hint("write `/run/secrets/name`"));
            }
            if !taken.insert(file) {
                faults.push(FieldError::new(&field, format!("`{file}` is used twice")));
            }
        }
        if secret.on_change == OnChange::Signal && secret.file.is_none() {
            let detail = "`signal` renews a file; the environment of what runs cannot be changed";
            faults.push(
                FieldError::new(format!("{path}.on_change"), detail).hint("add `file`, or write `restart`"),
            );
        }
    }
    faults
}

fn health_faults(path: &str, health: &HealthCheck) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let kinds = [health.http.is_some(), health.tcp.is_some(), health.exec.is_some()];
    if kinds.iter().filter(|present| **present).count() != 1 {
        faults.push(FieldError::new(path, "a health check has exactly one of `http`, `tcp`, `exec`"));
    }
    if health.http.as_ref().is_some_and(|http| !http.path.starts_with('/')) {
        faults.push(FieldError::new(format!("{path}.http.path"), "a path starts with `/`"));
    }
    if health.exec.as_ref().is_some_and(|exec| exec.command.is_empty()) {
        faults.push(FieldError::new(format!("{path}.exec.command"), "the command is empty"));
    }
    if health.interval.as_millis() < 100 {
        faults.push(FieldError::new(format!("{path}.interval"), "the interval is at least 100ms"));
    }
    if health.timeout.as_millis() == 0 {
        faults.push(FieldError::new(format!("{path}.timeout"), "the timeout is more than 0"));
    }
    if health.retries == 0 {
        faults.push(FieldError::new(
            format!("{path}.retries"),
            "at least one failure makes a container failing",
        ));
    }
    faults
}

fn duplicates<'a>(path: &str, names: impl Iterator<Item = &'a Name>) -> Vec<FieldError> {
    let mut seen = BTreeSet::new();
    names
        .enumerate()
        .filter(|(_, name)| !seen.insert(*name))
        .map(|(index, name)| {
            FieldError::new(format!("{path}[{index}].name"), format!("`{name}` is used twice"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::decode::from_json;

    fn check(body: &str, expected: Expect) {
        let spec = from_json(body.as_bytes()).unwrap();
        let faults: Vec<String> = super::workload(&spec).iter().map(ToString::to_string).collect();
        expected.assert_eq(&faults.join("\n"));
    }

    #[test]
    fn the_seed_call_is_fine() {
        check(
            r#"{"name":"orchestrator-canary","image":"univrs/orchestrator:dev","replicas":2}"#,
            expect![""],
        );
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        check(
            r#"{"name":"web","replicas":200000,"containers":[
                {"name":"a","image":"we b","resources":{"cpu":"2","cpu_limit":"1"},"mounts":[{"volume":"x","path":"y"}]},
                {"name":"a","image":"web","health":{"retries":0},"resources":{"memory":"0","cpu":"10001"}}],
               "ingress":[{"host":"web.localhost","path":"x","port":"http"}],
               "depends_on":[{"workload":"web"}],
               "update":{"max_surge":0,"max_unavailable":0}}"#,
            expect![[r#"
                replicas: 200000 is more than 100000
                update.max_surge: `max_surge` and `max_unavailable` cannot both be 0: no update could move
                depends_on[0].workload: a workload cannot wait for itself
                ingress[0].path: a path starts with `/`
                ingress[0].port: no container has a port named `http`
                containers[1].name: `a` is used twice
                containers[0].image: ` ` cannot stand in an image reference
                containers[0].resources.cpu_limit: the limit is below the request
                containers[0].mounts[0].volume: no volume is named `x`
                containers[0].mounts[0].path: a mount path is absolute and has no `..`
                containers[1].resources.cpu: no machine has more than 10000 cores
                containers[1].resources.memory: a container asks for more than 0 memory
                containers[1].health: a health check has exactly one of `http`, `tcp`, `exec`
                containers[1].health.retries: at least one failure makes a container failing"#]],
        );
    }

    #[test]
    fn nothing_is_zero_that_would_never_work() {
        check(
            r#"{"name":"web","containers":[{"name":"a","image":"web","resources":{"cpu":"0"},
                "ports":[{"name":"http","container_port":0}],"health":{"tcp":{"port":1},"interval":"0s","timeout":"0s"},
                "mounts":[{"volume":"data","path":"/d"},{"volume":"data","path":"/d"}]}],
               "volumes":[{"name":"data","size":"0","limit":"0"}],
               "update":{"deadline":"0s"},"restart":{"initial":"1m","max":"1s"}}"#,
            expect![[r#"
                update.deadline: every update would fail at once
                restart.max: it is less than `initial`, 1m
                volumes[0].size: a volume holds more than nothing
                volumes[0].limit: a volume holds more than nothing
                containers[0].resources.cpu: a container asks for more than 0 CPU
                containers[0].ports[0]: a port is between 1 and 65535
                containers[0].mounts[1].path: `/d` is used twice
                containers[0].health.interval: the interval is at least 100ms
                containers[0].health.timeout: the timeout is more than 0"#]],
        );
    }

    #[test]
    fn secrets_say_how_they_are_delivered() {
        check(
            r#"{"name":"web","containers":[{"name":"a","image":"web","env":{"DB":"x"}}],"secrets":[
                {"name":"a"},{"name":"b","env":"DB"},{"name":"b","env":"X=Y","on_change":"signal"},
                {"name":"c","file":"etc/c"},{"name":"d","file":"/run/../d"},{"name":"e","file":"/run/e","env":"E"},
                {"name":"f","file":"/run/e","env":"E"}]}"#,
            expect![[r#"
                secrets[2].name: `b` is used twice
                secrets[0]: a secret is delivered as `env`, as `file`, or both
                secrets[1].env: a container sets `DB` itself
                secrets[2].env: `X=Y` is not the name of an environment variable
                secrets[2].on_change: `signal` renews a file; the environment of what runs cannot be changed
                secrets[3].file: a secret's file is an absolute path without `.` and `..`
                secrets[4].file: a secret's file is an absolute path without `.` and `..`
                secrets[6].env: `E` is used twice
                secrets[6].file: `/run/e` is used twice"#]],
        );
    }

    #[test]
    fn nothing_to_run_is_a_fault() {
        check(r#"{"name":"web"}"#, expect!["image: a workload needs `image` or `containers`"]);
    }
}
