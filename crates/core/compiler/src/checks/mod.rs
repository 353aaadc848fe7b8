//! What a topology claims, against its own objectives, physics, the providers' rules and prices.

mod headroom;
mod latency;
mod loss;
mod names;
mod overlap;
mod prices;
mod quorum;
mod recovery;
mod usage;

use univrs_cost::PriceBook;
use univrs_cost::estimate::Estimate;
use univrs_topology::codes::Code;
use univrs_topology::finding::Findings;
use univrs_topology::plan::Plan;
use univrs_topology::topology::Topology;

use crate::items::Bill;
use crate::voters::Ballot;
use crate::{Market, Options};

/// Whether a finding of this code says that an objective is not met.
pub(crate) const fn is_objective(code: Code) -> bool {
    matches!(
        code,
        Code::QuorumLost
            | Code::RoundTrip
            | Code::RtoAvailability
            | Code::RtoUnreachable
            | Code::DnsCutover
            | Code::RpoUnreachable
            | Code::Headroom
            | Code::OverBudget
    )
}

/// Checks that need no addresses. Gives back who votes.
pub(crate) fn of_topology(topology: &Topology, book: &PriceBook, findings: &mut Findings) -> Option<Ballot> {
    let ballot = quorum::check(topology, findings);
    latency::check(topology, book, findings);
    headroom::check(topology, findings);
    recovery::check(topology, findings);
    // A quorum that does not survive has been told; that the state goes with it follows.
    let survives = !findings.has(Code::QuorumLost, quorum::PATH);
    loss::check(topology, book, ballot.as_ref().filter(|_| survives), findings);
    ballot
}

/// Checks of the plan.
pub(crate) fn of_plan(
    topology: &Topology,
    plan: &Plan,
    market: &Market<'_>,
    options: &Options<'_>,
    findings: &mut Findings,
) {
    names::check(topology, plan, findings);
    overlap::check(topology, plan, market, options.with, findings);
    usage::check_egress(plan, findings);
}

/// Checks of what it costs.
pub(crate) fn of_prices(
    plan: &Plan,
    bill: &Bill,
    estimate: &Estimate,
    book: &PriceBook,
    findings: &mut Findings,
) {
    prices::check(plan, bill, estimate, book, findings);
    usage::check_undeclared(bill, estimate, findings);
}
