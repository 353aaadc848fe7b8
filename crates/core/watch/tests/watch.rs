//! The promises WAT-1 to WAT-4 of the crate.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use univrs_model::alert::{Alert, AlertRule, AlertState};
use univrs_model::event::Severity;
use univrs_model::ids::{InstanceId, ResourceId};
use univrs_model::name::Name;
use univrs_model::usage::{Measured, Meter, Reading, UsageEntry, window_of};
use univrs_watch::alerts::{Facts, Pending, ResourceFacts, evaluate};
use univrs_watch::meter::{Look, look};
use univrs_watch::price::Money;
use univrs_watch::statement::{events, statement};
use univrs_watch::tiers::Tiers;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn org() -> Name {
    "acme".parse().unwrap()
}

prop_compose! {
    fn entries()(made in prop::collection::vec(
        (0_u128..4, 0_usize..3, 0_i64..400, prop::collection::btree_map(0_usize..8, 1_u64..1 << 40, 1..6)), 0..40,
    )) -> Vec<UsageEntry> {
        let mut all: BTreeMap<(u128, i64), UsageEntry> = BTreeMap::new();
        for (resource, tier, hour, amounts) in made {
            all.insert((resource, hour), UsageEntry {
                resource: ResourceId::from_bits(resource),
                name: "db".parse().unwrap(),
                template: "postgres-small".to_owned(),
                tier: ["free", "basic", "pro"][tier].to_owned(),
                source: "control".to_owned(),
                from: at(hour * 3600),
                to: at(hour * 3600 + 3600),
                amounts: amounts.into_iter().map(|(meter, amount)| (Meter::ALL[meter], amount)).collect(),
            });
        }
        all.into_values().collect()
    }
}

fn parts(exact: &str) -> u128 {
    exact.replace('.', "").parse().unwrap()
}

