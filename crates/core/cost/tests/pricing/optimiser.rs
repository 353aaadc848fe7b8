//! Proposals on problems whose answer is known.

use univrs_cost::book::Need;
use univrs_cost::estimate::Options;
use univrs_cost::item::{Purchase, Redundancy, Size, StorageClass, Term};
use univrs_cost::optimize::{
    Flow, Group, Interruption, Near, Objects, Outcome, Problem, ProposalKind, Rules, optimize,
};
use univrs_cost::table::Arch;
use univrs_cost::{Money, PriceBook, Quantity, Ratio};

use crate::build::{place, today, usd};

fn group(name: &str, at: &str, type_name: &str, count: u32) -> Group {
    Group {
        name: name.to_owned(),
        place: place(at),
        type_name: type_name.to_owned(),
        size: None,
        purchase: Purchase::OnDemand,
        count,
        steady: count,
        busy: Ratio::ONE,
        disk: None,
        need: None,
        interruption: Interruption::Never,
        candidates: Vec::new(),
        near: Vec::new(),
        objective: None,
    }
}

fn solved(groups: Vec<Group>, rules: Rules) -> Outcome {
    let problem = Problem { groups, rules, ..Problem::default() };
    run(&problem)
}

fn run(problem: &Problem) -> Outcome {
    let outcome = optimize(PriceBook::builtin(), problem, &Options::on(today()));
    let savings: Money = outcome.proposals.iter().map(|proposal| proposal.saving).sum();
    assert_eq!(savings, outcome.saving(), "the proposals add up");
    outcome
}

fn kinds(outcome: &Outcome) -> Vec<ProposalKind> {
    outcome.proposals.iter().map(|proposal| proposal.kind).collect()
}

#[test]
fn voters_are_promised_and_the_interruptible_go_to_the_spot_market() {
    let voter =
        Group { interruption: Interruption::Voter, ..group("voter", "aws:us-east-1", "c6i.4xlarge", 2) };
    let slim = Group { interruption: Interruption::Any, ..group("slim", "aws:us-east-1", "t3.large", 6) };
    let outcome = solved(vec![voter, slim], Rules::default());
    assert_eq!(kinds(&outcome), [ProposalKind::Commit, ProposalKind::Spot]);
    let mixes: Vec<_> = outcome.choices.iter().map(|choice| choice.as_ref().unwrap().mix).collect();
    assert_eq!((mixes[0].spot, mixes[0].reserved, mixes[0].term), (0, 2, Some(Term::OneYear)));
    assert_eq!((mixes[1].spot, mixes[1].reserved), (6, 0));
    // 2 × 0.68 × 730 × 37.27 %.
    assert_eq!(outcome.proposals[0].saving, usd("370.01656"));
    assert!(outcome.exact);
}

#[test]
fn a_part_may_be_interrupted() {
    let part = Interruption::Part(Ratio::percent(50));
    let slim = Group { interruption: part, ..group("slim", "aws:us-east-1", "t3.large", 5) };
    let outcome = solved(vec![slim], Rules::default());
    let mix = outcome.choices[0].as_ref().unwrap().mix;
    assert_eq!((mix.spot, mix.reserved), (2, 3));
    assert_eq!(kinds(&outcome), [ProposalKind::Commit, ProposalKind::Spot]);
}

#[test]
fn where_no_spot_market_exists_none_is_proposed() {
    let slim = Group { interruption: Interruption::Any, ..group("slim", "azure:eastus", "Standard_B2s", 12) };
    let outcome = solved(vec![slim], Rules::default());
    assert!(outcome.proposals.is_empty(), "{:?}", outcome.proposals);
    assert_eq!(outcome.saving(), Money::ZERO);
}

#[test]
fn a_promise_must_pay_off() {
    // A third of the machines always runs; the others run 40 % of the hours, below the break-even of 62.7 %.
    let elastic =
        Group { steady: 2, busy: Ratio::percent(40), ..group("business", "aws:us-east-1", "t3.medium", 6) };
    let mix = |busy| {
        let outcome = solved(vec![Group { busy, ..elastic.clone() }], Rules::default());
        outcome.choices[0].as_ref().unwrap().mix
    };
    assert_eq!((mix(Ratio::percent(40)).reserved, mix(Ratio::percent(40)).on_demand), (2, 4));
    assert_eq!((mix(Ratio::percent(62)).reserved, mix(Ratio::percent(63)).reserved), (2, 6));
    let none = Rules { longest_term: None, ..Rules::default() };
    assert!(solved(vec![elastic], none).proposals.is_empty());
}

