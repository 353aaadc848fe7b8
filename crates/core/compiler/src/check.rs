//! Everything that is found about a topology, with what was made on the way.

use univrs_cost::Item;
use univrs_cost::estimate::{Estimate, Options as CostOptions, estimate};
use univrs_topology::allow::{accept, unused};
use univrs_topology::finding::{Finding, Findings, Report};
use univrs_topology::plan::Plan;
use univrs_topology::topology::Topology;
use univrs_topology::{Input, compile};

use crate::account::cost_options;
use crate::items::bill;
use crate::voters::Ballot;
use crate::{Market, Options, checks};

/// A checked topology.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Everything that was found: the answer of `topology check -o json`.
    pub report: Report,
    /// The topology; absent when its names could not be resolved.
    pub topology: Option<Topology>,
    /// The plan; absent when anything is an error.
    pub plan: Option<Plan>,
    /// Who votes; absent when nothing may vote.
    pub ballot: Option<Ballot>,
    /// What it costs; absent without a plan.
    pub priced: Option<Priced>,
}

/// What a topology costs, with what the estimate rests on.
#[derive(Clone, Debug)]
pub struct Priced {
    /// What costs.
    pub items: Vec<Item>,
    /// What the estimate depends on.
    pub options: CostOptions,
    /// What it costs.
    pub estimate: Estimate,
}

impl Checked {
    /// Whether the check failed: on errors, and when `strict` on warnings too.
    pub fn failed(&self, strict: bool) -> bool {
        !self.report.errors.is_empty() || (strict && !self.report.warnings.is_empty())
    }

    /// Warnings and errors that say that an objective is not met.
    pub fn missed(&self) -> impl Iterator<Item = &Finding> {
        let found = self.report.errors.iter().chain(&self.report.warnings);
        found.filter(|finding| checks::is_objective(finding.code))
    }
}

/// Checks a topology.
///
/// Errors do not stop it: what can still be checked is, so that all of them are known after one run.
pub fn check(input: &Input<'_>, options: &Options<'_>) -> Checked {
    let market = Market::new(options.book);
    let compiled = compile(input, &market);
    let mut more = Findings::default();
    let (mut ballot, mut priced) = (None, None);
    if let Some(topology) = &compiled.topology {
        ballot = checks::of_topology(topology, options.book, &mut more);
        if let Some(plan) = &compiled.plan {
            checks::of_plan(topology, plan, &market, options, &mut more);
            let bill = bill(topology, plan);
            let cost = cost_options(plan, options);
            let estimate = estimate(options.book, &bill.items, &cost);
            checks::of_prices(plan, &bill, &estimate, options.book, &mut more);
            priced = Some(Priced { items: bill.items, options: cost, estimate });
        }
    }
    let mut findings = compiled.findings;
    let mut more = more.located(&compiled.document);
    if let Some(topology) = &compiled.topology {
        let allow = &topology.spec.allow;
        accept(&mut more, allow);
        findings.append(&mut more);
        let mut idle = Findings::default();
        idle.extend(unused(&findings, allow));
        findings.extend(idle.located(&compiled.document));
    }
    let report = Report::from(findings);
    let good = report.errors.is_empty();
    let plan = compiled.plan.filter(|_| good);
    Checked { report, topology: compiled.topology, plan, ballot, priced: priced.filter(|_| good) }
}
