//! What faces do with resources, templates and providers. Every change becomes an operation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::ids::ResourceId;
use univrs_model::keys;
use univrs_model::operation::{Operation, OperationStatus, OperationView};
use univrs_model::resource::{Quota, Resource, ResourceSpec, ResourceStatus, ResourceView};
use univrs_ports::provider::ProviderView;
use univrs_ports::store::{Revision, TxnOutcome};
use univrs_template::{Context, compile};
use utoipa::ToSchema;

use super::kinds::{self, Kind};
use super::view::{TemplateView, template, view, with_usage};
use super::{admit, find, reference, upkeep};
use crate::error::Error;
use crate::handle::{Control, Write, WriteOptions, check_revision};
use crate::operations;
use crate::record::{Record, put, unchanged};
use crate::state::{OrgName, State};

/// How often a removal is tried against what is under way.
const ATTEMPTS: usize = 8;

/// A change that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Begun {
    /// The operation that carries it out.
    pub operation: OperationView,
    /// The resource as it is now.
    pub resource: ResourceView,
}

/// A new size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleSpec {
    /// Parameters of the template that change.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
}

impl Control {
    /// The templates, by id.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_templates(&self, caller: &Caller) -> Result<Vec<TemplateView>, Error> {
        self.allow(caller, Action::ResourceRead, "template")?;
        Ok(self.resources.templates.values().map(template).collect())
    }

    /// One template.
    ///
    /// # Errors
    /// When there is none of that id, or the caller may not read it.
    pub fn get_template(&self, caller: &Caller, wanted: &str) -> Result<TemplateView, Error> {
        self.allow(caller, Action::ResourceRead, &format!("template/{wanted}"))?;
        self.resources.template(wanted).map(template)
    }

    /// The providers, and what they say of themselves now.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub async fn list_providers(&self, caller: &Caller) -> Result<Vec<ProviderView>, Error> {
        self.allow(caller, Action::ResourceRead, "provider")?;
        let mut views = Vec::new();
        for provider in self.resources.providers.iter() {
            views.push(provider.describe().await);
        }
        Ok(views)
    }

    /// One provider.
    ///
    /// # Errors
    /// When there is none of that id, or the caller may not read it.
    pub async fn get_provider(&self, caller: &Caller, wanted: &str) -> Result<ProviderView, Error> {
        self.allow(caller, Action::ResourceRead, &format!("provider/{wanted}"))?;
        Ok(self.resources.provider(wanted)?.describe().await)
    }

    /// The resources of the caller's organisation, by name.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_resources(&self, caller: &Caller) -> Result<(Vec<ResourceView>, Revision), Error> {
        self.allow(caller, Action::ResourceRead, "resource")?;
        let state = self.mirror.state();
        let own = state.resources.iter().filter(|(at, _)| at.org == caller.org);
        let views = own.map(|(_, record)| view(&state, record)).collect();
        Ok((with_usage(&state, views), state.revision))
    }

    /// One resource, by name, id or unique prefix of its id.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn get_resource(&self, caller: &Caller, wanted: &str) -> Result<ResourceView, Error> {
        self.allow(caller, Action::ResourceRead, &format!("resource/{wanted}"))?;
        let state = self.mirror.state();
        let view = view(&state, &find(&state, caller, wanted)?);
        let gone = || Error::NotFound { kind: "resource", name: wanted.to_owned(), near: None };
        with_usage(&state, vec![view]).pop().ok_or_else(gone)
    }

    /// The last lines that a resource wrote, of each of its parts.
    ///
    /// # Errors
    /// When it does not exist, cannot be reached, or the caller may not.
    pub async fn resource_logs(
        &self,
        caller: &Caller,
        wanted: &str,
        lines: usize,
    ) -> Result<Vec<String>, Error> {
        self.allow(caller, Action::WorkloadLogs, &format!("resource/{wanted}"))?;
        let resource = find(&self.mirror.state(), caller, wanted)?;
        let provider = self.resources.provider_of(&resource)?;
        provider.logs(&reference(&resource), lines).await.map_err(|error| Error::Conflict {
            what: format!("the logs of resource `{}` cannot be read", resource.name),
            reason: error.to_string(),
            hint: None,
        })
    }

    /// Begins to make a resource.
    ///
    /// # Errors
    /// When what is asked for is not valid, names are taken, it is over quota, no provider has room, or the caller may
    /// not; then nothing was made.
    pub async fn create_resource(
        &self,
        caller: &Caller,
        spec: &ResourceSpec,
        options: &WriteOptions,
    ) -> Result<Begun, Error> {
        let object = format!("resource/{}", spec.name);
        let allowed_by = self.allow(caller, Action::ResourceWrite, &object)?;
        if let Some(name) = self.remembered(&caller.org, options.idempotency.as_ref()).await? {
            return self.begun(caller, &name);
        }
        if let Some(org) = spec.org.as_ref().filter(|org| **org != caller.org) {
            let detail = format!("the request is about organisation {}, not {org}", caller.org);
            return Err(Error::field(FieldError::new("org", detail).hint("send `X-Univrs-Org`, or `?org=`")));
        }
        let from = self.resources.template(&spec.template).map_err(|error| as_field("template", &error))?;
        let tiers = &self.resources.tiers;
        admit::check_template(&self.mirror.state(), tiers, caller, &from.id)?;
        let id = ResourceId::from_bits(rand::random());
        let here = self.images_here(from).await;
        let context = Context { id: &id, org: &caller.org, name: &spec.name, here: &here };
        let (deployment, parameters) = compile(from, &spec.parameters, &context).map_err(Error::Invalid)?;
        let now = self.clock.now();
        upkeep::check(&deployment, now)?;
        let state = self.mirror.state();
        let at = OrgName { org: caller.org.clone(), name: spec.name.clone() };
        if state.resources.contains_key(&at) {
            return Err(Error::Exists { kind: "resource", name: at.name });
        }
        admit::check_quota(&state, tiers, caller, &deployment.footprint.limits, None)?;
        let provider = self
            .choose_provider(spec.provider.as_deref(), &deployment.footprint.requests)
            .await
            .map_err(|error| match error {
            Error::NotFound { .. } => as_field("provider", &error),
            other => other,
        })?;
        let place = provider.place().await.map_err(|error| Error::Conflict {
            what: format!("the provider {} cannot be used", provider.id()),
            reason: error.to_string(),
            hint: None,
        })?;
        let mut resource = Resource {
            id,
            org: caller.org.clone(),
            name: spec.name.clone(),
            template: from.id.clone(),
            template_version: from.version,
            provider: provider.id().to_owned(),
            place,
            parameters,
            status: ResourceStatus::Provisioning,
            message: "it is being made".to_owned(),
            deployment,
            ports: std::collections::BTreeMap::new(),
            host: String::new(),
            hosts: std::collections::BTreeMap::new(),
            rotated_at: None,
            facts: Map::new(),
            operation: univrs_model::ids::OperationId::from_bits(0),
            backups: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        let operation = kinds::operation(Kind::Create, caller, &resource, Map::new(), now);
        resource.operation = operation.id.clone();
        admit::names_taken(&state, &caller.org, &reference(&resource), &resource.deployment)?;
        let path = keys::resource(&caller.org, &spec.name);
        let operation_at = keys::operation(&caller.org, &operation.id);
        let mut guards = vec![unchanged(path.clone(), None)?, unchanged(operation_at.clone(), None)?];
        let mut ops = vec![put(path, &resource)?, put(operation_at, &operation)?];
        if let Some(quota) = state.quotas.get(&caller.org) {
            // Two at once must not both take what is left: each writes the quota anew.
            let quota_at = keys::resource_quota(&caller.org);
            guards.push(unchanged(quota_at.clone(), Some(quota.revision))?);
            ops.push(put(quota_at, &*quota.value)?);
        } else if let Some(org) = state.orgs.get(&caller.org).filter(|org| org.tier.is_some()) {
            // The same for what its tier leaves.
            let org_at = keys::organisation(&caller.org);
            guards.push(unchanged(org_at.clone(), Some(org.revision))?);
            ops.push(put(org_at, &*org.value)?);
        }
        self.remember(&caller.org, options.idempotency.as_ref(), spec.name.as_str(), &mut guards, &mut ops)?;
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::ResourceWrite,
                object,
                summary: format!(
                    "began to make resource {} from {} on {}",
                    spec.name, from.id, resource.provider
                ),
                guards,
                ops,
                event: None,
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                self.begun(caller, spec.name.as_str())
            }
            TxnOutcome::GuardFailed { index: 0, .. } => {
                Err(Error::Exists { kind: "resource", name: spec.name.clone() })
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "resource", name: spec.name.to_string() })
            }
        }
    }

    /// Begins to remove a resource with all it holds; what is under way with it is stopped first. A removal that is
    /// under way is answered again.
    ///
    /// # Errors
    /// When it does not exist or the caller may not.
    pub async fn delete_resource(&self, caller: &Caller, wanted: &str) -> Result<Begun, Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, &format!("resource/{wanted}"))?;
        for _ in 0..ATTEMPTS {
            let state = self.mirror.state();
            let resource = find(&state, caller, wanted)?;
            let mut parameters = Map::new();
            if let Some(under_way) = running(&state, &resource) {
                if under_way.kind == Kind::Delete.name() {
                    return self.begun(caller, resource.name.as_str());
                }
                parameters.insert("after".into(), json!(under_way.id));
            }
            let operation = kinds::operation(Kind::Delete, caller, &resource, parameters, self.clock.now());
            let maintenance = ResourceStatus::Maintenance;
            match self.begin(caller, allowed_by.clone(), &[&resource], operation, maintenance).await {
                // What is under way moves on meanwhile.
                Err(Error::Contended { .. } | Error::Conflict { .. }) => {}
                outcome => return outcome,
            }
        }
        Err(Error::Contended { kind: "resource", name: wanted.to_owned() })
    }

    /// Begins to give a resource another size.
    ///
    /// # Errors
    /// When a parameter cannot change or is not valid, it is over quota, is being changed, or the caller may not.
    pub async fn scale_resource(
        &self,
        caller: &Caller,
        wanted: &str,
        spec: &ScaleSpec,
    ) -> Result<Begun, Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, &format!("resource/{wanted}"))?;
        let state = self.mirror.state();
        let resource = find(&state, caller, wanted)?;
        let from = self.resources.template(&resource.template)?;
        for name in spec.parameters.keys() {
            if from.parameters.get(name).is_some_and(|parameter| !parameter.scalable) {
                let able = from.parameters.iter().filter(|(_, parameter)| parameter.scalable);
                let able: Vec<&str> = able.map(|(name, _)| name.as_str()).collect();
                let fault = FieldError::new(format!("parameters.{name}"), "it cannot be changed later");
                return Err(Error::field(fault.hint(format!("these can: {}", able.join(", ")))));
            }
        }
        let mut given = resource.parameters.clone();
        given.extend(spec.parameters.clone());
        let here = self.images_here(from).await;
        let context = Context { id: &resource.id, org: &resource.org, name: &resource.name, here: &here };
        let (deployment, after) = compile(from, &given, &context).map_err(Error::Invalid)?;
        let tiers = &self.resources.tiers;
        admit::check_quota(&state, tiers, caller, &deployment.footprint.limits, Some(&resource))?;
        upkeep::check(&deployment, self.clock.now())?;
        let mut parameters = Map::new();
        let faulty = |source| Error::Unreadable { key: format!("resource/{}", resource.name), source };
        let before = json!({"parameters": resource.parameters, "deployment": serde_json::to_value(&resource.deployment).map_err(faulty)?});
        let after =
            json!({"parameters": after, "deployment": serde_json::to_value(&deployment).map_err(faulty)?});
        parameters.insert("before".into(), before);
        parameters.insert("after".into(), after);
        let operation = kinds::operation(Kind::Scale, caller, &resource, parameters, self.clock.now());
        self.begin(caller, allowed_by, &[&resource], operation, ResourceStatus::Maintenance).await
    }

    /// Begins to replace a resource's credentials; old and new are good until the old are taken back.
    ///
    /// # Errors
    /// When it does not exist, is being changed, or the caller may not.
    pub async fn rotate_resource(&self, caller: &Caller, wanted: &str) -> Result<Begun, Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, &format!("resource/{wanted}"))?;
        let resource = find(&self.mirror.state(), caller, wanted)?;
        let newest = self.newest_login(&resource)?;
        let mut parameters = Map::new();
        parameters.insert("number".into(), json!(newest + 1));
        let operation = kinds::operation(Kind::Rotate, caller, &resource, parameters, self.clock.now());
        self.begin(caller, allowed_by, &[&resource], operation, resource.status).await
    }

    /// Begins to let a resource's replica take the place of what it follows.
    ///
    /// # Errors
    /// When it does not exist, has no replica, is being changed, or the caller may not.
    pub async fn promote_resource(&self, caller: &Caller, wanted: &str) -> Result<Begun, Error> {
        let allowed_by = self.allow(caller, Action::ResourceWrite, &format!("resource/{wanted}"))?;
        let resource = find(&self.mirror.state(), caller, wanted)?;
        let refused = |reason: String| Error::Conflict {
            what: format!("resource `{}` cannot be promoted", resource.name),
            reason,
            hint: None,
        };
        let Some(promotion) = &resource.deployment.promote else {
            return Err(refused(format!("the template {} has no replica", resource.template)));
        };
        // Not that it serves: a primary that is lost is what this is for.
        if !matches!(resource.status, ResourceStatus::Active | ResourceStatus::Degraded) {
            return Err(refused(format!("it is {}", format!("{:?}", resource.status).to_uppercase())));
        }
        let from = self.resources.template(&resource.template)?;
        let mut given = resource.parameters.clone();
        given.insert(promotion.parameter.clone(), json!(promotion.becomes));
        let here = self.images_here(from).await;
        let context = Context { id: &resource.id, org: &resource.org, name: &resource.name, here: &here };
        let (deployment, after) = compile(from, &given, &context).map_err(Error::Invalid)?;
        let faulty = |source| Error::Unreadable { key: format!("resource/{}", resource.name), source };
        let mut parameters = Map::new();
        let deployment = serde_json::to_value(&deployment).map_err(faulty)?;
        parameters.insert("after".into(), json!({"parameters": after, "deployment": deployment}));
        let operation = kinds::operation(Kind::Promote, caller, &resource, parameters, self.clock.now());
        self.begin(caller, allowed_by, &[&resource], operation, ResourceStatus::Maintenance).await
    }

    fn newest_login(&self, resource: &Resource) -> Result<u64, Error> {
        let secrets = self.open_secrets(resource)?;
        let numbers =
            secrets.values().flat_map(super::generated::logins).map(|login| super::generated::number(&login));
        Ok(numbers.max().unwrap_or(0))
    }

    /// How much the resources of an organisation may use, and the revision of that; 0 where nobody said.
    ///
    /// # Errors
    /// When there is no such organisation or the caller may not read that.
    pub fn resource_quota(&self, caller: &Caller, org: &str) -> Result<(Quota, u64), Error> {
        let org = self.org_read(caller, org)?;
        let state = self.mirror.state();
        let known = state.quotas.get(&org.name).map(|quota| (*quota.value, quota.revision.0));
        Ok(known.unwrap_or_default())
    }

    /// Says how much the resources of an organisation may use, and answers the new revision. What is there already stays.
    ///
    /// # Errors
    /// When there is no such organisation, its quota is another than the caller read, or the caller may not.
    pub async fn set_resource_quota(
        &self,
        caller: &Caller,
        org: &str,
        quota: Quota,
    ) -> Result<(Quota, u64), Error> {
        let allowed_by = self.allow(caller, Action::OrgWrite, &format!("org/{org}"))?;
        let org = self.org_named(caller, org)?.name.clone();
        let object = format!("org/{org}");
        let state = self.mirror.state();
        let at = keys::resource_quota(&org);
        let known = state.quotas.get(&org).map(|quota| quota.revision);
        let revision = known.unwrap_or_default();
        check_revision("quota of organisation", org.as_str(), self.conditions.if_revision, revision)?;
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::OrgWrite,
                object,
                summary: format!("set how much the resources of {org} may use"),
                guards: vec![unchanged(at.clone(), known)?],
                ops: vec![put(at, &quota)?],
                event: None,
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok((quota, revision.0))
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "organisation", name: org.to_string() })
            }
        }
    }

    /// Commits the beginning of an operation on these resources, the first of which is its subject. What is under way
    /// with the subject is asked to stop, if the operation says that it comes after it; else it is a conflict.
    pub(super) async fn begin(
        &self,
        caller: &Caller,
        allowed_by: String,
        resources: &[&Record<Resource>],
        operation: Operation,
        status: ResourceStatus,
    ) -> Result<Begun, Error> {
        let state = self.mirror.state();
        if let Some(subject) = resources.first() {
            check_revision("resource", subject.name.as_str(), self.conditions.if_revision, subject.revision)?;
        }
        let operation_at = keys::operation(&operation.org, &operation.id);
        let mut guards = vec![unchanged(operation_at.clone(), None)?];
        let mut ops = vec![put(operation_at, &operation)?];
        let idempotency = self.conditions.idempotency.as_ref();
        self.remember(&caller.org, idempotency, operation.id.as_str(), &mut guards, &mut ops)?;
        let mut subject_after = None;
        for (place, record) in resources.iter().enumerate() {
            if let Some(under_way) = running(&state, record) {
                if operation.parameters.get("after") != Some(&json!(under_way.id)) {
                    return Err(Error::Conflict {
                        what: format!("resource `{}` is being changed", record.name),
                        reason: format!("{} {} is under way", under_way.kind.replace('_', " "), under_way.id),
                        hint: Some(format!("wait for it: `univrs operation watch {}`", under_way.id)),
                    });
                }
                let at = keys::operation(&under_way.org, &under_way.id);
                let stopped = univrs_saga::apply(
                    Operation::clone(&under_way.value),
                    univrs_saga::SagaEvent::CancelRequested,
                    self.clock.now(),
                );
                guards.push(unchanged(at.clone(), Some(under_way.revision))?);
                ops.push(put(at, &stopped)?);
            }
            let at = keys::resource(&record.org, &record.name);
            guards.push(unchanged(at.clone(), Some(record.revision))?);
            let mut changed = Resource::clone(&record.value);
            changed.operation = operation.id.clone();
            changed.updated_at = self.clock.now();
            if place == 0 {
                changed.status = status;
                subject_after = Some(changed.clone());
            }
            ops.push(put(at, &changed)?);
        }
        let subject = operation.subject.clone();
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::ResourceWrite,
                object: format!("resource/{subject}"),
                summary: format!("began {} of {subject}", operation.kind.replace('_', " ")),
                guards,
                ops,
                event: None,
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                // Told as it was written: it may have moved on since, and a resource that is removed be gone.
                let operation = Record { value: Arc::new(operation), revision };
                let operation = operations::view(&operation);
                let gone = || Error::NotFound { kind: "resource", name: subject.clone(), near: None };
                let resource = Record { value: Arc::new(subject_after.ok_or_else(gone)?), revision };
                let resource = ResourceView {
                    stage: operation.stage.clone(),
                    progress: operation.progress,
                    ..view(&state, &resource)
                };
                Ok(Begun { operation, resource })
            }
            TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                self.mirror.at_least(actual_mod_revision.unwrap_or_default()).await;
                Err(Error::Contended { kind: "resource", name: subject })
            }
        }
    }

    /// The change of a resource that an earlier request with the same key began, if there was one.
    ///
    /// # Errors
    /// When the key stood for another request, or what it began is gone.
    pub async fn begun_before(&self, caller: &Caller) -> Result<Option<Begun>, Error> {
        let Some(operation) = self.operation_begun_before(caller).await? else { return Ok(None) };
        let state = self.mirror.state();
        let record = find(&state, caller, &operation.operation.subject)?;
        Ok(Some(Begun { operation, resource: view(&state, &record) }))
    }

    fn begun(&self, caller: &Caller, name: &str) -> Result<Begun, Error> {
        let state = self.mirror.state();
        let record = find(&state, caller, name)?;
        let operation = state.operations.get(&record.operation).map(operations::view);
        let operation = operation.ok_or_else(|| Error::NotFound {
            kind: "operation",
            name: record.operation.to_string(),
            near: None,
        })?;
        Ok(Begun { operation, resource: view(&state, &record) })
    }
}

/// The change that is under way with a resource.
fn running(state: &State, resource: &Resource) -> Option<Record<Operation>> {
    state
        .operations
        .get(&resource.operation)
        .filter(|known| known.status == OperationStatus::Running)
        .cloned()
}

/// A refusal that names the field of the request.
fn as_field(field: &str, error: &Error) -> Error {
    let fault = FieldError::new(field, error.to_string());
    Error::field(match error {
        Error::NotFound { near: Some(near), .. } => fault.hint(format!("did you mean `{near}`?")),
        _ => fault,
    })
}