proptest! {
    /// WAT-1, WAT-2: against a second computation that multiplies each event by itself.
    #[test]
    fn statements_are_the_sum_of_events(all in entries(), split in 0_i64..400, seed in any::<u64>()) {
        let tiers = Tiers::builtin();
        let whole = statement(&org(), at(0), at(400 * 3600), &all, &tiers);
        let by_hand: u128 = all.iter().flat_map(|entry| events(&org(), entry)).map(|event| {
            let price = tiers.tiers[&event.data.tier].prices.get(&event.data.meter).copied().unwrap_or(0);
            u128::from(event.data.amount) * u128::from(price)
        }).sum();
        prop_assert_eq!(parts(&whole.exact), by_hand);
        let halves = [(0, split), (split, 400)].map(|(from, to)| {
            parts(&statement(&org(), at(from * 3600), at(to * 3600), &all, &tiers).exact)
        });
        prop_assert_eq!(halves[0] + halves[1], by_hand);
        // Again, in another order and with entries that come twice.
        let mut shuffled = all.clone();
        let turn = usize::try_from(seed % 7).unwrap().min(shuffled.len());
        shuffled.rotate_left(turn);
        shuffled.extend(all.iter().take(turn).cloned());
        prop_assert_eq!(statement(&org(), at(0), at(400 * 3600), &shuffled, &tiers), whole);
    }

    /// WAT-3: what windows hold together is what the counters grew by, over restarts of containers and looks that saw
    /// nothing. Only what nobody saw before a restart is lost.
    #[test]
    fn meters_count_all_and_never_backwards(
        steps in prop::collection::vec((1_i64..2000, 0_u64..1 << 30, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let name = "container/app".to_owned();
        let (instance, resource) = (InstanceId::from_bits(1), ResourceId::from_bits(1));
        let mut measured = Measured::begun(instance, resource, org(), at(0));
        let (mut now, mut counter, mut since, mut grew) = (0, 0_u64, at(0), 0_u64);
        let (mut held, mut unseen, mut answered, mut told, mut last) = (0, 0, 0, 0, 0);
        for (wait, growth, restarted, hidden) in steps {
            now += wait;
            if restarted {
                grew -= std::mem::take(&mut unseen);
                (counter, since, last) = (0, at(now), 0);
            }
            counter += growth;
            grew += growth;
            // Requests are not said at every look, and what was not said is not lost.
            let requests = (!hidden && counter % 3 != 0).then_some(counter);
            let reading = Reading { since, cpu_micros: counter, network_in: counter, network_out: 0, requests };
            let readings = if hidden { BTreeMap::new() } else { [(name.clone(), reading)].into() };
            unseen = if hidden { unseen + growth } else { 0 };
            let seen = Look { at: at(now), readings, memory: 1, storage: 2 };
            if let Some(over) = look(&mut measured, &seen) {
                prop_assert!(over.closed && over.window < measured.window);
                prop_assert_eq!(measured.window, window_of(at(now)));
                held += over.cpu_micros;
                answered += over.requests.unwrap_or(0);
            }
            told += requests.map_or(0, |all| all - std::mem::replace(&mut last, all));
        }
        prop_assert_eq!(held + measured.cpu_micros, grew - unseen);
        prop_assert_eq!(answered + measured.requests.unwrap_or(0), told);
    }

    /// WAT-4: no alert comes or goes in less than its time, and a picture that is shown again changes nothing.
    #[test]
    fn alerts_do_not_flap(full in prop::collection::vec(0_u64..101, 1..60)) {
        let mut known: BTreeMap<String, Alert> = BTreeMap::new();
        let mut pending = Pending::default();
        let mut last_change = -60;
        for (step, share) in (0_i64..).zip(full) {
            let now = at(step * 20);
            let facts = Facts { resources: vec![resource(Some(true), Some((share, 100)))], ..Facts::default() };
            for alert in evaluate(&facts, &known, &mut pending, now) {
                prop_assert_eq!(alert.rule, AlertRule::StorageFull);
                prop_assert!(now.as_second() - last_change >= 60);
                prop_assert_eq!(alert.number, known.get(&alert.id).map_or(1, |before| before.number + 1));
                last_change = now.as_second();
                known.insert(alert.id.clone(), alert);
            }
            prop_assert_eq!(evaluate(&facts, &known, &mut pending, now), []);
        }
    }
}

fn resource(serves: Option<bool>, storage: Option<(u64, u64)>) -> ResourceFacts {
    ResourceFacts {
        id: ResourceId::from_bits(1),
        name: "db".parse().unwrap(),
        serves,
        message: "nobody answers".to_owned(),
        storage,
        backup_due: None,
    }
}

/// Shows pictures one after the other, `seconds` apart; answers what changed as `state severity` at each.
fn shown(pictures: &[(i64, Facts)]) -> Vec<String> {
    let (mut known, mut pending) = (BTreeMap::new(), Pending::default());
    let mut told = Vec::new();
    for (second, facts) in pictures {
        for alert in evaluate(facts, &known, &mut pending, at(*second)) {
            told.push(format!("{second} {:?} {:?}", alert.state, alert.severity));
            known.insert(alert.id.clone(), alert);
        }
    }
    told
}

#[test]
fn storage_is_told_at_two_levels_and_ends_below_where_it_began() {
    let full =
        |share| Facts { resources: vec![resource(Some(true), Some((share, 100)))], ..Facts::default() };
    let pictures = [
        (0, full(79)),
        (100, full(80)),
        (160, full(80)),
        (200, full(96)),
        (230, full(79)), // not for long enough
        (240, full(96)),
        (300, full(96)),
        (400, full(91)), // below 95, not below 90
        (500, full(91)),
        (600, full(89)),
        (660, full(89)),
        (700, full(76)),
        (800, full(76)),
        (900, full(74)),
        (960, full(74)),
    ];
    assert_eq!(
        shown(&pictures),
        ["160 Firing Warning", "300 Firing Error", "660 Firing Warning", "960 Resolved Warning"]
    );
}

#[test]
fn a_resource_that_is_down_is_told_after_its_time_and_its_recovery_too() {
    let now = |serves| Facts { resources: vec![resource(serves, None)], ..Facts::default() };
    let pictures = [
        (0, now(Some(true))),
        (10, now(Some(false))),
        (20, now(Some(true))), // a moment only
        (30, now(Some(false))),
        (60, now(Some(false))),
        (70, now(None)), // being changed is neither
        (200, now(None)),
        (210, now(Some(true))),
        (240, now(Some(true))),
    ];
    assert_eq!(shown(&pictures), ["60 Firing Error", "240 Resolved Error"]);
}

#[test]
fn what_is_gone_is_over_and_late_backups_and_costs_are_told_at_once() {
    let late = ResourceFacts { backup_due: Some(at(50)), ..resource(Some(true), None) };
    let facts = Facts {
        resources: vec![late.clone()],
        capacity: vec![("memory", 91)],
        cost: Some((Money::whole(10), Money::whole(10))),
    };
    let without = Facts { resources: Vec::new(), ..facts.clone() };
    let mut known = BTreeMap::new();
    let mut pending = Pending::default();
    let mut rules = |facts: &Facts, second| {
        let changed = evaluate(facts, &known, &mut pending, at(second));
        known.extend(changed.iter().map(|alert| (alert.id.clone(), alert.clone())));
        changed.into_iter().map(|alert| (alert.rule, alert.state, alert.severity)).collect::<Vec<_>>()
    };
    use AlertState::{Firing, Resolved};
    assert_eq!(rules(&facts, 40), [(AlertRule::Cost, Firing, Severity::Warning)]);
    assert_eq!(rules(&facts, 60), [(AlertRule::BackupOld, Firing, Severity::Warning)]);
    assert_eq!(rules(&facts, 100), [(AlertRule::Capacity, Firing, Severity::Warning)]);
    assert_eq!(rules(&without, 110), [(AlertRule::BackupOld, Resolved, Severity::Warning)]);
}
