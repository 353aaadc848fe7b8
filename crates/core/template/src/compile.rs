//! From a template and parameters to objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use univrs_model::check;
use univrs_model::decode::from_value;
use univrs_model::field::FieldError;
use univrs_model::ids::ResourceId;
use univrs_model::name::Name;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::resource::{Amount, Deployment, Footprint, GeneratedSecret, PublicPort, RESOURCE_LABEL};
use univrs_model::workload::WorkloadSpec;

use crate::expand::{Values, expand, expand_text};
use crate::parameters::{resolve, text};
use crate::source::{Derived, Template};
use crate::{jobs, services, upkeep};

/// Longest name of a resource: names of its workloads and addresses are made from it.
const LONGEST_NAME: usize = 40;

/// What is known around a resource.
pub struct Context<'a> {
    /// Its id.
    pub id: &'a ResourceId,
    /// Its organisation.
    pub org: &'a Name,
    /// Its name.
    pub name: &'a Name,
    /// Which of the images that templates name are on the machine.
    pub here: &'a BTreeSet<String>,
}

/// The objects that a template stands for, and its parameters with their defaults.
///
/// # Errors
/// All faults of what was given, named `name`, `template` or `parameters.<name>`; and what is wrong with the template
/// itself, named `template`.
pub fn compile(
    template: &Template,
    given: &Map<String, Value>,
    context: &Context<'_>,
) -> Result<(Deployment, Map<String, Value>), Vec<FieldError>> {
    if context.name.as_str().len() > LONGEST_NAME {
        let detail = format!("the name of a resource has at most {LONGEST_NAME} characters");
        return Err(vec![FieldError::new("name", detail)]);
    }
    let parameters = resolve(&template.parameters, given)?;
    let mut values: Values = parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    values.insert("name".to_owned(), json!(context.name));
    values.insert("id".to_owned(), json!(context.id));
    values.insert("org".to_owned(), json!(context.org));
    choose_images(template, context, &mut values)?;
    let of_template =
        |detail: String| vec![FieldError::new("template", format!("`{}` is faulty: {detail}", template.id))];
    let mut secrets = Vec::new();
    for (key, kind) in &template.secrets {
        let name = format!("{}-{key}", context.name);
        values.insert(format!("secret.{key}.name"), json!(name));
        let name = name.parse().map_err(|error| of_template(format!("{error}")))?;
        secrets.push(GeneratedSecret { name, key: key.clone(), kind: kind.clone() });
    }
    let derived = derive(template, &values).map_err(of_template)?;
    values.extend(derived.clone());
    let from_file = match &template.compose {
        Some(rule) => Some(services::read(rule, &values, context)?),
        None => None,
    };
    let mut workloads = Vec::new();
    let mut footprint = Footprint::default();
    let own = template.workloads.iter().map(|document| expand(document, &values, &[]));
    // What came with a file is no template's text: braces in it stand for themselves.
    let found = from_file.iter().flat_map(|found| &found.workloads).map(|document| Ok(document.clone()));
    for document in own.chain(found) {
        let document = document.map_err(of_template)?;
        let (spec, amount) = workload(document, context).map_err(of_template)?;
        add(&mut footprint.limits, amount.limits);
        add(&mut footprint.requests, amount.requests);
        workloads.push(spec);
    }
    let mut ports = Vec::new();
    for (name, target) in &template.ports {
        let expanded = expand_text(&target.workload, &values, &[]).map_err(of_template)?;
        let workload = text(&expanded).parse().map_err(|error| of_template(format!("{error}")))?;
        let port: Name = target.port.parse().map_err(|error| of_template(format!("{error}")))?;
        if !has_port(&workloads, &workload, &port) {
            return Err(of_template(format!("no workload `{workload}` has a port `{port}`")));
        }
        ports.push(PublicPort { name: name.clone(), workload, port });
    }
    let later = &["host", "port.", "secret."];
    let mut credentials: BTreeMap<String, String> = template
        .credentials
        .iter()
        .map(|(key, line)| Ok((key.clone(), text(&expand_text(line, &values, later)?))))
        .collect::<Result<_, String>>()
        .map_err(of_template)?;
    let mut differences = None;
    if let Some(found) = from_file {
        ports.extend(found.ports);
        secrets.extend(found.secrets);
        credentials.extend(found.credentials);
        differences = Some(found.differences);
    }
    let mut backup = None;
    if let Some(rule) = &template.backup {
        let schedule = upkeep::schedule(&rule.schedule, &values, context.id)?;
        backup = Some(jobs::backup(rule, schedule, &values, context).map_err(of_template)?);
    }
    let rotate_after = upkeep::rotate_after(&template.rotate_after, &values)?;
    let promote = match &template.promote {
        Some(rule) => Some(jobs::promotion(rule, template, &values, context).map_err(of_template)?),
        None => None,
    };
    let deployment = Deployment {
        workloads,
        secrets,
        ports,
        credentials,
        backup,
        rotate_after,
        promote,
        facts: template.facts,
        values: derived,
        footprint,
        differences,
    };
    Ok((deployment, parameters.into_iter().collect()))
}

/// What follows from parameters.
fn derive(template: &Template, values: &Values) -> Result<Values, String> {
    let one = |(name, derived): (&String, &Derived)| {
        let given = values.get(&derived.of).map(text).unwrap_or_default();
        let chosen = derived.by.get(&given);
        let chosen =
            chosen.ok_or_else(|| format!("`values.{name}` says nothing of {} `{given}`", derived.of))?;
        Ok((name.clone(), expand(chosen, values, &[])?))
    };
    template.values.iter().map(one).collect()
}

