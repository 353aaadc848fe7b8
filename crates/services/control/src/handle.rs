//! The control plane as faces see it: every call names its caller, asks the policy, and leaves one audit entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use univrs_authz::{Action, Authorizer, Object};
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_ports::clock::Clock;
use univrs_ports::node_access::NodeAccess;
use univrs_ports::programs::Programs;
use univrs_ports::seal::Sealer;
use univrs_ports::store::{ClusterAdmin, Guard, Op, Revision, StateStore};

use crate::audit::owner;
use crate::error::Error;
use crate::mirror::Mirror;
use crate::record::{key, put};
use crate::resources::Resources;
use crate::tokens::Sightings;

/// Makes a write safe to repeat: the first outcome is answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's `Idempotency-Key`.
    pub key: String,
    /// Digest of the request, so that the key cannot stand for two.
    pub fingerprint: String,
}

/// Where this process begins to count entries of one instant, so that two nodes do not meet.
pub(crate) fn own_numbers() -> u64 {
    u64::from(rand::random::<u16>()) << 13
}

/// What is remembered of a request with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RememberedRequest {
    pub(crate) fingerprint: String,
    pub(crate) object: String,
    pub(crate) at: Timestamp,
}

/// How a write is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The revision that the object must still have (`If-Match`).
    pub if_revision: Option<u64>,
    /// Makes the write safe to repeat.
    pub idempotency: Option<Idempotency>,
}

/// The control plane.
#[derive(Clone)]
pub struct Control {
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) mirror: Mirror,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) access: Arc<dyn NodeAccess>,
    pub(crate) planning: bool,
    pub(crate) conditions: WriteOptions,
    pub(crate) sightings: Sightings,
    pub(crate) admin: Option<Admin>,
    pub(crate) sealer: Arc<dyn Sealer>,
    pub(crate) programs: Option<Arc<dyn Programs>>,
    node: Option<NodeId>,
    pub(crate) resources: Resources,
    authorizer: Arc<Authorizer>,
    serial: Arc<AtomicU64>,
}

/// Who replicates the state.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) admin: Arc<dyn ClusterAdmin>,
}

/// One write about to be committed.
pub(crate) struct Write {
    pub(crate) caller: Caller,
    pub(crate) allowed_by: String,
    pub(crate) action: Action,
    pub(crate) object: String,
    pub(crate) summary: String,
    pub(crate) guards: Vec<Guard>,
    pub(crate) ops: Vec<Op>,
    pub(crate) event: Option<Event>,
}

impl Write {
    /// A write that changes nothing.
    pub(crate) fn nothing(caller: Caller) -> Self {
        Self {
            caller,
            allowed_by: String::new(),
            action: Action::ClusterRead,
            object: String::new(),
            summary: String::new(),
            guards: Vec::new(),
            ops: Vec::new(),
            event: None,
        }
    }
}

impl Control {
    /// A control plane over these parts.
    pub fn new(
        store: Arc<dyn StateStore>,
        mirror: Mirror,
        clock: Arc<dyn Clock>,
        access: Arc<dyn NodeAccess>,
        sealer: Arc<dyn Sealer>,
        authorizer: Arc<Authorizer>,
    ) -> Self {
        let (sightings, serial) = (Sightings::default(), Arc::new(AtomicU64::new(own_numbers())));
        Self {
            store,
            mirror,
            clock,
            access,
            sightings,
            admin: None,
            sealer,
            resources: Resources::default(),
            planning: false,
            conditions: WriteOptions::default(),
            programs: None,
            node: None,
            authorizer,
            serial,
        }
    }

    /// Lets it say who replicates the state: `admin` knows the members, and this process is that of `node`.
    #[must_use]
    pub fn with_members(mut self, admin: Arc<dyn ClusterAdmin>, node: NodeId) -> Self {
        self.admin = Some(Admin { admin });
        self.with_node(node)
    }

