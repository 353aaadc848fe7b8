//! One-click resources: what faces do with them (`faces.rs`), what may be made (`admit.rs`) and by whom (`choose.rs`,
//! `placed.rs`), their generated secrets (`generated.rs`), the long changes of them (`kinds/`), the provider that is this cluster itself (`mesh.rs`), the loop
//! that says how they are doing (`watch.rs`), and the one that does what is due by itself (`due.rs` decides, `upkeep.rs`
//! begins it, `facts.rs` reads what parts say of themselves, `metering.rs` what providers measure).
//!
//! A resource is one record. What it was compiled to lies in it, so that any control node can go on where another was
//! stopped, and a template that has changed since changes nothing of what is there.

mod admit;
mod backups;
mod choose;
mod credentials;
mod due;
mod faces;
mod facts;
mod generated;
mod kinds;
mod mesh;
mod metering;
mod placed;
mod upgrades;
mod upkeep;
mod view;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use univrs_model::caller::Caller;
use univrs_model::decode::nearest;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::matches_prefix;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::resource::Resource;
use univrs_ports::images::Images;
use univrs_ports::provider::{Provider, ResourceRef};
use univrs_ports::store::{Consistency, Op, Txn, TxnOutcome};
use univrs_template::Template;
use univrs_watch::tiers::Tiers;

use crate::error::Error;
use crate::handle::Control;
use crate::record::{Record, key, put, unchanged};
use crate::state::{OrgName, State};

pub use backups::RestoreSpec;
pub use credentials::Credentials;
pub use faces::{Begun, ScaleSpec};
pub use kinds::resource_kinds;
pub use mesh::{MeshProvider, TakenPorts};
pub use metering::{CountedRequests, ResourceMeter};
pub use upkeep::ResourceUpkeep;
pub use view::{TemplateView, view as view_of};
pub use watch::ResourceWatcher;

pub(crate) use admit::{tier_of, used};

/// What resources are made of and with.
#[derive(Clone)]
pub struct Resources {
    templates: Arc<BTreeMap<String, Template>>,
    providers: Arc<Vec<Arc<dyn Provider>>>,
    images: Option<Arc<dyn Images>>,
    pub(crate) tiers: Arc<Tiers>,
}

impl Default for Resources {
    fn default() -> Self {
        Self::new(univrs_template::builtin(), Vec::new(), None)
    }
}

impl Resources {
    /// Resources of these templates; a later one takes the place of an earlier one with its id. Of
    /// providers that are equally good, the first is chosen when nobody names one. `images` says which images are here.
    pub fn new(
        templates: Vec<Template>,
        providers: Vec<Arc<dyn Provider>>,
        images: Option<Arc<dyn Images>>,
    ) -> Self {
        let templates = templates.into_iter().map(|template| (template.id.clone(), template)).collect();
        let tiers = Arc::new(Tiers::builtin());
        Self { templates: Arc::new(templates), providers: Arc::new(providers), images, tiers }
    }

    /// How often a template says that its resources are backed up.
    pub(crate) fn backup_schedule(&self, template: &str) -> Option<&str> {
        self.templates.get(template)?.backup.as_ref().map(|rule| rule.schedule.as_str())
    }

    fn template(&self, wanted: &str) -> Result<&Template, Error> {
        self.templates.get(wanted).ok_or_else(|| Error::NotFound {
            kind: "template",
            name: wanted.chars().take(80).collect(),
            near: nearest(wanted, self.templates.keys().map(String::as_str)).map(str::to_owned),
        })
    }

    fn provider(&self, wanted: &str) -> Result<Arc<dyn Provider>, Error> {
        self.providers.iter().find(|provider| provider.id() == wanted).cloned().ok_or_else(|| {
            Error::NotFound {
                kind: "provider",
                name: wanted.chars().take(80).collect(),
                near: nearest(wanted, self.providers.iter().map(|provider| provider.id())).map(str::to_owned),
            }
        })
    }
}

impl Resources {
    /// The provider of a resource, in the place where the resource is.
    fn provider_of(&self, resource: &Resource) -> Result<Arc<dyn Provider>, Error> {
        let provider = self.provider(&resource.provider)?;
        if resource.place.is_empty() {
            return Ok(provider);
        }
        Ok(Arc::new(placed::Placed { provider, place: resource.place.clone() }))
    }
}