#[test]
fn a_voter_on_the_spot_market_is_taken_off_it() {
    let voter = Group {
        purchase: Purchase::Spot,
        interruption: Interruption::Voter,
        ..group("voter", "aws:us-east-1", "c6i.4xlarge", 3)
    };
    let outcome = solved(vec![voter], Rules::default());
    assert_eq!(outcome.choices[0].as_ref().unwrap().mix.spot, 0);
    assert!(outcome.saving() < Money::ZERO, "it costs more, and says so");
}

#[test]
fn a_type_that_meets_the_need_for_less() {
    let need = Need { size: Size::of(4, 8), arch: Some(Arch::X86_64), shared: false };
    let over = Group { need: Some(need), ..group("web", "aws:us-east-1", "c6i.4xlarge", 3) };
    let rules = Rules { longest_term: None, ..Rules::default() };
    let outcome = solved(vec![over], rules);
    assert_eq!(kinds(&outcome), [ProposalKind::RightSize]);
    let chosen = outcome.choices[0].as_ref().unwrap();
    let cheapest = PriceBook::builtin().cheapest(&place("aws:us-east-1"), need).unwrap();
    assert_eq!(chosen.type_name, cheapest.name);
}

#[test]
fn cheaper_regions_only_where_users_stay_near() {
    let near = |most_micros| {
        let web = Group {
            candidates: vec![place("azure:eastus"), place("azure:westus"), place("azure:centralindia")],
            near: vec![Near { place: place("azure:westus"), most_micros }],
            ..group("web", "azure:westus", "Standard_D8s_v5", 4)
        };
        let outcome = solved(vec![web], Rules { longest_term: None, ..Rules::default() });
        outcome.choices[0].as_ref().unwrap().place.clone()
    };
    assert_eq!(near(20_000), place("azure:westus"));
    assert_eq!(near(80_000), place("azure:eastus"), "69 ms away and cheaper");
    assert_ne!(near(1_000_000), place("azure:westus"));
}

#[test]
fn talkers_are_placed_together() {
    let shard = |name: &str, at: &str| Group {
        candidates: vec![place("aws:us-east-1"), place("aws:us-west-2")],
        ..group(name, at, "t3.large", 1)
    };
    let problem = Problem {
        groups: vec![shard("a", "aws:us-east-1"), shard("b", "aws:us-west-2")],
        flows: vec![Flow {
            a: 0,
            b: 1,
            a_to_b: Quantity::units(10_000),
            b_to_a: Quantity::units(500),
            most_micros: None,
        }],
        rules: Rules { longest_term: None, ..Rules::default() },
        ..Problem::default()
    };
    let outcome = run(&problem);
    assert_eq!(kinds(&outcome), [ProposalKind::Together]);
    // 10,500 GB at 0.02; the machines cost the same in both.
    assert_eq!(outcome.saving(), usd("210"));
    let places: Vec<_> = outcome.choices.iter().map(|choice| &choice.as_ref().unwrap().place).collect();
    assert_eq!(places[0], places[1]);
}

#[test]
fn a_move_that_pays_off_only_on_the_spot_market_is_told_with_it() {
    // In this region the list price of the type is no lower, its spot price is.
    let book = PriceBook::builtin();
    let prices = |at: &str| {
        let machine = book.machine(&place(at), "t3.large").unwrap();
        (machine.on_demand.unwrap().amount, machine.spot.unwrap().amount)
    };
    let here = "aws:us-east-1";
    let regions = ["aws:us-west-2", "aws:us-east-2", "aws:ca-central-1", "aws:eu-west-1", "aws:ap-south-1"];
    let there = regions
        .into_iter()
        .find(|at| prices(at).0 >= prices(here).0 && prices(at).1 < prices(here).1)
        .expect("the data has such a region");
    let slim = Group {
        interruption: Interruption::Any,
        candidates: vec![place(there)],
        ..group("slim", here, "t3.large", 2)
    };
    let outcome = solved(vec![slim], Rules { longest_term: None, ..Rules::default() });
    assert_eq!(kinds(&outcome), [ProposalKind::Spot]);
    let told = &outcome.proposals[0];
    assert!(told.from.contains(here) && told.to.contains(there), "{told:?}");
    assert!(told.risk.contains("moved") && told.objective.contains("round trips"), "{told:?}");
}

