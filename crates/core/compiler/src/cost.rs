//! `topology cost`: what it costs in a month of 730 hours, and what a change costs.

use univrs_cost::Money;
use univrs_cost::estimate::{Document, difference, difference_table, table};
use univrs_topology::Input;
use univrs_topology::finding::Report;
use univrs_topology::plan::Plan;

use crate::account::{CURRENCY, money};
use crate::check::Priced;
use crate::{Options, check};

/// A priced topology.
#[derive(Clone, Debug)]
pub struct Costed {
    /// Everything that was found.
    pub report: Report,
    /// The plan; absent when anything is an error.
    pub plan: Option<Plan>,
    /// What it costs; absent when anything is an error.
    pub priced: Option<Priced>,
}

/// Prices a topology.
pub fn cost(input: &Input<'_>, options: &Options<'_>) -> Costed {
    let checked = check(input, options);
    Costed { report: checked.report, plan: checked.plan, priced: checked.priced }
}

impl Costed {
    /// How many machines and container groups it has.
    pub fn nodes(&self) -> usize {
        self.plan.as_ref().map_or(0, |plan| plan.machines().count())
    }

    /// The answer of `topology cost -o json`, with what changed since `past` when that is given.
    pub fn document(&self, past: Option<&Costed>) -> Option<Document> {
        let (plan, priced) = self.plan.as_ref().zip(self.priced.as_ref())?;
        let past = past.and_then(|past| past.priced.as_ref()).map(|past| &past.estimate);
        Some(Document::new(&plan.id, &priced.estimate, past, &priced.options))
    }

    /// The estimate for people: nodes, then a line for each component with its unit, price and date.
    pub fn table(&self) -> Option<String> {
        let (plan, priced) = self.plan.as_ref().zip(self.priced.as_ref())?;
        let regions = plan.regions.len();
        Some(format!(
            "{}: {} nodes in {regions} {}\n{}",
            plan.id,
            self.nodes(),
            if regions == 1 { "region" } else { "regions" },
            table(&priced.estimate)
        ))
    }

    /// What changed since `past`, for people.
    pub fn difference_table(&self, past: &Costed) -> Option<String> {
        let (before, after) = past.priced.as_ref().zip(self.priced.as_ref())?;
        Some(difference_table(&difference(&before.estimate, &after.estimate)))
    }

    /// By how much the known parts alone exceed the budget; none when they do not, or when there is no budget in the
    /// currency of the prices.
    pub fn over_budget(&self) -> Option<Money> {
        let budget = self.plan.as_ref()?.budget.as_ref().filter(|b| b.monthly.currency == CURRENCY)?;
        let over = self.priced.as_ref()?.estimate.total - money(budget.monthly.micros);
        (over > Money::ZERO).then_some(over)
    }
}
