//! What is wrong and what mends it: the picture of the state as the diagnosis wants it.

use univrs_authz::Action;
use univrs_diagnose::{Placement, Problem, Snapshot, WorkloadFacts};
use univrs_model::caller::Caller;
use univrs_model::instance::Phase;
use univrs_model::workload::WorkloadKind;

use crate::error::Error;
use crate::handle::Control;
use crate::state::WorkloadKey;

impl Control {
    /// What is wrong with the cluster and the workloads of the caller's organisation, the worst first; with
    /// `workload`, only what is said of it.
    ///
    /// # Errors
    /// When the caller may not read workloads and nodes, or the workload does not exist.
    pub fn problems(&self, caller: &Caller, workload: Option<&str>) -> Result<(Vec<Problem>, u64), Error> {
        self.allow(caller, Action::InstanceRead, "instance")?;
        let only =
            workload.map(|wanted| self.get_workload(caller, wanted)).transpose()?.map(|view| view.name);
        let (views, _) = self.list_workloads(caller)?;
        let (nodes, _) = self.list_nodes(caller)?;
        let state = self.mirror.state();
        let now = self.clock.now();
        let mut workloads = Vec::with_capacity(views.len());
        for view in views {
            // What depends on others is judged by them, so all are in the picture.
            let key = WorkloadKey { org: view.org.clone(), name: view.name.clone() };
            let mut instances = state.instances_of(&key);
            instances.sort_by_key(|instance| std::cmp::Reverse(instance.assignment.created_at));
            let instances: Vec<_> =
                instances.iter().map(|instance| crate::view::instance(&state, instance)).collect();
            let nowhere = view.spec.kind == WorkloadKind::Daemon && view.instances == 0;
            let waits = nowhere || instances.iter().any(|instance| instance.phase == Phase::Pending);
            let placement =
                if waits { self.placement(caller, view.name.as_str()) } else { Placement::default() };
            let progressed_at = state.rollouts.get(&key).map(|rollout| rollout.progressed_at);
            let schedule = view.spec.schedule.as_ref();
            let next_runs =
                schedule.map(|schedule| univrs_rollout::next_runs(schedule, now, 2)).unwrap_or_default();
            workloads.push(WorkloadFacts { view, instances, placement, progressed_at, next_runs });
        }
        let own = state.secrets.keys().filter(|secret| secret.org == caller.org);
        let secrets = Some(own.map(|secret| secret.name.clone()).collect());
        let mut problems = univrs_diagnose::find(&Snapshot { now, nodes, workloads, secrets });
        let (certificates, _) = self.list_certificates(caller)?;
        problems.extend(univrs_diagnose::certificate_problems(&certificates));
        problems.extend(univrs_diagnose::token_problems(&self.expired_in_use(caller)));
        if let Some(quota) = state.quotas.get(&caller.org) {
            let (count, used) = crate::resources::used(&state, &caller.org, None);
            problems.extend(univrs_diagnose::quota_problem(&caller.org, quota, count, &used));
        }
        univrs_diagnose::sort(&mut problems);
        if let Some(name) = only {
            let subject = format!("workload/{name}");
            problems.retain(|problem| problem.subject == subject);
        }
        Ok((problems, state.revision.0))
    }

    /// How the nodes stand towards one more instance; as if there were none when that cannot be said.
    fn placement(&self, caller: &Caller, workload: &str) -> Placement {
        let Ok(explained) = self.explain_workload(caller, workload) else { return Placement::default() };
        let next = explained.next;
        Placement {
            nodes: next.nodes,
            feasible: next.feasible,
            filtered: next.filtered,
            constraints: next.constraints,
        }
    }
}
