//! From what was found to proposals whose savings add up.

use super::choice::{Mix, Offer, Site};
use super::solve::{Placed, Solution, pair_cost};
use super::{Choice, Group, LeftOut, Outcome, Problem, Proposal, ProposalKind, Rules, objects};
use crate::book::{Basis, PriceBook, shares_processors};
use crate::estimate::Options;
use crate::item::{Purchase, StorageClass, Term};
use crate::money::Money;
use crate::place::Place;

pub(super) fn outcome(book: &PriceBook, problem: &Problem, options: &Options, solution: Solution) -> Outcome {
    let mut places = today(problem, &solution);
    let mut proposals = Vec::new();
    let (mut list, mut machines_before, mut machines_after) = (Money::ZERO, Money::ZERO, Money::ZERO);
    let traffic_before = traffic_cost(&solution, &places, 0..solution.flows.len());
    let mut flows_of: Vec<Vec<usize>> = vec![Vec::new(); problem.groups.len()];
    for (number, flow) in solution.flows.iter().enumerate().filter(|(_, flow)| flow.a != flow.b) {
        flows_of[flow.a].push(number);
        flows_of[flow.b].push(number);
    }
    for (index, group) in problem.groups.iter().enumerate() {
        let Some(placed) = &solution.groups[index] else { continue };
        list += placed.list;
        machines_before += placed.before.cost;
        machines_after += placed.after.cost;
        let own_flows = || flows_of[index].iter().copied();
        let before = traffic_cost(&solution, &places, own_flows());
        places[index] = placed.to;
        let traffic_saving = before - traffic_cost(&solution, &places, own_flows());
        let steps = Steps { book, options, rules: &problem.rules, group, solution: &solution, placed };
        proposals.extend(steps.proposals(traffic_saving));
    }
    let traffic_after = traffic_cost(&solution, &places, 0..solution.flows.len());
    let mut outcome = Outcome {
        list: list + traffic_before,
        before: machines_before + traffic_before,
        after: machines_after + traffic_after,
        proposals,
        choices: solution.groups.iter().map(|placed| placed.as_ref().map(|p| choice(&solution, p))).collect(),
        exact: solution.exact,
        left_out: solution.left_out,
    };
    add_objects(book, problem, options, &mut outcome);
    outcome
}

fn choice(solution: &Solution, placed: &Placed) -> Choice {
    Choice {
        place: solution.traffic.place(placed.to).clone(),
        type_name: placed.after.machine.name.to_owned(),
        mix: placed.after.mix,
        cost: placed.after.cost,
    }
}

/// Where every group stands, those left out too.
fn today(problem: &Problem, solution: &Solution) -> Vec<usize> {
    let index = |place: &Place| solution.traffic.index(place).unwrap_or(0);
    problem.groups.iter().map(|group| index(&group.place)).collect()
}

fn traffic_cost(solution: &Solution, places: &[usize], flows: impl Iterator<Item = usize>) -> Money {
    let cost = |number: usize| {
        let flow = &solution.flows[number];
        pair_cost(&solution.traffic, flow, places[flow.a], places[flow.b])
    };
    // While groups move one after the other, two of them may stand for a moment where traffic has no price: that
    // moment counts as no cost, and the next step takes it back, so the sum stays exact.
    flows.filter_map(cost).sum()
}

struct Steps<'a> {
    book: &'a PriceBook,
    options: &'a Options,
    rules: &'a Rules,
    group: &'a Group,
    solution: &'a Solution,
    placed: &'a Placed,
}

