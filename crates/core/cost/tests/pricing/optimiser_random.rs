//! The optimiser against trying everything.

use proptest::prelude::*;
use univrs_cost::book::Need;
use univrs_cost::estimate::Options;
use univrs_cost::item::{Purchase, Size, Term};
use univrs_cost::money::HOURS_PER_MONTH;
use univrs_cost::optimize::{Flow, Group, Interruption, Problem, Rules, optimize};
use univrs_cost::{Money, Place, PriceBook, Provider, Quantity, Ratio};

use crate::build::{place, today};

const PLACES: [&str; 5] =
    ["aws:us-east-1", "aws:us-west-2", "aws:eu-west-1", "gcp:us-central1", "azure:eastus"];
const TYPES: [(&str, &str); 3] = [("aws", "t3.large"), ("gcp", "e2-standard-2"), ("azure", "Standard_B2s")];

fn group() -> impl Strategy<Value = Group> {
    let interruption = prop_oneof![
        Just(Interruption::Voter),
        Just(Interruption::Never),
        Just(Interruption::Any),
        (0_u32..=100).prop_map(|percent| Interruption::Part(Ratio::percent(percent))),
    ];
    let sizes = (1_u32..=2, 1_u32..=8);
    let candidates = prop::sample::subsequence(PLACES.to_vec(), 0..=4);
    (0..PLACES.len(), 1_u32..5, 0_u32..5, 0_u32..=100, interruption, prop::option::of(sizes), candidates)
        .prop_map(|(at, count, steady, busy, interruption, size, candidates)| {
            let place = place(PLACES[at]);
            let type_name =
                TYPES.iter().find(|(provider, _)| *provider == place.provider.name()).unwrap().1.to_owned();
            Group {
                name: "group".to_owned(),
                type_name,
                size: None,
                purchase: Purchase::OnDemand,
                count,
                steady: steady.min(count),
                busy: Ratio::percent(busy),
                disk: None,
                need: size.map(|(vcpu, gib)| Need { size: Size::of(vcpu, gib), arch: None, shared: true }),
                interruption,
                candidates: candidates.into_iter().map(crate::build::place).collect(),
                near: Vec::new(),
                objective: None,
                place,
            }
        })
}

fn problem() -> impl Strategy<Value = Problem> {
    let groups = prop::collection::vec(group(), 1..4);
    let flows = prop::collection::vec((0..3_usize, 0..3_usize, 0_u64..20_000, 0_u64..2_000), 0..4);
    let term = prop::option::of(prop::sample::select(vec![Term::OneYear, Term::ThreeYears]));
    (groups, flows, term, any::<bool>()).prop_map(|(groups, flows, longest_term, spot)| {
        let count = groups.len();
        let flows = flows
            .into_iter()
            .map(|(a, b, there, back)| (a % count, b % count, there, back))
            .filter(|(a, b, _, _)| a != b)
            .map(|(a, b, there, back)| Flow {
                a,
                b,
                a_to_b: Quantity::units(there),
                b_to_a: Quantity::units(back),
                most_micros: None,
            })
            .collect();
        let rules = Rules { longest_term, spot, ..Rules::default() };
        Problem { groups, flows, objects: Vec::new(), rules }
    })
}

/// The cheapest way to pay for a type: every split of both kinds of machines over all purchases.
fn cheapest_purchase(group: &Group, rules: &Rules, at: &Place, name: &str) -> Option<Money> {
    let book = PriceBook::builtin();
    let machine = book.machine(at, name)?;
    let month = |price: Money| price.times(Quantity::units(u64::from(HOURS_PER_MONTH)));
    let on_demand = month(machine.on_demand?.amount);
    let terms: Vec<Term> = [Term::OneYear, Term::ThreeYears]
        .into_iter()
        .filter(|term| rules.longest_term.is_some_and(|longest| *term <= longest))
        .collect();
    let promised: Option<Money> = terms
        .iter()
        .filter_map(|term| book.commitment(at, name, *term))
        .map(|known| month(machine.on_demand.unwrap().amount.part(known.discount.rest())))
        .min();
    let spot = machine.spot.filter(|_| rules.spot).map(|price| month(price.amount));
    let most_spot = match group.interruption {
        Interruption::Voter | Interruption::Never => 0,
        Interruption::Any => group.count,
        Interruption::Part(part) => {
            u32::try_from(Quantity::units(u64::from(group.count)).part(part).micros() / 1_000_000).unwrap()
        }
    };
    let splits = |count: u32| {
        (0..=count).flat_map(move |promised| (0..=count - promised).map(move |spot| (promised, spot)))
    };
    let times = |price: Money, count: u32| price.times(Quantity::units(u64::from(count)));
    let cost = |count: u32, busy: Ratio, (reserved, on_spot): (u32, u32)| -> Option<Money> {
        let promise = if reserved > 0 { times(promised?, reserved) } else { Money::ZERO };
        let market = if on_spot > 0 { times(spot?.part(busy), on_spot) } else { Money::ZERO };
        Some(promise + market + times(on_demand.part(busy), count - reserved - on_spot))
    };
    let elastic = group.count - group.steady;
    let mut best: Option<Money> = None;
    for one in splits(group.steady) {
        for other in splits(elastic).filter(|other| one.1 + other.1 <= most_spot) {
            let sum = cost(group.steady, Ratio::ONE, one).zip(cost(elastic, group.busy, other));
            let sum = sum.map(|(one, other)| one + other);
            best = [best, sum].into_iter().flatten().min();
        }
    }
    best
}

