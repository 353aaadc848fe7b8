//! What faces do with nodes and the cluster as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::decode::nearest;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::{ClusterId, matches_prefix};
use univrs_model::instance::InstanceView;
use univrs_model::keys;
use univrs_model::member::Member;
use univrs_model::node::{Capacity, Node, NodePolicy, NodeState, NodeView, StatePart};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_ports::store::{Consistency, MemberId, Revision, Role, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, check_revision};
use crate::record::{Record, key, put, unchanged};
use crate::state::State;
use crate::view;

/// The cluster's identity, written once at bootstrap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Its id.
    pub id: ClusterId,
    /// When it was made.
    pub created_at: univrs_model::Timestamp,
}

/// The cluster as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClusterView {
    /// Its id.
    pub id: Option<ClusterId>,
    /// `healthy` when every node is ready and no workload is failed or degraded.
    pub health: ClusterHealth,
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
    /// Its machines.
    pub members: Vec<NodeView>,
    /// The member that leads the replication of the state, if one is known: its name, or its address.
    pub leader: Option<String>,
    /// The members that vote: their names, or their addresses.
    pub voters: Vec<String>,
    /// How many members run each version of the program.
    pub versions: BTreeMap<String, u32>,
    /// What all ready members have to give.
    pub capacity: Capacity,
    /// What instances have asked for.
    pub requested: Capacity,
    /// How many workloads there are in the caller's organisation.
    pub workloads: u32,
    /// How many instances are not ended, over all organisations.
    pub instances: u32,
    /// The other nodes as the node that answers sees them.
    #[serde(default)]
    pub peers: Vec<univrs_model::peer::PeerStatus>,
    /// The revision of this picture.
    pub revision: u64,
}

/// Whether anyone needs to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClusterHealth {
    /// All is as wanted.
    Healthy,
    /// Something is not as wanted.
    Degraded,
}

