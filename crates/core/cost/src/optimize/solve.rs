//! From the problem to the cheapest offer and place of each group.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{Offer, Shelf, Site, most_spot};
use super::search::{Space, cheapest};
use super::traffic::Traffic;
use super::{Flow, Group, LeftOut, Problem};
use crate::book::{MachineType, PriceBook};
use crate::estimate::Options;
use crate::money::Money;
use crate::place::Place;

/// What was found.
pub(super) struct Solution {
    pub(super) traffic: Traffic,
    /// By group: none when it was left out.
    pub(super) groups: Vec<Option<Placed>>,
    /// The flows that count: between groups that were not left out, with a known price today.
    pub(super) flows: Vec<Flow>,
    pub(super) exact: bool,
    pub(super) left_out: Vec<LeftOut>,
}

/// A group before and after. Places are indices into [`Traffic`].
pub(super) struct Placed {
    pub(super) list: Money,
    pub(super) before: Offer,
    pub(super) from: usize,
    pub(super) after: Offer,
    pub(super) to: usize,
}

/// A group with its offers by place; the first is the place it stands in.
struct Open {
    list: Money,
    before: Offer,
    offers: Vec<(usize, Offer)>,
}

pub(super) fn solve(book: &PriceBook, problem: &Problem, options: &Options) -> Solution {
    let named = problem.groups.iter().flat_map(|group| {
        let near = group.near.iter().map(|near| near.place.clone());
        near.chain(group.candidates.iter().cloned()).chain([group.place.clone()])
    });
    let traffic = Traffic::new(book, options, named);
    // Only groups with a need may become another type.
    let choosy = problem.groups.iter().filter(|group| group.need.is_some());
    let stocked: BTreeSet<&Place> =
        choosy.flat_map(|group| group.candidates.iter().chain([&group.place])).collect();
    let shelf = |place: &Place| match stocked.contains(place) {
        true => Shelf::new(book, options, &problem.rules, place),
        false => Shelf::default(),
    };
    let shelves: Vec<Shelf> = traffic.places().map(shelf).collect();
    let mut left_out = Vec::new();
    let (flows, pinned) = usable_flows(problem, &traffic, &mut left_out);
    let mut open: Vec<Option<Open>> = Vec::with_capacity(problem.groups.len());
    for (index, group) in problem.groups.iter().enumerate() {
        let pinned = pinned.contains(&index);
        let shop = Shop { book, options, problem, traffic: &traffic, shelves: &shelves };
        match shop.offers(group, pinned) {
            Ok(found) => open.push(Some(found)),
            Err(reason) => {
                left_out.push(LeftOut { name: group.name.clone(), reason });
                open.push(None);
            }
        }
    }
    // A group that was left out stays where it is: those it talks to see it there.
    let (places, exact) = search(problem, &traffic, &flows, &open);
    let groups = open
        .into_iter()
        .zip(places)
        .map(|(open, option)| {
            let open = open?;
            let (to, after) = *open.offers.get(option)?;
            let (from, _) = *open.offers.first()?;
            Some(Placed { list: open.list, before: open.before, from, after, to })
        })
        .collect();
    Solution { traffic, groups, flows, exact, left_out }
}

/// The flows that have a known price today, and the groups that stay because one of theirs has none: what a move would
/// change cannot be said.
fn usable_flows(
    problem: &Problem,
    traffic: &Traffic,
    left_out: &mut Vec<LeftOut>,
) -> (Vec<Flow>, BTreeSet<usize>) {
    let (mut usable, mut pinned) = (Vec::new(), BTreeSet::new());
    for flow in &problem.flows {
        let (Some(a), Some(b)) = (problem.groups.get(flow.a), problem.groups.get(flow.b)) else {
            let reason = "it names a group that does not exist".to_owned();
            left_out.push(LeftOut { name: format!("flow {} to {}", flow.a, flow.b), reason });
            continue;
        };
        let places = traffic.index(&a.place).zip(traffic.index(&b.place));
        if places.and_then(|(from, to)| pair_cost(traffic, flow, from, to)).is_some() {
            usable.push(*flow);
        } else {
            pinned.extend([flow.a, flow.b]);
            let reason = format!("the price of traffic between {} and {} is not known", a.place, b.place);
            left_out.push(LeftOut { name: format!("flow {} to {}", a.name, b.name), reason });
        }
    }
    (usable, pinned)
}