/// The cheapest type in a place.
fn cheapest_there(group: &Group, rules: &Rules, at: &Place) -> Option<Money> {
    let book = PriceBook::builtin();
    let mut names: Vec<&str> = Vec::new();
    if *at == group.place || group.need.is_none() {
        names.push(&group.type_name);
    }
    if let Some(need) = group.need {
        names.extend(book.fitting(at, need).map(|machine| machine.name));
    }
    names.into_iter().filter_map(|name| cheapest_purchase(group, rules, at, name)).min()
}

/// Traffic by the prices of the book, written out again.
fn traffic(from: &Place, to: &Place, gb: u64) -> Option<Money> {
    if from == to || gb == 0 {
        return Some(Money::ZERO);
    }
    let book = PriceBook::builtin();
    let price = |sku: &str| book.service(from, "egress", sku).map(|price| price.amount);
    if from.provider == to.provider {
        let per_gb = match from.provider {
            Provider::Aws => {
                price(&format!("inter-region-to-{}", to.region)).or_else(|| price("inter-region"))?
            }
            _ => return None,
        };
        return Some(per_gb.times(Quantity::units(gb)));
    }
    let steps: &[(u64, &str)] = match from.provider {
        Provider::Aws => &[(10_240, "internet-0-10TB"), (u64::MAX, "internet-10-50TB")],
        Provider::Azure => &[(10_000, "internet-from-100GB"), (u64::MAX, "internet-from-10100GB")],
        _ => &[
            (1_024, "premium-internet-0-1TB"),
            (9_216, "premium-internet-1-10TB"),
            (u64::MAX, "premium-internet-10TB+"),
        ],
    };
    let (mut left, mut sum) = (gb, Money::ZERO);
    for (width, sku) in steps {
        let here = left.min(*width);
        sum += price(sku)?.times(Quantity::units(here));
        left -= here;
    }
    Some(sum)
}

fn brute_force(problem: &Problem) -> Option<Money> {
    let places: Vec<Vec<(Place, Money)>> = problem
        .groups
        .iter()
        .map(|group| {
            let mut places = vec![group.place.clone()];
            places.extend(group.candidates.iter().filter(|place| **place != group.place).cloned());
            let priced = |place: Place| {
                let cost = cheapest_there(group, &problem.rules, &place)?;
                Some((place, cost))
            };
            places.into_iter().filter_map(priced).collect()
        })
        .collect();
    let mut best: Option<Money> = None;
    let mut chosen = vec![0; places.len()];
    loop {
        let own: Money = chosen.iter().zip(&places).map(|(option, places)| places[*option].1).sum();
        let at = |group: usize| &places[group][chosen[group]].0;
        let talk: Option<Money> = problem
            .flows
            .iter()
            .map(|flow| {
                let gb = |quantity: Quantity| u64::try_from(quantity.micros() / 1_000_000).unwrap();
                let there = traffic(at(flow.a), at(flow.b), gb(flow.a_to_b))?;
                Some(there + traffic(at(flow.b), at(flow.a), gb(flow.b_to_a))?)
            })
            .sum();
        best = [best, talk.map(|talk| own + talk)].into_iter().flatten().min();
        let mut digit = 0;
        while digit < chosen.len() && chosen[digit] + 1 == places[digit].len() {
            chosen[digit] = 0;
            digit += 1;
        }
        if digit == chosen.len() {
            return best;
        }
        chosen[digit] += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_cheaper_exists(problem in problem()) {
        let outcome = optimize(PriceBook::builtin(), &problem, &Options::on(today()));
        prop_assert!(outcome.exact);
        prop_assert!(outcome.left_out.is_empty(), "{:?}", outcome.left_out);
        prop_assert_eq!(Some(outcome.after), brute_force(&problem));
        prop_assert!(outcome.after <= outcome.before && outcome.before <= outcome.list);
    }

    #[test]
    fn proposals_add_up_and_keep_the_rules(problem in problem(), limit in 0_u32..50) {
        let rules = Rules { search_limit: limit, ..problem.rules };
        let problem = Problem { rules, ..problem };
        let outcome = optimize(PriceBook::builtin(), &problem, &Options::on(today()));
        let savings: Money = outcome.proposals.iter().map(|proposal| proposal.saving).sum();
        prop_assert_eq!(savings, outcome.before - outcome.after);
        prop_assert!(outcome.after <= outcome.before, "a search that gave up is no worse than today");
        for (group, choice) in problem.groups.iter().zip(&outcome.choices) {
            let choice = choice.as_ref().unwrap();
            prop_assert_eq!(choice.mix.on_demand + choice.mix.reserved + choice.mix.spot, group.count);
            if matches!(group.interruption, Interruption::Voter | Interruption::Never) || !problem.rules.spot {
                prop_assert_eq!(choice.mix.spot, 0);
            }
            if problem.rules.longest_term.is_none() {
                prop_assert_eq!(choice.mix.reserved, 0);
            }
        }
    }
}
