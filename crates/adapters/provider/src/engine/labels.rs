//! Names and labels: how what is made for a resource is found again, by nothing but the engine.
//!
//! | what | name |
//! |---|---|
//! | the network of an organisation | `univrs.<org>` |
//! | a replica of a workload, and what holds its network | `univrs.<org>.<workload>.<index>` |
//! | one of its containers | `univrs.<org>.<workload>.<index>.<container>` |
//! | one of its volumes | `univrs.<org>.<workload>.<index>.<volume>` |
//!
//! Names keep two things from being made at once; labels say whose they are. Labels travel with images and with
//! workloads, so only what says that this provider made it is its own.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use univrs_model::name::Name;
use univrs_model::resource::{GROUP_LABEL, OPERATION_LABEL, RESOURCE_LABEL};
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{Order, ProviderError, ResourceRef};

/// Which provider made it.
pub(crate) const PROVIDER: &str = "dev.univrs.provider";
/// The organisation.
pub(crate) const ORG: &str = "dev.univrs.org";
/// The workload that it is of.
pub(crate) const WORKLOAD: &str = "dev.univrs.workload";
/// Which replica.
pub(crate) const INDEX: &str = "dev.univrs.index";
/// `service` or `job`.
pub(crate) const KIND: &str = "dev.univrs.kind";
/// The container of the workload; absent on what holds a network.
pub(crate) const CONTAINER: &str = "dev.univrs.container";
/// The container whose network it is in, where that is its one and only.
pub(crate) const HOLDER: &str = "dev.univrs.holder";
/// Digest of what was asked for.
pub(crate) const DIGEST: &str = "dev.univrs.digest";
/// All workloads of the order, so that one that is missing is missed.
pub(crate) const WORKLOADS: &str = "dev.univrs.workloads";
/// How many containers and replicas there are to be, as `containers/replicas`.
pub(crate) const PARTS: &str = "dev.univrs.parts";
/// The check of health that the provider makes itself.
pub(crate) const CHECK: &str = "dev.univrs.check";
/// Processor time in thousandths, memory and disk in bytes that are set aside, as `cpu/memory/disk`.
pub(crate) const SET_ASIDE: &str = "dev.univrs.set-aside";

/// Labels as the engine takes them.
pub(crate) type Labels = HashMap<String, String>;

/// Labels that say whose something is.
pub(crate) fn owner(provider: &str, order: &Order) -> Labels {
    [
        (PROVIDER, provider.to_owned()),
        (ORG, order.resource.org.to_string()),
        (RESOURCE_LABEL, order.resource.id.to_string()),
        (OPERATION_LABEL, order.operation.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The filter that finds everything that this provider made for a resource.
pub(crate) fn filter(provider: &str, resource: &ResourceRef) -> HashMap<String, Vec<String>> {
    let wanted = vec![format!("{PROVIDER}={provider}"), format!("{RESOURCE_LABEL}={}", resource.id)];
    HashMap::from([("label".to_owned(), wanted)])
}

/// The filter that finds everything that this provider made for an organisation.
pub(crate) fn filter_org(provider: &str, org: &Name) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{PROVIDER}={provider}"), format!("{ORG}={org}")])])
}

/// Whether labels say that this provider made it for the resource.
pub(crate) fn is_of(provider: &str, resource: &ResourceRef, labels: &Labels) -> bool {
    labels.get(PROVIDER).is_some_and(|known| known == provider)
        && labels.get(RESOURCE_LABEL).is_some_and(|id| id == resource.id.as_str())
}

/// Refuses what is another's.
pub(crate) fn own(
    provider: &str,
    resource: &ResourceRef,
    name: &str,
    labels: &Labels,
) -> Result<(), ProviderError> {
    if is_of(provider, resource, labels) {
        return Ok(());
    }
    Err(ProviderError::lasting(format!(
        "`{name}` is in Docker already and does not belong to the resource; remove it, or choose another name"
    )))
}

/// The network of an organisation.
pub(crate) fn network(org: &Name) -> String {
    format!("univrs.{org}")
}

/// What holds a replica together.
pub(crate) fn replica(org: &Name, workload: &Name, index: u32) -> String {
    format!("univrs.{org}.{workload}.{index}")
}

/// The names under which others in the organisation's network find a workload; those of its group by a short one.
pub(crate) fn aliases(org: &Name, spec: &WorkloadSpec) -> Vec<String> {
    let workload = &spec.name;
    let mut names =
        vec![workload.to_string(), format!("{workload}.internal"), format!("{workload}.{org}.internal")];
    if let Some(group) = spec.labels.get(GROUP_LABEL)
        && let Some(service) = workload.as_str().strip_prefix(&format!("{group}-"))
    {
        names.push(format!("{service}.{}", search(org, group)));
    }
    names
}

/// Where a workload of a group looks for short names; nothing where it is of none.
pub(crate) fn search_of(org: &Name, spec: &WorkloadSpec) -> Option<String> {
    spec.labels.get(GROUP_LABEL).map(|group| search(org, group))
}

fn search(org: &Name, group: &str) -> String {
    format!("{group}.{org}.internal")
}

/// So that a name without a dot is looked for in the group before anywhere else.
pub(crate) const RESOLVER: &str = "ndots:1";

/// A digest of what was asked for, the same in every process.
pub(crate) fn digest(of: &impl serde::Serialize) -> String {
    // What is digested are documents of ours, whose maps are sorted.
    let text = serde_json::to_vec(of).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..16])
}

/// The label, or nothing.
pub(crate) fn label<'a>(labels: &'a Labels, key: &str) -> &'a str {
    labels.get(key).map_or("", String::as_str)
}