/// The local image where it is on the machine; else the official one, if that can take its place.
fn choose_images(
    template: &Template,
    context: &Context<'_>,
    values: &mut Values,
) -> Result<(), Vec<FieldError>> {
    for (key, image) in &template.images {
        let local = image.local.as_ref().filter(|local| context.here.contains(*local));
        let chosen = match local {
            Some(local) => local,
            None if image.local_only => {
                let wanted = image.local.as_deref().unwrap_or(&image.official);
                let detail = format!("the image {wanted} of `{}` is not on this machine", template.id);
                return Err(vec![FieldError::new("template", detail).hint(
                    "build it with `make images` and start the node with `--image-dir target/images`, or bring it with `univrs image import`",
                )]);
            }
            None => &image.official,
        };
        values.insert(format!("image.{key}"), json!(chosen));
    }
    Ok(())
}

/// A workload document with its limits turned into requests and limits, its label, and what it uses.
fn workload(mut document: Value, context: &Context<'_>) -> Result<(WorkloadSpec, Footprint), String> {
    let mut amount = Footprint::default();
    // Of the containers before: what is rounded in one is made up for in the next, so that four quarters are the whole.
    let (mut cpu_before, mut memory_before) = (0, 0);
    let replicas = document.get("replicas").and_then(Value::as_u64).unwrap_or(1);
    let containers = document.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let Some(limits) = container.as_object_mut().and_then(|fields| fields.remove("limits")) else {
            continue;
        };
        let of = |key: &str| limits.get(key).map(text).ok_or_else(|| format!("limits without `{key}`"));
        let share = limits
            .get("share")
            .map_or(Some(100), Value::as_u64)
            .ok_or("a share is a whole number of percent")?;
        let cpu: Cpu = of("cpu")?.parse().map_err(|error| format!("{error}"))?;
        let memory: Bytes = of("memory")?.parse().map_err(|error| format!("{error}"))?;
        let cpu = Cpu::millicores((cpu.as_millicores() * share).div_ceil(100).max(1));
        // Rounded, so that two shares are the whole again.
        let memory = Bytes::new(((memory.get() * share + 50) / 100).max(1));
        let quarter = (
            Cpu::millicores(quarter(&mut cpu_before, cpu.as_millicores())),
            Bytes::new(quarter(&mut memory_before, memory.get())),
        );
        container["resources"] =
            json!({"cpu": quarter.0, "memory": quarter.1, "cpu_limit": cpu, "memory_limit": memory});
        add_times(&mut amount.limits, replicas, cpu, memory, Bytes::new(0));
        add_times(&mut amount.requests, replicas, quarter.0, quarter.1, Bytes::new(0));
    }
    let volumes = document.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        let Some(size) = volume.get("size").map(text) else { continue };
        let size: Bytes = size.parse().map_err(|error| format!("{error}"))?;
        let request = Bytes::new(size.get().div_ceil(4));
        volume["size"] = json!(request);
        volume["limit"] = json!(size);
        add_times(&mut amount.limits, replicas, Cpu::millicores(0), Bytes::new(0), size);
        add_times(&mut amount.requests, replicas, Cpu::millicores(0), Bytes::new(0), request);
    }
    let spec = labelled(document, context.id)?;
    Ok((spec, amount))
}

/// A quarter of `part`, so that the quarters of all parts are a quarter of their sum, rounded up. At least 1.
fn quarter(before: &mut u64, part: u64) -> u64 {
    let taken = before.div_ceil(4);
    *before = before.saturating_add(part);
    (before.div_ceil(4) - taken).max(1)
}

/// A document as a workload that says whose it is.
pub(crate) fn labelled(document: Value, id: &ResourceId) -> Result<WorkloadSpec, String> {
    let mut spec: WorkloadSpec = from_value(document).map_err(|fault| fault.to_string())?;
    spec.labels.insert(RESOURCE_LABEL.to_owned(), id.to_string());
    match check::workload(&spec).into_iter().next() {
        Some(fault) => Err(format!("{}: {fault}", spec.name)),
        None => Ok(spec),
    }
}

fn add_times(sum: &mut Amount, times: u64, cpu: Cpu, memory: Bytes, storage: Bytes) {
    let times = |amount: u64| amount.saturating_mul(times);
    add(
        sum,
        Amount {
            cpu: Cpu::millicores(times(cpu.as_millicores())),
            memory: Bytes::new(times(memory.get())),
            storage: Bytes::new(times(storage.get())),
        },
    );
}

fn add(sum: &mut Amount, more: Amount) {
    sum.cpu = Cpu::millicores(sum.cpu.as_millicores().saturating_add(more.cpu.as_millicores()));
    sum.memory = Bytes::new(sum.memory.get().saturating_add(more.memory.get()));
    sum.storage = Bytes::new(sum.storage.get().saturating_add(more.storage.get()));
}

fn has_port(workloads: &[WorkloadSpec], workload: &Name, port: &Name) -> bool {
    let named = workloads.iter().filter(|spec| spec.name == *workload);
    named
        .flat_map(WorkloadSpec::containers)
        .any(|container| container.ports.iter().any(|known| known.name == *port))
}

/// A line of credentials with everything filled in.
///
/// # Errors
/// Names a placeholder that nothing stands for.
pub fn value_of(line: &str, values: &BTreeMap<String, Value>) -> Result<Value, String> {
    expand_text(line, values, &[])
}
