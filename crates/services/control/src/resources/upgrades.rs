//! Asking for an upgrade: a resource as its template and images are now.

use serde_json::{Map, json};
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::resource::{Deployment, RELEASE_LABEL, Resource, ResourceStatus};
use univrs_template::{Context, compile};

use super::backups::{backup_id, serving};
use super::faces::Begun;
use super::kinds::{self, Kind};
use super::{admit, find, upkeep};
use crate::error::Error;
use crate::handle::Control;

impl Control {
    /// Begins to bring a resource to what its template and images are now. It is backed up before, where it can be.
    ///
    /// # Errors
    /// When it does not exist or does not serve, its template has other ports or secrets now, it would be over quota, it
    /// is being changed, or the caller may not.
    pub async fn upgrade_resource(&self, caller: &Caller, wanted: &str) -> Result<Begun, Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, &format!("resource/{wanted}"))?;
        let state = self.mirror.state();
        let resource = find(&state, caller, wanted)?;
        serving(&resource, "upgraded")?;
        let from = self.resources.template(&resource.template)?;
        let here = self.images_here(from).await;
        let context = Context { id: &resource.id, org: &resource.org, name: &resource.name, here: &here };
        let (mut deployment, after) =
            compile(from, &resource.parameters, &context).map_err(Error::Invalid)?;
        same_outside(&resource, &deployment)?;
        let tiers = &self.resources.tiers;
        admit::check_quota(&state, tiers, caller, &deployment.footprint.limits, Some(&resource))?;
        let now = self.clock.now();
        upkeep::check(&deployment, now)?;
        // An image that changed under its name is taken by what begins anew, so all of it does.
        for spec in &mut deployment.workloads {
            spec.labels.insert(RELEASE_LABEL.to_owned(), now.as_second().to_string());
            // Labels alone make no new instance.
            for container in &mut spec.containers {
                container.env.insert("UNIVRS_RELEASE".to_owned(), now.as_second().to_string());
            }
        }
        let faulty = |source| Error::Unreadable { key: format!("resource/{}", resource.name), source };
        let before = serde_json::to_value(&resource.deployment).map_err(faulty)?;
        let deployment = serde_json::to_value(&deployment).map_err(faulty)?;
        let mut parameters = Map::new();
        parameters.insert("before".into(), json!({"parameters": resource.parameters, "deployment": before}));
        parameters.insert("after".into(), json!({"parameters": after, "deployment": deployment}));
        parameters.insert("backup".into(), json!(backup_id(now)));
        let operation = kinds::operation(Kind::Upgrade, caller, &resource, parameters, now);
        self.begin(caller, allowed_by, &[&resource], operation, ResourceStatus::Maintenance).await
    }
}

/// Refuses an upgrade to what is reached in another way: ports and secrets are given once.
fn same_outside(resource: &Resource, after: &Deployment) -> Result<(), Error> {
    let ports = |of: &Deployment| of.ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
    let secrets = |of: &Deployment| of.secrets.iter().map(|secret| secret.name.clone()).collect::<Vec<_>>();
    let before = &resource.deployment;
    if ports(before) == ports(after) && secrets(before) == secrets(after) {
        return Ok(());
    }
    Err(Error::Conflict {
        what: format!("resource `{}` cannot be upgraded", resource.name),
        reason: format!("the template {} has other ports or secrets now", resource.template),
        hint: Some("make a new resource and restore a backup into it".to_owned()),
    })
}