/// Where offers are made.
struct Shop<'a> {
    book: &'a PriceBook,
    options: &'a Options,
    problem: &'a Problem,
    traffic: &'a Traffic,
    /// By place.
    shelves: &'a [Shelf],
}

impl Shop<'_> {
    /// The present offer, and the best offer of each place the group may stand in.
    fn offers(&self, group: &Group, pinned: bool) -> Result<Open, String> {
        let rules = &self.problem.rules;
        let missing = |what: &str| format!("{what} is not known in {}", group.place);
        let here = self.traffic.index(&group.place).ok_or_else(|| missing("the place"))?;
        let site = Site::new(self.book, self.options, group, &group.place)
            .ok_or_else(|| missing("the price of its disk"))?;
        let machine: MachineType = self
            .book
            .machine_of(&group.place, &group.type_name, group.size)
            .ok_or_else(|| missing(&format!("the type {}", group.type_name)))?;
        let unpriced = || missing(&format!("the price of {}", group.type_name));
        let before = site.all(machine, group.purchase).ok_or_else(unpriced)?;
        let list = site.list(machine).ok_or_else(unpriced)?;
        // COST-9: what the rules forbid does not stay, even where it is cheapest.
        let forbidden = before.mix.spot > most_spot(group, rules);
        let best = site
            .best(rules, &self.shelves[here])
            .filter(|best| forbidden || best.cost < before.cost)
            .unwrap_or(before);
        let mut offers = vec![(here, best)];
        for place in group.candidates.iter().filter(|place| **place != group.place && !pinned) {
            let known = self.book.region(place).is_some() && near_enough(self.traffic, group, here, place);
            let Some(index) = self.traffic.index(place).filter(|_| known) else { continue };
            let site = Site::new(self.book, self.options, group, place);
            let offer = site.and_then(|site| site.best(rules, &self.shelves[index]));
            if let Some(offer) = offer
                && !offers.iter().any(|(known, _)| *known == index)
            {
                offers.push((index, offer));
            }
        }
        Ok(Open { list, before, offers })
    }
}

/// COST-11 for places outside the problem.
fn near_enough(traffic: &Traffic, group: &Group, here: usize, place: &Place) -> bool {
    let Some(there) = traffic.index(place) else { return false };
    group.near.iter().all(|near| {
        let Some(target) = traffic.index(&near.place) else { return false };
        let today = traffic.round_trip(here, target);
        within(traffic.round_trip(there, target), near.most_micros, today)
    })
}

/// Within the limit, or no worse than today.
fn within(time: Option<u32>, limit: u32, today: Option<u32>) -> bool {
    time.is_some_and(|time| time <= limit.max(today.unwrap_or(0)))
}

/// Both directions of a flow.
pub(super) fn pair_cost(traffic: &Traffic, flow: &Flow, a: usize, b: usize) -> Option<Money> {
    Some(traffic.cost(a, b, flow.a_to_b)? + traffic.cost(b, a, flow.b_to_a)?)
}

