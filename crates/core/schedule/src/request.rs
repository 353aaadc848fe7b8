//! Requests: instances that want a node.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use univrs_model::field::FieldError;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::Assignment;
use univrs_model::name::Name;
use univrs_model::workload::{HostPort, Placement, Requests, Strategy, WorkloadSpec};

use crate::constraint::{Attribute, Constraint};
use crate::node::{Amounts, named};

/// An attribute over whose values a workload's instances are spread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpreadRule {
    pub(crate) attribute: Attribute,
    /// Whether a placement that makes the spread uneven by more than one is refused, not merely disliked.
    pub required: bool,
}

impl SpreadRule {
    /// Reads `cloud` (preferred) or `cloud!` (required).
    ///
    /// # Errors
    /// When the attribute is not known.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let (name, required) = text.strip_suffix('!').map_or((text, false), |name| (name, true));
        let attribute = Attribute::parse(name.trim()).map_err(|(detail, hint)| {
            let fault = FieldError::new("", detail);
            hint.map_or(fault.clone(), |hint| fault.hint(hint))
        })?;
        Ok(Self { attribute, required })
    }
}

/// What requests have in common that are scored alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// Whose workloads the names below are; absent when there are none, so that organisations share classes.
    pub(crate) org: Option<Name>,
    pub(crate) amounts: Amounts,
    pub(crate) ports: Vec<HostPort>,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) spread: Vec<SpreadRule>,
    pub(crate) affinity: Vec<Name>,
    /// Other workloads that may not be on the node.
    pub(crate) anti_affinity: Vec<Name>,
    /// Whether the workload's own instances may not be on the node.
    pub(crate) alone: bool,
    /// Whether nodes are to be filled, not levelled.
    pub(crate) binpack: bool,
}

/// An instance that wants a node. Cheap to clone; make one per workload revision and change [`Request::id`].
#[derive(Clone, Debug)]
pub struct Request {
    /// Which instance.
    pub id: InstanceId,
    /// Its organisation.
    pub org: Name,
    /// Its workload.
    pub workload: Name,
    /// 0 (first to yield) to 100.
    pub priority: u8,
    /// The only node it may go to, as for a daemon.
    pub pinned: Option<NodeId>,
    pub(crate) shape: Arc<Shape>,
    pub(crate) hash: u64,
}

impl Request {
    /// The request of an assignment of a workload. An assignment that has its node already is pinned to it.
    ///
    /// # Errors
    /// When a placement rule cannot be understood, which [`check_placement`] finds beforehand.
    pub fn new(assignment: &Assignment, spec: &WorkloadSpec) -> Result<Self, FieldError> {
        let shape = shape(&assignment.org, &assignment.workload, &assignment.requests, &spec.placement)?;
        Ok(Self {
            id: assignment.id.clone(),
            org: assignment.org.clone(),
            workload: assignment.workload.clone(),
            priority: spec.priority,
            pinned: assignment.node.clone(),
            hash: rustc_hash::FxBuildHasher.hash_one(&shape),
            shape: Arc::new(shape),
        })
    }

    /// The same request of another instance of the workload.
    #[must_use]
    pub fn for_instance(&self, id: InstanceId) -> Self {
        Self { id, ..self.clone() }
    }
}

fn shape(org: &Name, own: &Name, requests: &Requests, placement: &Placement) -> Result<Shape, FieldError> {
    let faults = check_placement(placement);
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault);
    }
    let names = |list: &[String]| -> Vec<Name> {
        let mut names: Vec<Name> = list.iter().filter_map(|name| named(name, own)).collect();
        names.sort();
        names.dedup();
        names
    };
    let anti: Vec<Name> = names(&placement.anti_affinity);
    let mut ports = requests.host_ports.clone();
    ports.sort();
    ports.dedup();
    Ok(Shape {
        org: (!placement.affinity.is_empty() || !placement.anti_affinity.is_empty()).then(|| org.clone()),
        amounts: Amounts::of(requests),
        ports,
        constraints: placement.constraints.iter().filter_map(|text| Constraint::parse(text).ok()).collect(),
        spread: placement.spread.iter().filter_map(|text| SpreadRule::parse(text).ok()).collect(),
        affinity: names(&placement.affinity),
        alone: anti.contains(own),
        anti_affinity: anti.into_iter().filter(|name| name != own).collect(),
        binpack: placement.strategy == Strategy::Binpack,
    })
}

/// Every fault of a workload's placement rules; empty when they are understood.
pub fn check_placement(placement: &Placement) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut at = |field: &str, index: usize, fault: FieldError| {
        faults.push(FieldError { field: format!("placement.{field}[{index}]"), ..fault });
    };
    for (index, text) in placement.constraints.iter().enumerate() {
        if let Err(fault) = Constraint::parse(text) {
            at("constraints", index, fault);
        }
    }
    for (index, text) in placement.spread.iter().enumerate() {
        if let Err(fault) = SpreadRule::parse(text) {
            at("spread", index, fault);
        }
    }
    for (field, names) in [("affinity", &placement.affinity), ("anti_affinity", &placement.anti_affinity)] {
        for (index, name) in names.iter().enumerate() {
            if name != "self"
                && let Err(fault) = name.parse::<Name>()
            {
                at(field, index, FieldError::new("", fault.to_string()).hint("name a workload, or `self`"));
            }
        }
    }
    faults
}