impl Steps<'_> {
    /// The move, then the promise, then the spot market: each is priced after the one before it. A step that saves
    /// nothing by itself goes with the next, and what is left over with the last, so that nothing is lost.
    fn proposals(&self, traffic_saving: Money) -> Vec<Proposal> {
        let mut found: Vec<(ProposalKind, Money)> = Vec::new();
        let mut carried: Option<(ProposalKind, Money)> = None;
        for (kind, saving) in self.steps(traffic_saving) {
            let saving = saving + carried.map_or(Money::ZERO, |(_, carried)| carried);
            if saving > Money::ZERO {
                found.push((kind, saving));
                carried = None;
            } else {
                carried = Some((kind, saving));
            }
        }
        if let Some((kind, rest)) = carried.filter(|(_, rest)| *rest != Money::ZERO) {
            match found.last_mut() {
                Some((_, saving)) => *saving += rest,
                // What the rules forbid is put right, even where that costs more.
                None => found.push((kind, rest)),
            }
        }
        // A move that goes with a later step is told there.
        let mut told = !self.changes_machine();
        let mut proposals = Vec::new();
        for (kind, saving) in found {
            let moves =
                matches!(kind, ProposalKind::Region | ProposalKind::Together | ProposalKind::RightSize);
            proposals.push(self.proposal(kind, saving, !told && !moves));
            told = true;
        }
        proposals
    }

    /// The changes one after the other, with what each saves. They add up to the whole.
    fn steps(&self, traffic_saving: Money) -> Vec<(ProposalKind, Money)> {
        let placed = self.placed;
        let place = self.solution.traffic.place(placed.to);
        let moved = placed.from != placed.to;
        let site = Site::new(self.book, self.options, self.group, place);
        let mut steps = Vec::new();
        let mut reached = placed.before.cost;
        if self.changes_machine() {
            let kind = match moved {
                true if traffic_saving > Money::ZERO => ProposalKind::Together,
                true => ProposalKind::Region,
                false => ProposalKind::RightSize,
            };
            // Paid for as before, where that has a price there.
            let as_before = site.as_ref().and_then(|s| s.all(placed.after.machine, self.group.purchase));
            let then = as_before.map_or(placed.after.cost, |offer| offer.cost);
            steps.push((kind, reached - then + traffic_saving));
            reached = then;
        }
        if placed.after.mix.spot > 0 && placed.after.mix.reserved > 0 {
            let rules = Rules { spot: false, ..*self.rules };
            let promised = site.as_ref().and_then(|site| site.with(placed.after.machine, &rules));
            let then = promised.map_or(placed.after.cost, |offer| offer.cost);
            steps.push((ProposalKind::Commit, reached - then));
            reached = then;
        }
        let last = if placed.after.mix.spot > 0 {
            ProposalKind::Spot
        } else if placed.after.mix.reserved > 0 {
            ProposalKind::Commit
        } else {
            ProposalKind::OnDemand
        };
        steps.push((last, reached - placed.after.cost));
        steps
    }

    /// Whether the group is proposed in another place or of another type.
    fn changes_machine(&self) -> bool {
        let placed = self.placed;
        placed.from != placed.to || placed.before.machine.name != placed.after.machine.name
    }

    /// A step in words; `with_move` when it also moves the group or changes its type.
    fn proposal(&self, kind: ProposalKind, saving: Money, with_move: bool) -> Proposal {
        let placed = self.placed;
        let (from, to) = (self.solution.traffic.place(placed.from), self.solution.traffic.place(placed.to));
        let (old, new) = (placed.before.machine.name, placed.after.machine.name);
        let moves = with_move && placed.from != placed.to;
        let (from, to) = match kind {
            ProposalKind::Region | ProposalKind::Together => (format!("{from} {old}"), format!("{to} {new}")),
            ProposalKind::RightSize => (old.to_owned(), new.to_owned()),
            ProposalKind::Commit
            | ProposalKind::Spot
            | ProposalKind::OnDemand
            | ProposalKind::StorageTier => {
                let before = described(self.group.purchase, self.group.count);
                let after = described_mix(placed.after.mix);
                match moves {
                    true => (format!("{from} {old}, {before}"), format!("{to} {new}, {after}")),
                    false => (format!("{old}, {before}"), format!("{new}, {after}")),
                }
            }
        };
        let steps = match with_move {
            _ if moves => vec![ProposalKind::Region, kind],
            true => vec![ProposalKind::RightSize, kind],
            false => vec![kind],
        };
        let own = self.group.objective.clone();
        let touched = steps.iter().map(|step| touches(*step).to_owned());
        let risks: Vec<String> = steps.iter().map(|step| self.risk(*step)).collect();
        Proposal {
            kind,
            group: self.group.name.clone(),
            from,
            to,
            saving,
            risk: risks.join("; "),
            objective: own.into_iter().chain(touched).collect::<Vec<_>>().join("; "),
        }
    }

    fn risk(&self, kind: ProposalKind) -> String {
        let placed = self.placed;
        let place = self.solution.traffic.place(placed.to);
        let after: &Offer = &placed.after;
        match kind {
            ProposalKind::Region | ProposalKind::Together => {
                "machines and their data have to be moved; the new region may lack capacity".to_owned()
            }
            ProposalKind::RightSize => {
                let shared = shares_processors(place.provider, after.machine.name);
                let shared = if shared { "; it shares its processors with others" } else { "" };
                let arch = if after.machine.arch == placed.before.machine.arch {
                    ""
                } else {
                    "; images have to exist for its instruction set"
                };
                format!("meets the stated need and no more{shared}{arch}")
            }
            ProposalKind::Commit => {
                let term = after.mix.term.unwrap_or(Term::OneYear);
                let known = self.book.commitment(place, after.machine.name, term);
                let (at, basis) = known.map_or_else(Default::default, |known| {
                    let basis = match known.basis {
                        Basis::Type => "",
                        Basis::Family => "; the discount is published for another size or region of the family",
                        Basis::Provider => "; the discount is assumed from another family of the provider",
                    };
                    (known.discount.rest().as_percent(), basis)
                });
                format!("pays off for machines that run more than {at} % of the hours; bound until the term ends{basis}")
            }
            ProposalKind::Spot => {
                "the provider may take machines back at short notice, and prices move; how often this type is taken back is not known"
                    .to_owned()
            }
            ProposalKind::OnDemand => "list prices may rise; nothing is promised".to_owned(),
            ProposalKind::StorageTier => String::new(),
        }
    }
}