impl Control {
    /// The nodes, by name.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_nodes(&self, caller: &Caller) -> Result<(Vec<NodeView>, Revision), Error> {
        self.allow(caller, Action::NodeRead, "node")?;
        let state = self.mirror.state();
        let mut views: Vec<NodeView> =
            state.nodes.values().map(|record| view::node(&state, record)).collect();
        views.sort_by(|a, b| a.node.name.cmp(&b.node.name).then_with(|| a.node.id.cmp(&b.node.id)));
        Ok((views, state.revision))
    }

    /// One node, by name, id or unique prefix of its id.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn get_node(&self, caller: &Caller, wanted: &str) -> Result<NodeView, Error> {
        self.allow(caller, Action::NodeRead, &format!("node/{wanted}"))?;
        let state = self.mirror.state();
        Ok(view::node(&state, &find_node(&state, wanted)?))
    }

    /// The instances on a node that belong to the caller's organisation.
    ///
    /// # Errors
    /// As [`Control::get_node`].
    pub fn node_instances(&self, caller: &Caller, wanted: &str) -> Result<Vec<InstanceView>, Error> {
        self.allow(caller, Action::InstanceRead, &format!("node/{wanted}"))?;
        let state = self.mirror.state();
        let node = find_node(&state, wanted)?;
        Ok(state
            .assignments_on(&node.id)
            .filter(|assignment| assignment.org == caller.org)
            .filter_map(|assignment| state.instance(&assignment.id))
            .map(|instance| view::instance(&state, &instance))
            .collect())
    }

    /// Changes what users say about a node: `change` gets the present policy and answers the new one.
    ///
    /// # Errors
    /// When the node does not exist, or the caller may not, or read an older revision.
    pub async fn change_node(
        &self,
        caller: &Caller,
        wanted: &str,
        change: impl Fn(NodePolicy) -> NodePolicy + Send,
    ) -> Result<NodeView, Error> {
        let allowed_by = self.allow(caller, Action::NodeWrite, &format!("node/{wanted}"))?;
        let state = self.mirror.state();
        let node = find_node(&state, wanted)?;
        let before = state.node_policies.get(&node.id);
        let revision = Revision(view::node(&state, &node).revision);
        check_revision("node", wanted, self.conditions.if_revision, revision)?;
        let old = before.map(|record| NodePolicy::clone(record)).unwrap_or_default();
        let new = change(old.clone());
        if new == old {
            return Ok(view::node(&state, &node));
        }
        let now = self.clock.now();
        let new = NodePolicy { updated_at: Some(now), ..new };
        let (kind, message) = match (old.cordoned || old.draining, new.cordoned, new.draining) {
            (_, _, true) => (EventKind::NodeCordoned, format!("node {} is being drained", node.name)),
            (false, true, _) => {
                (EventKind::NodeCordoned, format!("node {} takes no new instances", node.name))
            }
            (true, false, false) => {
                (EventKind::NodeUncordoned, format!("node {} takes new instances again", node.name))
            }
            _ => (EventKind::NodeUncordoned, format!("labels of node {} were changed", node.name)),
        };
        let at = keys::node_policy(&node.id);
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::NodeWrite,
                object: format!("node/{}", node.name),
                summary: message.clone(),
                guards: vec![unchanged(at.clone(), before.map(|record| record.revision))?],
                ops: vec![put(at, &new)?],
                event: Some(Event {
                    at: now,
                    kind,
                    severity: Severity::Info,
                    workload: None,
                    instance: None,
                    node: Some(node.id.clone()),
                    message,
                }),
            })
            .await?;
        let TxnOutcome::Committed { revision } = outcome else {
            return Err(Error::Contended { kind: "node", name: wanted.to_owned() });
        };
        let state = self.mirror.at_least(revision).await;
        Ok(view::node(&state, &find_node(&state, wanted)?))
    }

    /// Forgets a node that is lost and holds nothing, or a machine that joined and never became one.
    ///
    /// # Errors
    /// When it is alive or still holds instances, or the caller may not.
    pub async fn remove_node(&self, caller: &Caller, wanted: &str) -> Result<(), Error> {
        let allowed_by = self.allow(caller, Action::NodeWrite, &format!("node/{wanted}"))?;
        let state = self.mirror.state();
        let node = match find_node(&state, wanted) {
            Err(Error::NotFound { .. }) if never_seen(&state, wanted).is_some() => {
                return self.forget_member(caller, allowed_by, &state, wanted).await;
            }
            found => found?,
        };
        let revision = Revision(view::node(&state, &node).revision);
        check_revision("node", wanted, self.conditions.if_revision, revision)?;
        let refuse = |reason: &str, hint: &str| Error::Conflict {
            what: format!("node `{}` cannot be removed", node.name),
            reason: reason.to_owned(),
            hint: Some(hint.to_owned()),
        };
        if state.nodes_alive.contains(&node.id) {
            return Err(refuse("it is alive", "stop its daemon first: `univrs down` on that machine"));
        }
        if state.assignments_on(&node.id).any(|assignment| !assignment.lost) {
            return Err(refuse("it still holds instances", "wait until they are replaced elsewhere"));
        }
        let at = keys::node(&node.id);
        let policy = keys::node_policy(&node.id);
        let mut guards = vec![unchanged(at.clone(), Some(node.revision))?];
        let mut ops = vec![crate::record::delete(at)?, crate::record::delete(policy)?];
        if let Some(member) = state.members.get(&node.id) {
            let removed = Member { removed_at: Some(self.clock.now()), ..Member::clone(member) };
            guards.push(unchanged(keys::member(&node.id), Some(member.revision))?);
            ops.push(put(keys::member(&node.id), &removed)?);
            ops.push(crate::record::delete(keys::validator_key(&node.id))?);
        }
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::NodeWrite,
                object: format!("node/{}", node.name),
                summary: format!("removed node {}", node.name),
                guards,
                ops,
                event: Some(Event {
                    at: self.clock.now(),
                    kind: EventKind::NodeRemoved,
                    severity: Severity::Info,
                    workload: None,
                    instance: None,
                    node: Some(node.id.clone()),
                    message: format!("node {} was removed", node.name),
                }),
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { .. } => Ok(()),
            TxnOutcome::GuardFailed { .. } => Err(Error::Contended { kind: "node", name: wanted.to_owned() }),
        }
    }

    async fn forget_member(
        &self,
        caller: &Caller,
        allowed_by: String,
        state: &State,
        wanted: &str,
    ) -> Result<(), Error> {
        let gone = || Error::Contended { kind: "node", name: wanted.to_owned() };
        let member = never_seen(state, wanted).ok_or_else(gone)?;
        let removed = Member { removed_at: Some(self.clock.now()), ..Member::clone(member) };
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::NodeWrite,
            object: format!("node/{}", member.name),
            summary: format!("removed member {}, which never became a node", member.name),
            guards: vec![
                unchanged(keys::member(&member.node), Some(member.revision))?,
                unchanged(keys::node(&member.node), None)?,
            ],
            ops: vec![
                put(keys::member(&member.node), &removed)?,
                crate::record::delete(keys::validator_key(&member.node))?,
            ],
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { .. } => Ok(()),
            TxnOutcome::GuardFailed { .. } => Err(gone()),
        }
    }

    /// The cluster as a whole.
    ///
    /// # Errors
    /// When the caller may not read it.
    pub async fn cluster(&self, caller: &Caller) -> Result<ClusterView, Error> {
        self.allow(caller, Action::ClusterRead, "cluster")?;
        let stored = self.store.get(&key(keys::CLUSTER.to_owned())?, Consistency::LOCAL).await?;
        let record =
            stored.map(|stored| Record::<ClusterRecord>::decode(keys::CLUSTER, &stored)).transpose()?;
        let (members, revision) = self.list_nodes(caller)?;
        let members = self.with_state_parts(members).await;
        let (workloads, _) = self.list_workloads(caller)?;
        let state = self.mirror.state();
        let mut problems = Vec::new();
        for member in members.iter().filter(|member| member.state == NodeState::Lost) {
            problems.push(format!("node {} is lost", member.node.name));
        }
        for workload in &workloads {
            use univrs_model::rollout::WorkloadStatus as Status;
            if matches!(workload.status, Status::Degraded | Status::Failed | Status::Reverted) {
                problems.push(
                    format!("workload {} is {:?}: {}", workload.name, workload.status, workload.message)
                        .to_lowercase(),
                );
            }
        }
        let ready = || members.iter().filter(|member| member.state == NodeState::Ready);
        let mut versions = BTreeMap::new();
        for member in &members {
            *versions.entry(member.node.version.clone()).or_insert(0) += 1;
        }
        let (leader, voters) = self.deciders(&state).await?;
        Ok(ClusterView {
            id: record.map(|record| record.id.clone()),
            health: if problems.is_empty() { ClusterHealth::Healthy } else { ClusterHealth::Degraded },
            problems,
            leader,
            voters,
            versions,
            capacity: sum(ready().map(|member| member.node.capacity)),
            requested: sum(ready().map(|member| member.requested)),
            workloads: u32::try_from(workloads.len()).unwrap_or(u32::MAX),
            instances: members.iter().map(|member| member.instances).sum(),
            members,
            peers: Vec::new(),
            revision: revision.0.max(state.revision.0),
        })
    }
}

