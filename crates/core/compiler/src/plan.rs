//! `topology plan`: everything that will exist.

use serde::Serialize;
use univrs_topology::Input;
use univrs_topology::finding::Report;
use univrs_topology::plan::Plan;

use crate::voters::Ballot;
use crate::{Options, check};

/// A planned topology.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Everything that was found.
    pub report: Report,
    /// The plan; absent when anything is an error.
    pub plan: Option<Plan>,
    /// Who votes; absent when nothing may vote.
    pub ballot: Option<Ballot>,
}

/// The answer of `topology plan -o json`: the plan, and who votes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PlanDocument<'a> {
    /// The plan: regions with CIDRs and subnets, tunnels, DNS records, resources by provider.
    #[serde(flatten)]
    pub plan: &'a Plan,
    /// Who votes.
    pub ballot: Option<&'a Ballot>,
}

impl Planned {
    /// The document; absent when anything is an error.
    pub fn document(&self) -> Option<PlanDocument<'_>> {
        self.plan.as_ref().map(|plan| PlanDocument { plan, ballot: self.ballot.as_ref() })
    }
}

/// Plans a topology.
pub fn plan(input: &Input<'_>, options: &Options<'_>) -> Planned {
    let checked = check(input, options);
    Planned { report: checked.report, plan: checked.plan, ballot: checked.ballot }
}
