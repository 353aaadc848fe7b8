//! Workloads that a compose file in a parameter stands for, instead of the template's own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use univrs_compose::{Converted, Surroundings, convert, env_file};
use univrs_model::field::FieldError;
use univrs_model::name::Name;
use univrs_model::resource::{Difference, Differences, GROUP_LABEL, GeneratedSecret, PublicPort, SecretKind};
use univrs_model::workload::{Protocol, WorkloadSpec};

use crate::compile::Context;
use crate::expand::{Values, expand_text};
use crate::parameters::text;
use crate::source::ComposeRule;

/// Most services of one file: each is a workload with a record of its own.
const MOST_SERVICES: usize = 32;
/// Labels that are ours.
const RESERVED: &str = "dev.univrs.";

/// What a compose file stands for.
pub(crate) struct Services {
    /// Workload documents as those of a template.
    pub(crate) workloads: Vec<Value>,
    pub(crate) ports: Vec<PublicPort>,
    pub(crate) secrets: Vec<GeneratedSecret>,
    pub(crate) credentials: BTreeMap<String, String>,
    pub(crate) differences: Differences,
}

/// Reads the compose file that the rule's parameter holds. Faults are named by their place in the file.
pub(crate) fn read(
    rule: &ComposeRule,
    values: &Values,
    context: &Context<'_>,
) -> Result<Services, Vec<FieldError>> {
    let at = |field: &str| {
        let whole = format!("parameters.{}", rule.file);
        if field.is_empty() { whole } else { format!("{whole}.{field}") }
    };
    let of =
        |name: &Option<String>| name.as_ref().and_then(|name| values.get(name)).map(text).unwrap_or_default();
    let env = env_file(&of(&rule.variables));
    let profiles: BTreeSet<String> =
        of(&rule.profiles).split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let read = |_: &str| Err("the file came alone; write its lines under `environment`".to_owned());
    let around = Surroundings { env: &env, profiles: &profiles, read: &read, as_resource: true };
    let file = values.get(&rule.file).map(text).unwrap_or_default();
    let found = convert(&file, &around).map_err(|faults| {
        faults.into_iter().map(|fault| FieldError { field: at(&fault.field), ..fault }).collect::<Vec<_>>()
    })?;
    let one = |field: String, detail: String| vec![FieldError::new(field, detail)];
    if found.workloads.is_empty() {
        return Err(one(at("services"), "no service takes part; see `profiles`".to_owned()));
    }
    if found.workloads.len() > MOST_SERVICES {
        let detail = format!("{} services are more than {MOST_SERVICES}", found.workloads.len());
        return Err(one(at("services"), detail));
    }
    let renamed = |name: &Name| -> Result<Name, Vec<FieldError>> {
        let whole = format!("{}-{name}", context.name);
        whole.parse().map_err(|error| one(at(&format!("services.{name}")), format!("as `{whole}`: {error}")))
    };
    let mut secrets = Vec::new();
    let mut credentials = BTreeMap::new();
    let mut secret_names = BTreeMap::new();
    for key in &found.generated {
        let name = renamed(key)?;
        secret_names.insert(key.clone(), name.clone());
        credentials.insert(format!("secret.{key}"), format!("{{{{secret.{key}}}}}"));
        secrets.push(GeneratedSecret { name, key: key.to_string(), kind: SecretKind::Password });
    }
    let sizes = Sizes {
        cpu: text(&expand_text(&rule.cpu, values, &[]).map_err(|detail| one("template".into(), detail))?),
        memory: text(
            &expand_text(&rule.memory, values, &[]).map_err(|detail| one("template".into(), detail))?,
        ),
        storage: text(
            &expand_text(&rule.storage, values, &[]).map_err(|detail| one("template".into(), detail))?,
        ),
    };
    let mut workloads = Vec::new();
    for spec in &found.workloads {
        let mut spec = spec.clone();
        if let Some(label) = spec.labels.keys().find(|label| label.starts_with(RESERVED)) {
            let detail = format!("labels that begin with `{RESERVED}` are not the file's: `{label}`");
            return Err(one(at(&format!("services.{}.labels", spec.name)), detail));
        }
        spec.labels.insert(GROUP_LABEL.to_owned(), context.name.to_string());
        spec.name = renamed(&spec.name)?;
        for dependency in &mut spec.depends_on {
            dependency.workload = renamed(&dependency.workload)?;
        }
        for uses in &mut spec.secrets {
            if let Some(name) = secret_names.get(&uses.name) {
                uses.name = name.clone();
            }
        }
        workloads.push(sized(&spec, &sizes).map_err(|error| one("template".into(), error.to_string()))?);
    }
    let mut ports = Vec::new();
    for (service, port) in found.published.iter().collect::<BTreeSet<_>>() {
        let name = port_name(&found, service, port);
        credentials.insert(name.clone(), format!("{{{{host.{name}}}}}:{{{{port.{name}}}}}"));
        ports.push(PublicPort { name, workload: renamed(service)?, port: port.clone() });
    }
    let changed = found.notes.into_iter().map(|note| Difference { field: note.field, detail: note.detail });
    let mut changed: Vec<Difference> = changed.collect();
    let services = found.workloads.iter().map(|spec| &spec.name);
    changed.extend(services.map(|name| Difference {
        field: format!("services.{name}"),
        detail: format!(
            "its workload is `{}-{name}`; the services of this file find it as `{name}`, others as `{}-{name}.internal`",
            context.name, context.name
        ),
    }));
    changed.sort();
    let differences = Differences { taken: found.taken, changed };
    Ok(Services { workloads, ports, secrets, credentials, differences })
}

/// Sizes of what states none.
struct Sizes {
    cpu: String,
    memory: String,
    storage: String,
}

/// A workload as a document of a template: with limits, of which a quarter is set aside.
fn sized(spec: &WorkloadSpec, sizes: &Sizes) -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(spec)?;
    for container in document.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        let stated = container["resources"].take();
        let or = |key: &str, otherwise: &str| match &stated[key] {
            Value::Null => json!(otherwise),
            stated => stated.clone(),
        };
        let limits = json!({"cpu": or("cpu_limit", &sizes.cpu), "memory": or("memory_limit", &sizes.memory)});
        if let Some(container) = container.as_object_mut() {
            container.remove("resources");
            container.insert("limits".to_owned(), limits);
        }
    }
    for volume in document.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        if volume["size"].is_null() {
            volume["size"] = json!(sizes.storage);
        }
    }
    Ok(document)
}

/// `<service>-<number>`, and `-udp` where it is.
fn port_name(found: &Converted, service: &Name, port: &Name) -> String {
    let specs = found.workloads.iter().filter(|spec| spec.name == *service);
    let known = specs.flat_map(|spec| &spec.containers).flat_map(|container| &container.ports);
    match known.into_iter().find(|known| known.name == *port) {
        Some(known) if known.protocol == Protocol::Udp => format!("{service}-{}-udp", known.container_port),
        Some(known) => format!("{service}-{}", known.container_port),
        None => format!("{service}-{port}"),
    }
}
