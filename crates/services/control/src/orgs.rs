//! Organisations: making and listing them, and choosing the one that a request is about.

use univrs_authz::Action;
use univrs_model::caller::{Caller, Principal};
use univrs_model::decode::nearest;
use univrs_model::field::FieldError;
use univrs_model::ids::{OrgId, RequestId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::org::{DEFAULT_TIER, Org, OrgChange, OrgSpec, OrgView};
use univrs_ports::store::{Revision, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, WriteOptions, check_revision};
use crate::record::{Record, put, unchanged};
use crate::state::State;

impl Control {
    /// The caller that `principal` is when it asks for the organisation `wanted`; without one it acts in its own,
    /// or in the default one.
    ///
    /// # Errors
    /// When there is no such organisation, or it is not the principal's.
    pub fn enter(
        &self,
        principal: Principal,
        wanted: Option<Name>,
        request: RequestId,
    ) -> Result<Caller, Error> {
        let home = match &principal {
            Principal::Token { org: Some(org), .. } => org.clone(),
            _ => Name::default_org(),
        };
        let chosen = wanted.unwrap_or_else(|| home.clone());
        let caller = Caller { principal, org: chosen, request: Some(request) };
        if caller.org != home {
            // To act in an organisation is to see that it exists.
            self.allow(&caller, Action::OrgRead, &format!("org/{}", caller.org))?;
            self.org_named(&caller, caller.org.as_str())?;
        }
        Ok(caller)
    }

    /// The organisations that the caller may see, by name.
    ///
    /// # Errors
    /// When the caller may not read any.
    pub fn list_orgs(&self, caller: &Caller) -> Result<(Vec<OrgView>, Revision), Error> {
        self.allow(caller, Action::OrgRead, "org")?;
        let state = self.mirror.state();
        let visible = state.orgs.values().filter(|org| self.sees(caller, &org.name)).map(view).collect();
        Ok((visible, state.revision))
    }

    /// One organisation.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn get_org(&self, caller: &Caller, wanted: &str) -> Result<OrgView, Error> {
        self.org_read(caller, wanted).map(|record| view(&record))
    }

    /// One organisation, by name or id, if the caller may read it.
    pub(crate) fn org_read(&self, caller: &Caller, wanted: &str) -> Result<Record<Org>, Error> {
        // Whoever may not read an organisation is not told whether there is one of that name.
        let known = find(&self.mirror.state(), wanted).map(|known| known.name.clone());
        let name = known.or_else(|| wanted.parse().ok()).unwrap_or_else(|| caller.org.clone());
        self.allow_for(Some(&name), caller, Action::OrgRead, &format!("org/{wanted}"))?;
        self.org_named(caller, wanted)
    }

    /// One organisation, by name or id. Only what the caller sees is proposed instead.
    pub(crate) fn org_named(&self, caller: &Caller, wanted: &str) -> Result<Record<Org>, Error> {
        let state = self.mirror.state();
        find(&state, wanted).ok_or_else(|| {
            let visible = state.orgs.keys().filter(|org| self.sees(caller, org)).map(Name::as_str);
            let near = nearest(wanted, visible).map(str::to_owned);
            Error::NotFound { kind: "organisation", name: wanted.to_owned(), near }
        })
    }

    /// Makes an organisation.
    ///
    /// # Errors
    /// When the name is taken or the caller may not.
    pub async fn create_org(
        &self,
        caller: &Caller,
        spec: &OrgSpec,
        options: &WriteOptions,
    ) -> Result<OrgView, Error> {
        let object = format!("org/{}", spec.name);
        let allowed_by = self.allow(caller, Action::OrgWrite, &object)?;
        if let Some(name) = self.remembered(&caller.org, options.idempotency.as_ref()).await? {
            return self.org_named(caller, &name).map(|record| view(&record));
        }
        if let Some(tier) = &spec.tier {
            self.known_tier(tier)?;
        }
        let org = Org {
            id: OrgId::from_bits(rand::random()),
            name: spec.name.clone(),
            created_at: self.clock.now(),
            tier: spec.tier.clone(),
        };
        let at = keys::organisation(&org.name);
        let mut guards = vec![unchanged(at.clone(), None)?];
        let mut ops = vec![put(at, &org)?];
        let idempotency = options.idempotency.as_ref();
        self.remember(&caller.org, idempotency, org.name.as_str(), &mut guards, &mut ops)?;
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::OrgWrite,
            object,
            summary: format!("made organisation {}", org.name),
            guards,
            ops,
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                self.org_named(caller, org.name.as_str()).map(|record| view(&record))
            }
            TxnOutcome::GuardFailed { index: 0, .. } => {
                Err(Error::Exists { kind: "organisation", name: org.name })
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "organisation", name: org.name.to_string() })
            }
        }
    }

    /// Changes an organisation's tier. What is there already stays.
    ///
    /// # Errors
    /// When there is no such organisation or tier, or the caller may not.
    pub async fn change_org(
        &self,
        caller: &Caller,
        wanted: &str,
        change: &OrgChange,
    ) -> Result<OrgView, Error> {
        let allowed_by = self.allow(caller, Action::OrgWrite, &format!("org/{wanted}"))?;
        self.known_tier(&change.tier)?;
        let known = self.org_named(caller, wanted)?;
        let object = format!("org/{}", known.name);
        check_revision("organisation", wanted, self.conditions.if_revision, known.revision)?;
        let changed = Org { tier: Some(change.tier.clone()), ..Org::clone(&known) };
        let at = keys::organisation(&known.name);
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::OrgWrite,
            object,
            summary: format!("gave organisation {} the tier {}", known.name, change.tier),
            guards: vec![unchanged(at.clone(), Some(known.revision))?],
            ops: vec![put(at, &changed)?],
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                self.org_named(caller, wanted).map(|record| view(&record))
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "organisation", name: wanted.to_owned() })
            }
        }
    }

    fn known_tier(&self, wanted: &str) -> Result<(), Error> {
        let tiers = &self.resources.tiers.tiers;
        if tiers.contains_key(wanted) {
            return Ok(());
        }
        let known = tiers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let detail = format!("there is no tier `{}`", wanted.chars().take(80).collect::<String>());
        Err(Error::field(FieldError::new("tier", detail).hint(format!("one of {known}"))))
    }

    fn sees(&self, caller: &Caller, org: &Name) -> bool {
        self.allow_for(Some(org), caller, Action::OrgRead, &format!("org/{org}")).is_ok()
    }
}

/// The tier of an organisation.
pub(crate) fn tier_of(org: &Org) -> &str {
    org.tier.as_deref().unwrap_or(DEFAULT_TIER)
}

fn view(org: &Record<Org>) -> OrgView {
    OrgView {
        id: org.id.clone(),
        name: org.name.clone(),
        tier: tier_of(org).to_owned(),
        revision: org.revision.0,
        created_at: org.created_at,
        updated_at: org.created_at,
    }
}

/// By name or id; no name looks like an id.
fn find(state: &State, wanted: &str) -> Option<Record<Org>> {
    let by_id = || state.orgs.values().find(|org| org.id.as_str() == wanted);
    state.orgs.get(wanted).or_else(by_id).cloned()
}
