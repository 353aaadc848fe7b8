//! What the estimate says: the sum, the budget, what has no price, and what free tiers cover.

use std::collections::BTreeMap;

use univrs_cost::estimate::{Estimate, Gap, Notice, Severity};
use univrs_cost::{Item, Kind, Money, PriceBook, Provider};
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::plan::Plan;
use univrs_topology::spec::Host;

use crate::account::{CURRENCY, money};
use crate::items::Bill;

/// Parts a message lists at the most.
const MOST_PARTS: usize = 8;
/// Places a message lists for each part at the most.
const MOST_PLACES: usize = 6;

/// Makes findings of an estimate.
pub(super) fn check(
    plan: &Plan,
    bill: &Bill,
    estimate: &Estimate,
    book: &PriceBook,
    findings: &mut Findings,
) {
    sum(plan, estimate, findings);
    budget(plan, estimate, findings);
    unpriced(bill, estimate, book, findings);
    kept(plan, findings);
    for notice in &estimate.notices {
        findings.extend(told(bill, notice));
    }
}

fn sum(plan: &Plan, estimate: &Estimate, findings: &mut Findings) {
    if estimate.resources.is_empty() {
        return;
    }
    let nodes = plan.machines().count();
    let oldest = estimate.oldest.map_or_else(String::new, |date| format!("; the oldest price is of {date}"));
    let total = estimate.total.rounded();
    let message = if estimate.total == Money::ZERO && !estimate.complete {
        format!("nothing of these {nodes} nodes has both a known price and a stated amount")
    } else if estimate.complete {
        format!("{nodes} nodes and all else cost {total} {CURRENCY} a month{oldest}")
    } else {
        format!(
            "the known parts cost {total} {CURRENCY} a month for {nodes} nodes; {} parts have no price and {} no stated amount{oldest}",
            estimate.unpriced, estimate.undeclared
        )
    };
    findings.push(Finding::new(Code::CostEstimate, "", message));
}

fn budget(plan: &Plan, estimate: &Estimate, findings: &mut Findings) {
    let Some(budget) = &plan.budget else { return };
    let stated = &budget.monthly;
    if stated.currency != CURRENCY {
        let message = format!("the budget is in {} and prices are in {CURRENCY}", stated.currency);
        let finding = Finding::new(Code::OtherCurrency, "budget.monthly", message);
        findings.push(finding.hint(format!("state it in {CURRENCY}; no rate is assumed")));
        return;
    }
    let most = money(stated.micros);
    let known = if estimate.complete { "it costs" } else { "the known parts alone cost" };
    let total = estimate.total.rounded();
    if estimate.total > most {
        let over = (estimate.total - most).rounded();
        let message = format!("{known} {total} {CURRENCY} a month, {over} more than the budget of {stated}");
        let finding = Finding::new(Code::OverBudget, "budget.monthly", message);
        findings.push(finding.hint("see `univrs topology cost` and `univrs topology optimize`"));
        return;
    }
    let reached = estimate.total.ratio_of(most).map_or(0, |ratio| ratio.nanos());
    // Shares are of 0 to 1 with few digits: a millionth is fine enough.
    let nanos = |share: f64| i128::from((share * 1e6).round() as i64) * 1000;
    let highest = budget.alert_at.iter().copied().filter(|share| reached >= nanos(*share)).reduce(f64::max);
    if let Some(share) = highest {
        let message =
            format!("{known} {total} {CURRENCY} a month: {:.0} % of {stated} are reached", share * 100.0);
        findings.push(Finding::new(Code::BudgetAlert, "budget.alert_at", message));
    }
}

/// Parts of one name without a price: where, and where else the price is known.
#[derive(Default)]
struct Part {
    places: Vec<String>,
    elsewhere: Option<&'static str>,
    assumed: bool,
}