    /// Says which node this process is, when it does not hold the state itself.
    #[must_use]
    pub fn with_node(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// Lets it change the programs of nodes.
    #[must_use]
    pub fn with_programs(mut self, programs: Arc<dyn Programs>) -> Self {
        self.programs = Some(programs);
        self
    }

    /// Whether this node has made itself known and is heard; so it is where nobody said which node this is.
    pub fn is_registered(&self) -> bool {
        let node = self.node.as_ref();
        node.is_none_or(|node| self.mirror.state().nodes_alive.contains(node))
    }

    /// Lets it make resources of these parts.
    #[must_use]
    pub fn with_resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// The same control plane in planning mode: a write is checked and permitted as ever, and then kept as a plan
    /// instead of being committed. It ends with [`Error::Planned`]; [`Control::planned`] turns that into the plan.
    #[must_use]
    pub fn planning(&self) -> Self {
        Self { planning: true, ..self.clone() }
    }

    /// The same control plane for one request: what it changes of nodes, resources, organisations and volumes must have
    /// the revision of these conditions, and what it begins is begun once for their key. Workloads, tokens and secrets
    /// take their conditions with each call.
    #[must_use]
    pub fn under(&self, conditions: WriteOptions) -> Self {
        Self { conditions, ..self.clone() }
    }

    /// The picture of the state that answers are made from.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The store, for watches.
    pub fn store(&self) -> &Arc<dyn StateStore> {
        &self.store
    }

    /// Asks the policy; answers the rule that allowed it. Whether the object belongs to the cluster or to the
    /// organisation that the caller acts in is a matter of the action.
    ///
    /// # Errors
    /// [`Error::Denied`] with the rule that forbids it.
    pub fn allow(&self, caller: &Caller, action: Action, object: &str) -> Result<String, Error> {
        self.allow_for(owner(action, caller).as_ref(), caller, action, object)
    }

    /// As [`Control::allow`], for an object of this organisation; of the cluster without one.
    pub(crate) fn allow_for(
        &self,
        owner: Option<&Name>,
        caller: &Caller,
        action: Action,
        object: &str,
    ) -> Result<String, Error> {
        let (kind, name) = object.split_once('/').unwrap_or((object, ""));
        let asked = Object { kind, org: owner.map(Name::as_str), name };
        let decision = self.authorizer.decide(caller, action, &asked);
        if decision.allow {
            return Ok(decision.rule);
        }
        Err(Error::Denied {
            action: action.to_string(),
            object: object.to_owned(),
            rule: decision.rule,
            reason: decision.reason,
        })
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds what makes a write safe to repeat.
    pub(crate) fn remember(
        &self,
        org: &Name,
        idempotency: Option<&Idempotency>,
        object: &str,
        guards: &mut Vec<Guard>,
        ops: &mut Vec<Op>,
    ) -> Result<(), Error> {
        // A plan may be applied once, which makes it safe to repeat without a key.
        let Some(idempotency) = idempotency.filter(|_| !self.planning) else { return Ok(()) };
        let at = keys::request(org, &idempotency.key);
        guards.push(Guard::Absent(key(at.clone())?));
        let remembered = RememberedRequest {
            fingerprint: idempotency.fingerprint.clone(),
            object: object.to_owned(),
            at: self.clock.now(),
        };
        ops.push(put(at, &remembered)?);
        Ok(())
    }

    /// The object an earlier request with the same key made, if there was one.
    pub(crate) async fn remembered(
        &self,
        org: &Name,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<String>, Error> {
        let Some(idempotency) = idempotency.filter(|_| !self.planning) else { return Ok(None) };
        let at = keys::request(org, &idempotency.key);
        let stored =
            self.store.get(&key(at.clone())?, univrs_ports::store::Consistency::Linearizable).await?;
        let Some(stored) = stored else { return Ok(None) };
        let remembered = crate::record::Record::<RememberedRequest>::decode(&at, &stored)?;
        if remembered.fingerprint == idempotency.fingerprint {
            Ok(Some(remembered.object.clone()))
        } else {
            Err(Error::KeyReused { key: idempotency.key.clone() })
        }
    }
}

/// An event of this kind about a workload.
pub(crate) fn workload_event(at: Timestamp, kind: EventKind, workload: &Name, message: String) -> Event {
    Event {
        at,
        kind,
        severity: Severity::Info,
        workload: Some(workload.clone()),
        instance: None,
        node: None,
        message,
    }
}

/// Refuses when the caller read an older revision than the object has.
pub(crate) fn check_revision(
    kind: &'static str,
    name: &str,
    expected: Option<u64>,
    actual: Revision,
) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != actual.0 => Err(Error::Stale {
            kind,
            name: name.to_owned(),
            expected: expected.to_string(),
            actual: actual.0,
        }),
        _ => Ok(()),
    }
}