/// The option of each group, and whether nothing cheaper exists. Groups that do not talk are searched apart.
fn search(problem: &Problem, traffic: &Traffic, flows: &[Flow], open: &[Option<Open>]) -> (Vec<usize>, bool) {
    let mut places = vec![0; open.len()];
    let mut exact = true;
    let stand = |group: usize, option: usize| -> Option<usize> {
        match open.get(group)?.as_ref() {
            Some(open) => open.offers.get(option).map(|(place, _)| *place),
            // Left out: it stays.
            None => traffic.index(&problem.groups.get(group)?.place),
        }
    };
    let together = |pair: usize, one: (usize, usize), other: (usize, usize)| -> Option<Money> {
        let flow = flows.get(pair)?;
        let (a, b) = if one.0 == flow.a { (one, other) } else { (other, one) };
        let (at_a, at_b) = (stand(a.0, a.1)?, stand(b.0, b.1)?);
        if let Some(limit) = flow.most_micros {
            let today = stand(a.0, 0).zip(stand(b.0, 0)).and_then(|(a, b)| traffic.round_trip(a, b));
            if at_a != at_b && !within(traffic.round_trip(at_a, at_b), limit, today) {
                return None;
            }
        }
        pair_cost(traffic, flow, at_a, at_b)
    };
    let sets = talking(open.len(), flows);
    let mut set_of = vec![0; open.len()];
    for (number, members) in sets.iter().enumerate() {
        members.iter().for_each(|group| set_of[*group] = number);
    }
    let mut flows_of: Vec<Vec<usize>> = vec![Vec::new(); sets.len()];
    for (number, flow) in flows.iter().enumerate().filter(|(_, flow)| flow.a != flow.b) {
        flows_of[set_of[flow.a]].push(number);
    }
    for (members, own_flows) in sets.into_iter().zip(flows_of) {
        let local: BTreeMap<usize, usize> = members.iter().copied().zip(0..).collect();
        let own = members
            .iter()
            .map(|group| match &open[*group] {
                Some(open) => open.offers.iter().map(|(_, offer)| offer.cost).collect(),
                None => vec![Money::ZERO],
            })
            .collect();
        let mut pairs = vec![Vec::new(); members.len()];
        for number in own_flows {
            let flow = &flows[number];
            if let (Some(a), Some(b)) = (local.get(&flow.a), local.get(&flow.b)) {
                pairs[*a].push((*b, number));
                pairs[*b].push((*a, number));
            }
        }
        let by_member = |pair: usize, one: (usize, usize), other: (usize, usize)| {
            together(pair, (members[one.0], one.1), (members[other.0], other.1))
        };
        let space = Space { own, pairs, together: &by_member };
        let starts = starts(&members, open);
        let found = cheapest(&space, &starts, problem.rules.search_limit);
        exact &= found.exact;
        for (group, option) in members.iter().zip(found.options) {
            places[*group] = option;
        }
    }
    (places, exact)
}

/// Where the search begins: everything as it is, and everything in one place for each place that all may stand in.
fn starts(members: &[usize], open: &[Option<Open>]) -> Vec<Vec<usize>> {
    let mut starts = vec![vec![0; members.len()]];
    let option = |group: usize, place: usize| -> Option<usize> {
        open[group].as_ref()?.offers.iter().position(|(known, _)| *known == place)
    };
    let first = members.first().and_then(|group| open[*group].as_ref());
    for (place, _) in first.into_iter().flat_map(|open| &open.offers) {
        starts.extend(members.iter().map(|group| option(*group, *place)).collect::<Option<Vec<usize>>>());
    }
    starts
}

/// Groups that talk to each other, directly or through others.
fn talking(count: usize, flows: &[Flow]) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); count];
    for flow in flows {
        neighbours[flow.a].push(flow.b);
        neighbours[flow.b].push(flow.a);
    }
    let mut seen = vec![false; count];
    let mut sets = Vec::new();
    for first in 0..count {
        let (mut set, mut next) = (Vec::new(), vec![first]);
        while let Some(group) = next.pop() {
            if !std::mem::replace(&mut seen[group], true) {
                set.push(group);
                next.extend(&neighbours[group]);
            }
        }
        if !set.is_empty() {
            set.sort_unstable();
            sets.push(set);
        }
    }
    sets
}