fn unpriced(bill: &Bill, estimate: &Estimate, book: &PriceBook, findings: &mut Findings) {
    let mut parts: BTreeMap<&str, BTreeMap<(&str, Provider), Part>> = BTreeMap::new();
    for (item, resource) in bill.items.iter().zip(&estimate.resources) {
        let path = bill.path(&item.name);
        for component in &resource.components {
            let (elsewhere, assumed) = match &component.gap {
                Some(Gap::Price { elsewhere }) => (elsewhere.as_ref().map(|other| other.region), false),
                Some(Gap::Assumed { region }) => (Some(*region), true),
                _ => continue,
            };
            // Traffic without an amount is told by itself, and a type without a price where the type is named.
            let undeclared = component.amount.is_none() && path.starts_with("traffic.egress");
            if undeclared || is_told(item, &component.name, book) {
                continue;
            }
            let key = (component.name.as_str(), item.place.provider);
            let part = parts.entry(path).or_default().entry(key).or_default();
            part.places.push(item.place.to_string());
            part.elsewhere = part.elsewhere.or(elsewhere);
            part.assumed |= assumed;
        }
    }
    for (path, named) in parts {
        let mut listed: Vec<String> =
            named.iter().map(|((name, provider), part)| part.told(name, *provider)).collect();
        let all = listed.len();
        listed.truncate(MOST_PARTS);
        if all > MOST_PARTS {
            listed.push(format!("and {} more", all - MOST_PARTS));
        }
        let message = format!("no price is known for {}", listed.join("; "));
        findings.push(Finding::new(Code::Unpriced, path, message));
    }
}

impl Part {
    fn told(&self, name: &str, provider: Provider) -> String {
        let known = match self.elsewhere {
            Some(region) if self.assumed => format!(" (that of {provider}:{region} is assumed)"),
            Some(region) => format!(" (it is known in {provider}:{region})"),
            None => String::new(),
        };
        let mut places: Vec<&str> = self.places.iter().take(MOST_PLACES).map(String::as_str).collect();
        let more = format!("{} more", self.places.len().saturating_sub(MOST_PLACES));
        if self.places.len() > MOST_PLACES {
            places.push(&more);
        }
        format!("{name} in {}{known}", places.join(", "))
    }
}

/// Whether the part is the machine type itself, and the type has no price there.
fn is_told(item: &Item, component: &str, book: &PriceBook) -> bool {
    let Kind::Machine(machine) = &item.kind else { return false };
    let known = book.machine(&item.place, &machine.type_name);
    component.starts_with(&machine.type_name) && known.is_none_or(|known| known.on_demand.is_none())
}

/// Prices kept from earlier that are for nothing here.
fn kept(plan: &Plan, findings: &mut Findings) {
    for (index, held) in plan.account.prices.iter().enumerate() {
        let path = format!("account.price[{index}]");
        if held.monthly.currency != CURRENCY {
            let message =
                format!("the kept price is in {} and prices are in {CURRENCY}", held.monthly.currency);
            let finding = Finding::new(Code::OtherCurrency, format!("{path}.monthly"), message);
            findings.push(finding.hint(format!("state it in {CURRENCY}; no rate is assumed")));
            continue;
        }
        let groups = plan.regions.iter().filter(|region| region.cloud == held.cloud).flat_map(|r| &r.groups);
        let mut machines = groups.filter(|group| group.host == Host::Machine);
        if !machines.any(|group| group.machine.as_deref() == Some(held.machine.as_str())) {
            let message = format!("no role has {} in {}", held.machine, held.cloud);
            findings.push(Finding::new(Code::UnusedPrice, path, message));
        }
    }
}

/// A notice of the estimate as a finding. That traffic is left out is checked from the plan.
fn told(bill: &Bill, notice: &Notice) -> Option<Finding> {
    let code = match notice.code {
        "egress-undeclared" => return None,
        "old-price" => Code::OldPrice,
        "free-tier-unknown" => Code::FreeTierUnknown,
        "free-tier-credit" => Code::FreeTierCredit,
        "free-tier-ended" => Code::FreeTierEnded,
        "free-tier-exceeded" => Code::FreeTierExceeded,
        "free-tier-fits" => Code::FreeTierFits,
        "reserved-idle" => Code::ReservedIdle,
        // A notice that is not known here is still shown.
        _ if notice.severity == Severity::Warning => Code::Unpriced,
        _ => Code::CostEstimate,
    };
    let path = match (&notice.item, code) {
        (Some(item), _) => bill.path(item),
        (None, Code::FreeTierUnknown | Code::FreeTierCredit) => "account.free_tier",
        (None, _) => "",
    };
    Some(Finding::new(code, path, notice.message.clone()))
}
