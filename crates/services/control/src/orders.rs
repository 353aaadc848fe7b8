//! What nodes are to do, and how it differs from one picture of the state to the next.

use std::collections::BTreeSet;

use imbl::ordmap::DiffItem;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, InstanceOrder};
use univrs_ports::control_plane::OrderChanges;

use crate::state::State;

impl State {
    /// The orders of a node that may differ from those of an earlier picture; without one, all. Looks only at what was
    /// written between, since most of what is written has nothing to do with orders, and a node may have thousands.
    pub(crate) fn orders_since(&self, earlier: Option<&Self>, node: &NodeId) -> OrderChanges {
        let mut ids: BTreeSet<&InstanceId> = BTreeSet::new();
        match earlier {
            Some(earlier) if self.secrets.ptr_eq(&earlier.secrets) => {
                let here = |assignment: &Assignment| assignment.node.as_ref() == Some(node);
                ids.extend(earlier.assignments.diff(&self.assignments).filter_map(|change| match change {
                    DiffItem::Add(id, now) => here(now).then_some(id),
                    DiffItem::Update { old: (_, before), new: (id, now) } => {
                        (here(before) || here(now)).then_some(id)
                    }
                    DiffItem::Remove(id, before) => here(before).then_some(id),
                }));
                for change in earlier.rollouts.diff(&self.rollouts) {
                    let (DiffItem::Add(key, _)
                    | DiffItem::Update { new: (key, _), .. }
                    | DiffItem::Remove(key, _)) = change;
                    let instances = self.ids_of(key);
                    ids.extend(instances.filter(|id| self.assignments.get(*id).is_some_and(|one| here(one))));
                }
            }
            // A secret is rare news, and of many workloads.
            earlier => {
                ids.extend(self.ids_on(node));
                ids.extend(earlier.into_iter().flat_map(|earlier| earlier.ids_on(node)));
            }
        }
        ids.into_iter().map(|id| (id.clone(), self.order(node, id))).collect()
    }

