//! "Why here, why not there": the scheduler asked again about each instance, without moving anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, Phase};
use univrs_schedule::Request;

use crate::error::Error;
use crate::handle::Control;
use crate::placement::Placement;
use crate::workloads::find;

/// Why a workload's instances are where they are, or nowhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explanation {
    /// Name of the workload.
    pub workload: String,
    /// How it stands and what it waits for, in a sentence; empty when all is well.
    pub message: String,
    /// One entry per instance that has not ended.
    pub instances: Vec<InstanceExplanation>,
    /// Where one more instance would go.
    pub next: NodesExplanation,
}

/// Why one instance is where it is, or nowhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InstanceExplanation {
    /// Its id.
    pub id: InstanceId,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its node, if it has one.
    pub node: Option<NodeId>,
    /// What was decided about it last, and why.
    pub reason: String,
}

/// How the nodes stand towards a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodesExplanation {
    /// How many nodes there are.
    pub nodes: u32,
    /// How many of them could take it.
    pub feasible: u32,
    /// How many fail each filter first.
    pub filtered: BTreeMap<String, u32>,
    /// How many nodes each constraint excludes.
    pub constraints: BTreeMap<String, u32>,
    /// What runs out on most nodes, if anything does.
    pub exhausted: Option<String>,
    /// The best of those that can, best first, with what speaks for them (1 is most).
    pub best: Vec<ScoredNode>,
    /// The whole in a sentence.
    pub summary: String,
}

/// A node that could take a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScoredNode {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// What speaks for it, by term.
    pub scores: BTreeMap<String, f64>,
    /// The sum.
    pub total: f64,
}

impl Control {
    /// Why a workload's instances are where they are, or nowhere.
    ///
    /// # Errors
    /// When there is no such workload, or the caller may not read it.
    pub fn explain_workload(&self, caller: &Caller, wanted: &str) -> Result<Explanation, Error> {
        self.allow(caller, Action::WorkloadRead, &format!("workload/{wanted}"))?;
        let state = self.mirror.state();
        let (key, record) = find(&state, caller, wanted)?;
        let instances = state
            .instances_of(&key)
            .into_iter()
            .filter(|instance| !instance.phase().is_terminal())
            .map(|instance| InstanceExplanation {
                phase: instance.phase(),
                id: instance.assignment.id.clone(),
                node: instance.assignment.node.clone(),
                reason: match instance.observation {
                    Some(seen) if !seen.message.is_empty() => seen.message,
                    _ => instance.assignment.reason,
                },
            })
            .collect();
        let now = self.clock.now();
        let probe = Assignment {
            id: InstanceId::from_bits(0),
            org: key.org.clone(),
            workload_id: record.id.clone(),
            workload: key.name.clone(),
            workload_revision: 0,
            slot: 0,
            requests: record.spec.requests(),
            node: None,
            desired: univrs_model::instance::Desired::Run,
            fence: 0,
            created_at: now,
            stop_requested_at: None,
            reason: String::new(),
            lost: false,
        };
        let mut request = Request::new(&probe, &record.spec).map_err(Error::field)?;
        if let Ok(Some(home)) = state.home_of(&probe, &record.spec) {
            request.pinned = Some(home);
        }
        let answer = Placement::of(&state, now).scheduler().explain(&request);
        let term = |score: i64| score as f64 / 1e6;
        let best: Vec<ScoredNode> = answer
            .best
            .iter()
            .map(|scored| ScoredNode {
                node: scored.node.clone(),
                name: scored.name.to_string(),
                scores: [
                    ("fit", scored.scores.fit),
                    ("affinity", scored.scores.affinity),
                    ("spread", scored.scores.spread),
                    ("siblings", scored.scores.siblings),
                ]
                .into_iter()
                .map(|(name, score)| (name.to_owned(), term(score)))
                .collect(),
                total: term(scored.scores.total()),
            })
            .collect();
        let summary = match best.first() {
            Some(first) => {
                format!("{} of {} nodes fit; {} is best", answer.feasible, answer.nodes, first.name)
            }
            None => answer.refused.to_string(),
        };
        Ok(Explanation {
            workload: key.name.to_string(),
            message: state.rollouts.get(&key).map_or_else(String::new, |rollout| rollout.message.clone()),
            instances,
            next: NodesExplanation {
                nodes: answer.nodes,
                feasible: answer.feasible,
                filtered: answer
                    .refused
                    .failed
                    .iter()
                    .map(|(filter, count)| (filter.to_string(), *count))
                    .collect(),
                constraints: answer.refused.constraints.clone(),
                exhausted: answer.refused.exhausted.map(|filter| filter.to_string()),
                best,
                summary,
            },
        })
    }
}