/// The objectives a kind of change touches.
fn touches(kind: ProposalKind) -> &'static str {
    match kind {
        ProposalKind::Region | ProposalKind::Together => "round trips, where data lies, survival of a region",
        ProposalKind::RightSize => "capacity left when others fail",
        ProposalKind::Commit => "budget: what is promised is paid",
        ProposalKind::Spot => "recovery time of a node, capacity in a shortage",
        ProposalKind::OnDemand => "budget",
        ProposalKind::StorageTier => "recovery time of objects",
    }
}

fn described(purchase: Purchase, count: u32) -> String {
    match purchase {
        Purchase::OnDemand => format!("{count} on demand"),
        Purchase::Spot => format!("{count} spot"),
        Purchase::Reserved(term) => format!("{count} reserved for {}", years(term)),
    }
}

fn described_mix(mix: Mix) -> String {
    let mut parts = Vec::new();
    if mix.reserved > 0 {
        parts.push(format!("{} reserved for {}", mix.reserved, years(mix.term.unwrap_or(Term::OneYear))));
    }
    if mix.spot > 0 {
        parts.push(format!("{} spot", mix.spot));
    }
    if mix.on_demand > 0 {
        parts.push(format!("{} on demand", mix.on_demand));
    }
    parts.join(", ")
}

fn years(term: Term) -> &'static str {
    match term {
        Term::OneYear => "1 year",
        Term::ThreeYears => "3 years",
    }
}

fn add_objects(book: &PriceBook, problem: &Problem, options: &Options, outcome: &mut Outcome) {
    for kept in &problem.objects {
        let now = objects::cost(book, options, kept, kept.class);
        let (Some(now), Some((then, class))) = (now, objects::best(book, options, kept)) else {
            let reason = format!("the price of its storage class is not known in {}", kept.place);
            outcome.left_out.push(LeftOut { name: kept.name.clone(), reason });
            continue;
        };
        outcome.list += now;
        outcome.before += now;
        let (then, class) = if then < now { (then, class) } else { (now, kept.class) };
        outcome.after += then;
        if class != kept.class {
            outcome.proposals.push(Proposal {
                kind: ProposalKind::StorageTier,
                group: kept.name.clone(),
                from: class_name(kept.class).to_owned(),
                to: class_name(class).to_owned(),
                saving: now - then,
                risk: "reading more than stated costs extra, and so does deleting within the first 30 to 180 days; archives take hours to read"
                    .to_owned(),
                objective: kept.objective.clone().unwrap_or_else(|| touches(ProposalKind::StorageTier).to_owned()),
            });
        }
    }
}

fn class_name(class: StorageClass) -> &'static str {
    match class {
        StorageClass::Hot => "hot",
        StorageClass::Cool => "cool",
        StorageClass::Archive => "archive",
    }
}