/// The resource as providers know it.
fn reference(resource: &Resource) -> ResourceRef {
    let mut workloads: Vec<Name> =
        resource.deployment.workloads.iter().map(|workload| workload.name.clone()).collect();
    // Its jobs are named by the template; their documents are read when they run.
    let jobs = resource.deployment.backup.iter().flat_map(|jobs| [&jobs.backup, &jobs.restore]);
    let jobs = jobs.chain(resource.deployment.promote.iter().map(|promotion| &promotion.job));
    for name in jobs.filter_map(|job| job["name"].as_str()?.parse::<Name>().ok()) {
        if !workloads.contains(&name) {
            workloads.push(name);
        }
    }
    ResourceRef { id: resource.id.clone(), org: resource.org.clone(), name: resource.name.clone(), workloads }
}

/// Where the ports of a resource are, from where its workloads are.
fn hosts_of_ports(resource: &Resource, hosts: &BTreeMap<Name, String>) -> BTreeMap<String, String> {
    let ports = resource.deployment.ports.iter();
    ports.filter_map(|port| Some((port.name.clone(), hosts.get(&port.workload)?.clone()))).collect()
}

/// The resource that `wanted` names: by name, by id, or by a unique prefix of an id.
fn find(state: &State, caller: &Caller, wanted: &str) -> Result<Record<Resource>, Error> {
    if let Ok(name) = wanted.parse::<Name>()
        && let Some(record) = state.resources.get(&OrgName { org: caller.org.clone(), name })
    {
        return Ok(record.clone());
    }
    let own = || state.resources.iter().filter(|(at, _)| at.org == caller.org).map(|(_, record)| record);
    let found: Vec<_> = own().filter(|record| matches_prefix(record.id.as_str(), wanted)).collect();
    match found.as_slice() {
        [record] => Ok((*record).clone()),
        [] => Err(Error::NotFound {
            kind: "resource",
            name: wanted.chars().take(80).collect(),
            near: nearest(wanted, own().map(|record| record.name.as_str())).map(str::to_owned),
        }),
        several => Err(Error::Ambiguous {
            kind: "resource",
            name: wanted.to_owned(),
            candidates: several.iter().map(|record| record.name.to_string()).collect::<Vec<_>>().join(", "),
        }),
    }
}

impl Control {
    /// Applies `change` to a resource as the store has it now, again until no one was faster. Answers the resource
    /// after it; nothing when it is gone, or another has its name now.
    async fn change_resource(
        &self,
        resource: &Resource,
        event: Option<(EventKind, Severity, String)>,
        change: impl Fn(&mut Resource) -> Vec<Op> + Send,
    ) -> Result<Option<Resource>, Error> {
        let at = keys::resource(&resource.org, &resource.name);
        loop {
            let stored = self.store.get(&key(at.clone())?, Consistency::Linearizable).await?;
            let Some(stored) = stored else { return Ok(None) };
            let known = Record::<Resource>::decode(&at, &stored)?;
            if known.id != resource.id {
                return Ok(None);
            }
            let mut changed = Resource::clone(&known.value);
            let more = change(&mut changed);
            if changed == *known.value && more.is_empty() {
                return Ok(Some(changed));
            }
            let now = self.clock.now();
            changed.updated_at = now;
            let mut ops = vec![put(at.clone(), &changed)?];
            ops.extend(more);
            if let Some((kind, severity, message)) = &event {
                let event = resource_event(now, *kind, *severity, message.clone());
                ops.push(put(keys::event(&resource.org, now, rand::random::<u32>().into()), &event)?);
            }
            let guards = vec![unchanged(at.clone(), Some(known.revision))?];
            if let TxnOutcome::Committed { revision } =
                self.store.txn(Txn { request: None, guards, ops }).await?
            {
                self.mirror.at_least(revision).await;
                return Ok(Some(changed));
            }
        }
    }
}

fn resource_event(
    at: univrs_model::Timestamp,
    kind: EventKind,
    severity: Severity,
    message: String,
) -> Event {
    Event { at, kind, severity, workload: None, instance: None, node: None, message }
}