    /// What a node has to do about an instance: its assignment with the spec of its revision.
    fn order(&self, node: &NodeId, id: &InstanceId) -> Option<InstanceOrder> {
        let assignment = self.assignments.get(id)?;
        if assignment.node.as_ref() != Some(node) || assignment.lost {
            return None;
        }
        let spec = self.spec_of(assignment)?;
        let secrets = self.secrets_of(assignment, &spec);
        Some(InstanceOrder { assignment: Assignment::clone(assignment), spec, secrets })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use univrs_model::ids::{DataKeyId, SecretId, WorkloadId};
    use univrs_model::keys;
    use univrs_model::name::Name;
    use univrs_ports::store::{Key, Revision, StoredValue};

    use super::*;
    use crate::state::Touched;

    #[derive(Clone, Debug)]
    enum Write {
        Assign { id: u128, node: Option<u128>, workload: usize, revision: u64, lost: bool },
        Unassign { id: u128 },
        Rollout { workload: usize, revisions: u64 },
        Forget { workload: usize },
        Secret { version: u64 },
        Other,
    }

    fn writes() -> impl Strategy<Value = Write> {
        let node = prop::option::of(0_u128..2);
        prop_oneof![
            4 => (0_u128..4, node, 0_usize..2, 1_u64..3, any::<bool>()).prop_map(|(id, node, workload, revision, lost)| {
                Write::Assign { id, node, workload, revision, lost: lost && id == 0 }
            }),
            1 => (0_u128..4).prop_map(|id| Write::Unassign { id }),
            2 => (0_usize..2, 0_u64..3).prop_map(|(workload, revisions)| Write::Rollout { workload, revisions }),
            1 => (0_usize..2).prop_map(|workload| Write::Forget { workload }),
            1 => (1_u64..3).prop_map(|version| Write::Secret { version }),
            1 => Just(Write::Other),
        ]
    }

    /// A key and the value that is written there, or that it is removed.
    fn written(write: &Write) -> (String, Option<Value>) {
        let (org, at): (Name, _) = ("default".parse().unwrap(), "2026-01-01T00:00:00Z");
        let workload = |number: usize| -> Name { ["web", "db"][number].parse().unwrap() };
        match *write {
            Write::Assign { id, node, workload: number, revision, lost } => {
                let id = InstanceId::from_bits(id);
                let value = json!({"id": id, "org": org, "workload_id": WorkloadId::from_bits(1),
                    "workload": workload(number), "workload_revision": revision, "slot": 0,
                    "requests": {"cpu": "1", "memory": "1", "disk": "0"}, "node": node.map(NodeId::from_bits),
                    "desired": "run", "fence": 1, "created_at": at, "lost": lost});
                (keys::instance(&org, &id), Some(value))
            }
            Write::Unassign { id } => (keys::instance(&org, &InstanceId::from_bits(id)), None),
            Write::Rollout { workload: number, revisions } => {
                let name = workload(number);
                let kept = (1..=revisions).map(|number| {
                    json!({"number": number, "created_at": at, "proven": true, "spec": {"name": name,
                        "image": "a", "replicas": number, "secrets": [{"name": "password", "env": "P"}]}})
                });
                let value = json!({"generation": 1, "revisions": kept.collect::<Vec<_>>(), "last_revision": 2,
                    "target": 1, "status": "running", "started_at": at, "progressed_at": at});
                (keys::rollout(&org, &name), Some(value))
            }
            Write::Forget { workload: number } => (keys::rollout(&org, &workload(number)), None),
            Write::Secret { version } => {
                let name: Name = "password".parse().unwrap();
                let value = json!({"id": SecretId::from_bits(1), "org": org, "name": name, "created_at": at,
                    "versions": [{"version": version, "created_at": at, "key": DataKeyId::from_bits(1), "sealed": ""}]});
                (keys::secret(&org, &name), Some(value))
            }
            Write::Other => ("cluster".to_owned(), None),
        }
    }

    fn take_in(state: &mut State, revision: u64, write: &Write) {
        let (key, value) = written(write);
        let (key, touched) = (Key::new(key).unwrap(), &mut Touched::default());
        let revision = Revision(revision);
        match value {
            Some(value) => {
                let stored = StoredValue {
                    value: value.to_string().into_bytes().into(),
                    create_revision: revision,
                    mod_revision: revision,
                    version: 1,
                    lease: None,
                };
                state.put(&key, &stored, touched);
            }
            None => state.delete(&key, touched),
        }
    }

    fn whole(state: &State, node: &NodeId) -> BTreeMap<InstanceId, InstanceOrder> {
        let all = state.orders_since(None, node).into_iter();
        all.filter_map(|(id, order)| Some((id, order?))).collect()
    }

    #[test]
    fn an_order_is_made_of_what_was_written() {
        let (mut state, node) = (State::default(), NodeId::from_bits(1));
        let assign = |lost| Write::Assign { id: 2, node: Some(1), workload: 0, revision: 1, lost };
        for (at, write) in
            [Write::Rollout { workload: 0, revisions: 1 }, assign(false), Write::Secret { version: 1 }]
                .iter()
                .enumerate()
        {
            take_in(&mut state, at as u64, write);
        }
        let orders = whole(&state, &node);
        let (id, order) = orders.first_key_value().unwrap();
        assert_eq!((id, order.spec.name.as_str()), (&InstanceId::from_bits(2), "web"));
        assert_eq!(order.secrets.len(), 1);
        assert!(whole(&state, &NodeId::from_bits(0)).is_empty());
        take_in(&mut state, 3, &assign(true));
        assert!(whole(&state, &node).is_empty());
    }

    proptest! {
        /// Whoever took in every change knows what one does who asks for everything, and is told of nothing else.
        #[test]
        fn changes_add_up_to_the_whole(steps in prop::collection::vec(prop::collection::vec(writes(), 0..4), 1..20)) {
            let node = NodeId::from_bits(1);
            let (mut state, mut known) = (State::default(), BTreeMap::new());
            for (revision, step) in steps.iter().enumerate() {
                let earlier = state.clone();
                step.iter().for_each(|write| take_in(&mut state, revision as u64 + 1, write));
                for (id, order) in state.orders_since(Some(&earlier), &node) {
                    let here = |state: &State| state.ids_on(&node).any(|one| *one == id);
                    prop_assert!(here(&state) || here(&earlier));
                    match order {
                        Some(order) => drop(known.insert(id, order)),
                        None => drop(known.remove(&id)),
                    }
                }
                prop_assert_eq!(&known, &whole(&state, &node));
                if step.iter().all(|write| matches!(write, Write::Other)) {
                    prop_assert!(state.orders_since(Some(&earlier), &node).is_empty());
                }
            }
        }
    }
}
