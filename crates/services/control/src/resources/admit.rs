//! What may be made: checked with numbers before anything is.

use std::collections::BTreeSet;
use std::sync::Arc;

use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::name::Name;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::resource::{Amount, Deployment, Quota, Resource, ResourceStatus};
use univrs_ports::provider::Provider;
use univrs_template::Template;
use univrs_watch::tiers::{Tier, Tiers};

use super::choose::{Candidate, choose};
use crate::error::Error;
use crate::handle::Control;
use crate::state::{OrgName, State, WorkloadKey};

impl Control {
    /// Which of the images that a template names are on this machine.
    pub(super) async fn images_here(&self, template: &Template) -> BTreeSet<String> {
        let Some(images) = &self.resources.images else { return BTreeSet::new() };
        let mut here = BTreeSet::new();
        for local in template.images.values().filter_map(|image| image.local.as_ref()) {
            // A store that cannot be read shows when the image is used.
            if images.is_here(local).await.unwrap_or(false) {
                here.insert(local.clone());
            }
        }
        here
    }

    /// The provider that was named, or the best by policy; refused when none has room.
    pub(super) async fn choose_provider(
        &self,
        named: Option<&str>,
        wanted: &Amount,
    ) -> Result<Arc<dyn Provider>, Error> {
        let providers = match named {
            Some(named) => vec![self.resources.provider(named)?],
            // What is only simulated is never chosen for anyone.
            None => {
                let all = self.resources.providers.iter();
                all.filter(|provider| provider.id() != "simulated").cloned().collect()
            }
        };
        let said = futures::future::join_all(providers.iter().map(|provider| provider.describe())).await;
        let candidates: Vec<Candidate> =
            said.into_iter().map(|said| Candidate { said, price: None }).collect();
        let refusals = match choose(wanted, None, &candidates) {
            Ok(place) => return Ok(Arc::clone(&providers[place])),
            Err(refusals) => refusals,
        };
        let reason = if refusals.is_empty() { "there is none".to_owned() } else { refusals.join("; ") };
        Err(Error::Conflict {
            what: "no provider has room for the resource".to_owned(),
            reason,
            hint: Some("choose a smaller size with `--set`, remove something, or add a node".to_owned()),
        })
    }
}

/// An amount for people.
pub(super) fn words(amount: &Amount) -> String {
    format!("cpu {}, memory {}, storage {}", amount.cpu, amount.memory, amount.storage)
}

/// Names that the resource would need and that others have.
pub(super) fn names_taken(
    state: &State,
    org: &Name,
    resource: &univrs_ports::provider::ResourceRef,
    made: &Deployment,
) -> Result<(), Error> {
    let conflict = |what: String, hint: &str| Error::Conflict {
        what: format!("resource `{}` cannot be made", resource.name),
        reason: what,
        hint: Some(hint.to_owned()),
    };
    for name in &resource.workloads {
        if state.workloads.contains_key(&WorkloadKey { org: org.clone(), name: name.clone() }) {
            return Err(conflict(format!("there is a workload `{name}`"), "choose another name"));
        }
        if let Some(volume) =
            state.volumes.values().find(|volume| volume.org == *org && volume.workload == *name)
        {
            return Err(conflict(
                format!("a volume of a former workload `{name}` is still there ({})", volume.id),
                "choose another name, or remove the volume: `univrs volume rm`",
            ));
        }
    }
    for secret in &made.secrets {
        if state.secrets.contains_key(&OrgName { org: org.clone(), name: secret.name.clone() }) {
            return Err(super::generated::taken(&secret.name));
        }
    }
    Ok(())
}

/// What an organisation's resources may use already, without `except`.
pub(crate) fn used(state: &State, org: &Name, except: Option<&Resource>) -> (u32, Amount) {
    let mut count = 0;
    let mut sum = Amount::default();
    for (at, known) in &state.resources {
        let counts = at.org == *org
            && known.status != ResourceStatus::Failed
            && except.is_none_or(|except| except.id != known.id);
        if counts {
            let limits = known.deployment.footprint.limits;
            count += 1;
            sum = plus(sum, limits);
        }
    }
    (count, sum)
}

fn plus(a: Amount, b: Amount) -> Amount {
    Amount {
        cpu: Cpu::millicores(a.cpu.as_millicores().saturating_add(b.cpu.as_millicores())),
        memory: Bytes::new(a.memory.get().saturating_add(b.memory.get())),
        storage: Bytes::new(a.storage.get().saturating_add(b.storage.get())),
    }
}