impl Control {
    /// Fills in what each node does for the replicated state, as far as this node knows.
    pub async fn with_state_parts(&self, mut nodes: Vec<NodeView>) -> Vec<NodeView> {
        let Some(admin) = &self.admin else { return nodes };
        let Ok(status) = admin.admin.status().await else { return nodes };
        let state = self.mirror.state();
        for view in &mut nodes {
            let id = state.members.get(&view.node.id).and_then(|member| member.member).map(MemberId);
            let known = status.members.iter().find(|member| Some(member.id) == id);
            view.state_part = known.map(|member| match member.role {
                _ if status.leader == Some(member.id) => StatePart::Leader,
                Role::Voter => StatePart::Voter,
                Role::Learner => StatePart::Follower,
            });
        }
        nodes
    }

    /// Who leads and who votes, as the store says.
    async fn deciders(&self, state: &State) -> Result<(Option<String>, Vec<String>), Error> {
        let Some(admin) = &self.admin else { return Ok((None, Vec::new())) };
        let status = admin.admin.status().await?;
        let name = |id: MemberId| {
            let member = state.members.values().find(|member| member.member == Some(id.0));
            let node = member.and_then(|member| state.nodes.get(&member.node));
            match (node, member) {
                (Some(node), _) => node.name.to_string(),
                (None, Some(member)) => member.name.to_string(),
                (None, None) => id.to_string(),
            }
        };
        let voters = status.members.iter().filter(|member| member.role == Role::Voter);
        Ok((status.leader.map(name), voters.map(|member| name(member.id)).collect()))
    }
}

fn sum(parts: impl Iterator<Item = Capacity>) -> Capacity {
    parts.fold(Capacity::default(), |sum, part| Capacity {
        cpu: Cpu::millicores(sum.cpu.as_millicores() + part.cpu.as_millicores()),
        memory: Bytes::new(sum.memory.get() + part.memory.get()),
        disk: Bytes::new(sum.disk.get() + part.disk.get()),
    })
}

/// A member that has joined and was never heard of as a node: its name and block are taken all the same.
fn never_seen<'a>(state: &'a State, wanted: &str) -> Option<&'a Record<Member>> {
    let mut members = state.members.values().filter(|member| member.removed_at.is_none());
    members.find(|member| {
        !state.nodes.contains_key(&member.node)
            && (member.name.as_str() == wanted || member.node.as_str() == wanted)
    })
}

pub(crate) fn find_node(state: &State, wanted: &str) -> Result<Record<Node>, Error> {
    let named: Vec<&Record<Node>> = state
        .nodes
        .values()
        .filter(|node| node.name.as_str() == wanted || matches_prefix(node.id.as_str(), wanted))
        .collect();
    match named.as_slice() {
        [node] => Ok((*node).clone()),
        [] => Err(Error::NotFound {
            kind: "node",
            name: wanted.to_owned(),
            near: nearest(wanted, state.nodes.values().map(|node| node.name.as_str())).map(str::to_owned),
        }),
        several => Err(Error::Ambiguous {
            kind: "node",
            name: wanted.to_owned(),
            candidates: several.iter().map(|node| node.id.to_string()).collect::<Vec<_>>().join(", "),
        }),
    }
}
