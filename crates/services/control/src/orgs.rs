//! Organisations: making and listing them, and choosing the one that a request is about.

use univrs_authz::Action;
use univrs_model::caller::{Caller, Principal};
use univrs_model::decode::nearest;
use univrs_model::ids::{OrgId, RequestId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::org::{Org, OrgSpec, OrgView};
use univrs_ports::store::{Revision, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, WriteOptions};
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
            find(&self.mirror.state(), caller.org.as_str())?;
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
        let name = wanted.parse().unwrap_or_else(|_| caller.org.clone());
        self.allow_for(Some(&name), caller, Action::OrgRead, &format!("org/{wanted}"))?;
        find(&self.mirror.state(), wanted).map(|record| view(&record))
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
        let known = |state: &State, name: &str| find(state, name).map(|record| view(&record));
        if let Some(name) = self.remembered(&caller.org, options.idempotency.as_ref()).await? {
            return known(&self.mirror.state(), &name);
        }
        let org = Org {
            id: OrgId::from_bits(rand::random()),
            name: spec.name.clone(),
            created_at: self.clock.now(),
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
                known(&self.mirror.at_least(revision).await, org.name.as_str())
            }
            TxnOutcome::GuardFailed { index: 0, .. } => {
                Err(Error::Exists { kind: "organisation", name: org.name })
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "organisation", name: org.name.to_string() })
            }
        }
    }

    fn sees(&self, caller: &Caller, org: &Name) -> bool {
        self.allow_for(Some(org), caller, Action::OrgRead, &format!("org/{org}")).is_ok()
    }
}

fn view(org: &Record<Org>) -> OrgView {
    OrgView {
        id: org.id.clone(),
        name: org.name.clone(),
        revision: org.revision.0,
        created_at: org.created_at,
        updated_at: org.created_at,
    }
}

fn find(state: &State, wanted: &str) -> Result<Record<Org>, Error> {
    state.orgs.get(wanted).cloned().ok_or_else(|| Error::NotFound {
        kind: "organisation",
        name: wanted.to_owned(),
        near: nearest(wanted, state.orgs.keys().map(Name::as_str)).map(str::to_owned),
    })
}