/// Refuses what would go beyond the organisation's quota or tier. `instead_of` is the resource that changes its size.
pub(super) fn check_quota(
    state: &State,
    tiers: &Tiers,
    caller: &Caller,
    wanted: &Amount,
    instead_of: Option<&Resource>,
) -> Result<(), Error> {
    let (count, sum) = used(state, &caller.org, instead_of);
    let org = &caller.org;
    let mut faults = Vec::new();
    if let Some(quota) = state.quotas.get(org) {
        let hint = format!("remove a resource, choose a smaller size, or have the quota of {org} raised");
        let mut over = beyond(quota, count, &sum, wanted);
        let spent = state.egress_spent.get(org).filter(|_| instead_of.is_none());
        over.extend(spent.map(|spent| {
            format!("egress: {} went out this month, and there may be {}", spent.sent, spent.most)
        }));
        faults.extend(over.into_iter().map(|detail| FieldError::new("quota", detail).hint(hint.clone())));
    }
    if let Some((id, tier)) = tier_of(state, tiers, org) {
        let hint = format!("remove a resource, choose a smaller size, or give {org} a higher tier");
        let over = beyond(&tier.quota(), count, &sum, wanted);
        let said = over.into_iter().map(|detail| format!("tier {id}: {detail}"));
        faults.extend(said.map(|detail| FieldError::new("tier", detail).hint(hint.clone())));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Refuses a template that the organisation's tier does not have.
pub(super) fn check_template(
    state: &State,
    tiers: &Tiers,
    caller: &Caller,
    template: &str,
) -> Result<(), Error> {
    let Some((id, tier)) = tier_of(state, tiers, &caller.org) else { return Ok(()) };
    if tier.allows(template) {
        return Ok(());
    }
    let has = tier.templates.as_deref().unwrap_or_default().join(", ");
    let detail = format!("tier {id} of {} does not have {template}", caller.org);
    Err(Error::field(FieldError::new("template", detail).hint(format!("it has {has}"))))
}

/// An organisation's tier with its id.
pub(crate) fn tier_of<'a>(state: &State, tiers: &'a Tiers, org: &Name) -> Option<(&'a str, &'a Tier)> {
    let known = state.orgs.get(org)?;
    tiers.tiers.get_key_value(crate::orgs::tier_of(known)).map(|(id, tier)| (id.as_str(), tier))
}

fn beyond(quota: &Quota, count: u32, used: &Amount, wanted: &Amount) -> Vec<String> {
    let after = plus(*used, *wanted);
    let mut over = Vec::new();
    if let Some(most) = quota.resources.filter(|most| count >= *most) {
        over.push(format!("there are {count} resources, and there may be {most}"));
    }
    if let Some(most) = quota.cpu.filter(|most| after.cpu > *most) {
        over.push(format!("cpu: {} used and {} wanted are more than {most}", used.cpu, wanted.cpu));
    }
    if let Some(most) = quota.memory.filter(|most| after.memory > *most) {
        over.push(format!("memory: {} used and {} wanted are more than {most}", used.memory, wanted.memory));
    }
    if let Some(most) = quota.storage.filter(|most| after.storage > *most) {
        over.push(format!(
            "storage: {} used and {} wanted are more than {most}",
            used.storage, wanted.storage
        ));
    }
    over
}

#[cfg(test)]
mod tests {
    use univrs_model::quantity::{Bytes, Cpu};
    use univrs_model::resource::{Amount, Quota};

    use super::beyond;

    #[test]
    fn a_quota_is_refused_with_numbers() {
        let amount = |cpu, memory| Amount {
            cpu: Cpu::millicores(cpu),
            memory: Bytes::mebibytes(memory),
            storage: Bytes::new(0),
        };
        let quota = Quota { resources: Some(3), cpu: Some(Cpu::millicores(2000)), ..Quota::default() };
        assert!(beyond(&quota, 2, &amount(1000, 1), &amount(1000, 9999)).is_empty());
        assert_eq!(
            beyond(&quota, 3, &amount(1000, 1), &amount(1001, 1)),
            ["there are 3 resources, and there may be 3", "cpu: 1 used and 1001m wanted are more than 2"]
        );
    }
}