#[test]
fn what_has_no_price_stays_and_is_named() {
    let unknown = group("odd", "aws:us-east-1", "no-such-type", 1);
    let known = group("web", "gcp:us-central1", "c2-standard-8", 1);
    let problem = Problem {
        groups: vec![unknown, known],
        // Google's traffic to another cloud is priced, but the group left out has no place to move to.
        flows: vec![Flow {
            a: 0,
            b: 1,
            a_to_b: Quantity::units(10),
            b_to_a: Quantity::units(10),
            most_micros: None,
        }],
        ..Problem::default()
    };
    let outcome = run(&problem);
    assert_eq!(outcome.left_out.len(), 1, "{:?}", outcome.left_out);
    assert!(outcome.left_out[0].reason.contains("no-such-type"));
    assert!(outcome.choices[0].is_none() && outcome.choices[1].is_some());
    assert_eq!(kinds(&outcome), [ProposalKind::Commit]);
}

#[test]
fn objects_move_to_the_class_that_is_cheapest_to_keep_and_read() {
    let class = |read_gb, slowest| {
        let objects = Objects {
            name: "backups".to_owned(),
            place: place("aws:us-east-1"),
            redundancy: Redundancy::Local,
            class: StorageClass::Hot,
            kept_gb: Quantity::units(1000),
            read_gb: Quantity::units(read_gb),
            slowest,
            objective: None,
        };
        let outcome = run(&Problem { objects: vec![objects], ..Problem::default() });
        (outcome.proposals.first().map(|proposal| proposal.to.clone()), outcome.saving())
    };
    assert_eq!(class(0, StorageClass::Hot), (None, Money::ZERO));
    assert_eq!(class(0, StorageClass::Cool), (Some("cool".to_owned()), usd("10.5")));
    assert_eq!(class(0, StorageClass::Archive), (Some("archive".to_owned()), usd("19.4")));
    // Reading 1,050 GB a month at 0.01 eats the saving.
    assert_eq!(class(1_050, StorageClass::Cool), (None, Money::ZERO));
}

#[test]
fn savings_are_stated_against_list() {
    let reserved = Purchase::Reserved(Term::OneYear);
    let web = Group { purchase: reserved, ..group("web", "gcp:us-central1", "c2-standard-8", 2) };
    let outcome = solved(vec![web], Rules::default());
    assert_eq!(outcome.saving(), Money::ZERO);
    assert_eq!(outcome.saving_against_list().unwrap().as_percent(), "37.0");
}

#[test]
fn many_groups_over_many_regions() {
    let regions: Vec<_> = PriceBook::builtin()
        .tables()
        .markets
        .iter()
        // Google and Azure have no known price for traffic between most of their regions.
        .filter(|market| market.provider == univrs_cost::Provider::Aws)
        .map(|market| univrs_cost::Place::new(market.provider, market.region))
        .collect();
    let need = Need { size: Size::of(2, 8), arch: Some(Arch::X86_64), shared: true };
    let groups: Vec<Group> = (0..40)
        .map(|index| Group {
            place: regions[index % regions.len()].clone(),
            candidates: regions.clone(),
            need: Some(need),
            ..group(
                &format!("group {index}"),
                "aws:us-east-1",
                PriceBook::builtin().cheapest(&regions[index % regions.len()], need).unwrap().name,
                3,
            )
        })
        .collect();
    let flows: Vec<Flow> = (1..40)
        .map(|b| Flow {
            a: b / 2,
            b,
            a_to_b: Quantity::units(700 * b as u64),
            b_to_a: Quantity::units(100),
            most_micros: None,
        })
        .collect();
    let problem = |search_limit| Problem {
        groups: groups.clone(),
        flows: Vec::clone(&flows),
        rules: Rules { search_limit, ..Rules::default() },
        ..Problem::default()
    };
    let (full, cut) = (run(&problem(1_000_000)), run(&problem(10)));
    assert!(full.left_out.is_empty(), "{:?}", full.left_out);
    assert!(full.exact && full.saving() > Money::ZERO);
    // A search that gives up says so, and what it found is still better than today. How long both take is measured in
    // benches/pricing.rs.
    assert!(!cut.exact);
    assert!(full.after <= cut.after && cut.after < cut.before);
}
