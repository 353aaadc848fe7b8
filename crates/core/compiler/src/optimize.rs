//! `topology optimize`: what would be cheaper, with what may go wrong.

use serde::Serialize;
use univrs_cost::optimize::{Outcome, ProposalKind, Rules, optimize as solve};
use univrs_cost::{Money, Ratio};
use univrs_topology::Input;
use univrs_topology::finding::{Finding, Report};
use univrs_topology::plan::Plan;

use crate::groups::problem;
use crate::{Options, check};

/// An optimised topology.
#[derive(Clone, Debug)]
pub struct Optimized {
    /// Everything that was found.
    pub report: Report,
    /// The plan as it is; absent when anything is an error.
    pub plan: Option<Plan>,
    /// What to do and what it saves; absent when anything is an error.
    pub outcome: Option<Outcome>,
    /// Objectives that are not met as it is; `--require` refuses them.
    pub missed: Vec<Finding>,
}

/// Finds what would be cheaper within `rules`.
pub fn optimize(input: &Input<'_>, options: &Options<'_>, rules: Rules) -> Optimized {
    let checked = check(input, options);
    let missed = checked.missed().cloned().collect();
    let parts = checked.topology.as_ref().zip(checked.plan.as_ref()).zip(checked.priced.as_ref());
    let outcome = parts.map(|((topology, plan), priced)| {
        let problem = problem(topology, plan, rules, options.book, &priced.options);
        solve(options.book, &problem, &priced.options)
    });
    Optimized { report: checked.report, plan: checked.plan, outcome, missed }
}

/// The answer of `topology optimize -o json`. Amounts are decimal strings for a month of 730 hours.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OptimizeDocument {
    /// The currency of all amounts.
    pub currency: String,
    /// What was looked at, as it is and on demand at list price: machines, objects whose amount is stated, and disks
    /// of machines that may move.
    pub list_monthly_cost: Money,
    /// The same as it is.
    pub monthly_cost: Money,
    /// The same as proposed.
    pub proposed_monthly_cost: Money,
    /// What is saved against everything as it is.
    pub monthly_saving: Money,
    /// What is saved against list prices, as a part of them.
    pub saving_against_list: Option<Ratio>,
    /// Whether nothing cheaper exists within the rules.
    pub exact: bool,
    /// What to change.
    pub proposals: Vec<ProposalDocument>,
    /// What was left as it is, and why.
    pub left_out: Vec<LeftOutDocument>,
}

/// One change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposalDocument {
    /// `region`, `together`, `right-size`, `commit`, `spot`, `on-demand` or `storage-tier`.
    pub kind: &'static str,
    /// Role and region, or service and region.
    pub group: String,
    /// From what.
    pub from: String,
    /// To what.
    pub to: String,
    /// What it saves in a month, after the proposals before it.
    pub monthly_saving: Money,
    /// What may go wrong.
    pub risk: String,
    /// The objectives it touches.
    pub objective: String,
}

/// What was left as it is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOutDocument {
    /// The group or objects.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Optimized {
    /// The document; absent when anything is an error.
    pub fn document(&self) -> Option<OptimizeDocument> {
        let outcome = self.outcome.as_ref()?;
        let proposals = outcome.proposals.iter().map(|proposal| ProposalDocument {
            kind: kind(proposal.kind),
            group: proposal.group.clone(),
            from: proposal.from.clone(),
            to: proposal.to.clone(),
            monthly_saving: proposal.saving,
            risk: proposal.risk.clone(),
            objective: proposal.objective.clone(),
        });
        let left_out = outcome
            .left_out
            .iter()
            .map(|left| LeftOutDocument { name: left.name.clone(), reason: left.reason.clone() });
        Some(OptimizeDocument {
            currency: outcome.before.currency().to_string(),
            list_monthly_cost: outcome.list,
            monthly_cost: outcome.before,
            proposed_monthly_cost: outcome.after,
            monthly_saving: outcome.saving(),
            saving_against_list: outcome.saving_against_list(),
            exact: outcome.exact,
            proposals: proposals.collect(),
            left_out: left_out.collect(),
        })
    }
}

fn kind(kind: ProposalKind) -> &'static str {
    match kind {
        ProposalKind::Region => "region",
        ProposalKind::Together => "together",
        ProposalKind::RightSize => "right-size",
        ProposalKind::Commit => "commit",
        ProposalKind::Spot => "spot",
        ProposalKind::OnDemand => "on-demand",
        ProposalKind::StorageTier => "storage-tier",
    }
}
