//! The promises over drawn pictures, and the turns of one certificate's life.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use univrs_model::Timestamp;
use univrs_model::certificate::{Attempt, Certificate, Issued};
use univrs_model::ids::{DataKeyId, SecretId};
use univrs_model::name::Name;
use univrs_model::secret::SecretVersion;

use super::{AT_ONCE, Picture, Step, decide, next_attempt, renew_at};

const DIRECTORY: &str = "https://ca.test/dir";
const DAY: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn issued(from: i64, to: i64) -> Issued {
    Issued {
        chain: String::new(),
        not_before: at(from),
        not_after: at(to),
        issued_at: at(from),
        directory: DIRECTORY.to_owned(),
        version: SecretVersion { secret: SecretId::from_bits(1), version: 1 },
        key: DataKeyId::from_bits(1),
        sealed: String::new(),
    }
}

fn attempt(next: i64, busy: Option<i64>) -> Attempt {
    Attempt { begun_at: at(0), failures: 1, next_at: at(next), busy_until: busy.map(at), error: None }
}

fn certificate(host: &str, issued: Option<Issued>, attempt: Option<Attempt>) -> Certificate {
    Certificate { host: host.to_owned(), org: Name::default_org(), issued, attempt }
}

fn steps(certificates: &[Certificate], wanted: &[&str], now: i64) -> Vec<Step> {
    let picture = Picture {
        wanted: wanted.iter().map(|host| ((*host).to_owned(), Name::default_org())).collect(),
        known: certificates.iter().map(|known| (known.host.clone(), known)).collect(),
        directory: DIRECTORY,
        seed: 7,
    };
    decide(&picture, at(now))
}

fn order(host: &str) -> Step {
    Step::Order { host: host.to_owned(), org: Name::default_org() }
}

#[test]
fn a_certificate_is_ordered_renewed_and_forgotten() {
    assert_eq!(steps(&[], &["a.test"], 0), [order("a.test")]);
    let held = |attempt| vec![certificate("a.test", Some(issued(0, 90 * DAY)), attempt)];
    assert_eq!(steps(&held(None), &["a.test"], 59 * DAY), []);
    assert_eq!(steps(&held(None), &["a.test"], 64 * DAY), [order("a.test")]);
    assert_eq!(steps(&held(Some(attempt(65 * DAY, None))), &["a.test"], 64 * DAY), [], "it waits");
    assert_eq!(steps(&held(Some(attempt(0, Some(65 * DAY)))), &["a.test"], 64 * DAY), [], "it is under way");
    assert_eq!(steps(&held(Some(attempt(0, Some(63 * DAY)))), &["a.test"], 64 * DAY), [order("a.test")]);
    assert_eq!(steps(&held(None), &[], 64 * DAY), [], "it may be wanted again");
    assert_eq!(steps(&held(None), &[], 91 * DAY), [Step::Forget { host: "a.test".to_owned() }]);
}

#[test]
fn another_owner_or_another_authority_needs_another_certificate() {
    let mut of_other = certificate("a.test", Some(issued(0, 90 * DAY)), None);
    of_other.org = "acme".parse().unwrap();
    assert_eq!(steps(&[of_other], &["a.test"], DAY), [order("a.test")]);
    let mut staging = issued(0, 90 * DAY);
    staging.directory = "https://staging.test/dir".to_owned();
    assert_eq!(steps(&[certificate("a.test", Some(staging), None)], &["a.test"], DAY), [order("a.test")]);
}

#[test]
fn who_is_without_comes_before_who_renews() {
    let known = [certificate("a.test", Some(issued(0, 90 * DAY)), None)];
    let due = steps(&known, &["a.test", "b.test", "c.test"], 80 * DAY);
    assert_eq!(due, [order("b.test"), order("c.test")]);
}

#[test]
fn a_wish_of_the_authority_counts() {
    let wish = Some(SignedDuration::from_hours(3));
    assert_eq!(next_attempt("a.test", 1, wish, 7, at(0)), at(3 * 3600));
    assert!(next_attempt("a.test", 30, wish, 7, at(0)) > at(18 * 3600));
}

proptest! {
    #[test]
    fn the_promises_hold(
        drawn in proptest::collection::btree_map(
            "[a-d]\\.test",
            (proptest::option::of((0..50i64, 51..200i64)), proptest::option::of((0..200i64, proptest::option::of(0..200i64)))),
            0..4,
        ),
        wanted in proptest::collection::btree_set("[a-e]\\.test", 0..5),
        now in 0..200i64,
        seed: u64,
    ) {
        let known: BTreeMap<String, Certificate> = drawn
            .into_iter()
            .map(|(host, (life, tried))| {
                let issued = life.map(|(from, to)| issued(from * DAY, to * DAY));
                let attempt = tried.map(|(next, busy)| attempt(next * DAY, busy.map(|busy| busy * DAY)));
                (host.clone(), certificate(&host, issued, attempt))
            })
            .collect();
        let picture = Picture {
            wanted: wanted.iter().map(|host| (host.clone(), Name::default_org())).collect(),
            known: known.iter().map(|(host, known)| (host.clone(), known)).collect(),
            directory: DIRECTORY,
            seed,
        };
        let now = at(now * DAY);
        let steps = decide(&picture, now);
        let orders: Vec<&String> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Order { host, .. } => Some(host),
                Step::Forget { .. } => None,
            })
            .collect();
        let busy = |one: &Certificate| one.attempt.as_ref().is_some_and(|a| a.busy_until.is_some_and(|until| until > now));
        let waits = |one: &Certificate| one.attempt.as_ref().is_some_and(|a| a.next_at > now);
        let under_way = known.values().filter(|one| busy(one)).count();
        prop_assert!(orders.len() + under_way <= AT_ONCE.max(under_way), "CER-3");
        for host in &orders {
            let one = known.get(*host);
            prop_assert!(wanted.contains(*host) && one.is_none_or(|one| !busy(one) && !waits(one)), "CER-3");
            if let Some(issued) = one.and_then(|one| one.issued.as_ref()) {
                let life = issued.not_after.duration_since(issued.not_before);
                prop_assert!(now.duration_since(issued.not_before) >= life / 3 * 2, "CER-1");
            }
        }
        if under_way + orders.len() < AT_ONCE {
            for host in wanted.iter().filter(|host| !orders.contains(host)) {
                let Some(one) = known.get(host) else { return Err(TestCaseError::fail("CER-2: without one")) };
                let fresh = one.issued.as_ref().is_some_and(|issued| {
                    now < renew_at(host, issued.not_before, issued.not_after, seed)
                });
                prop_assert!(fresh || busy(one) || waits(one), "CER-2");
            }
        }
    }

    #[test]
    fn waits_grow_and_are_bounded(host in "[a-z]{1,8}", failures in 1..40u32, wish in proptest::option::of(0..200_000i64), seed: u64) {
        let now = at(1000);
        let wish = wish.map(SignedDuration::from_secs);
        let next = next_attempt(&host, failures, wish, seed, now);
        let later = next_attempt(&host, failures + 1, wish, seed, now);
        let wait = next.duration_since(now);
        prop_assert!(wait >= SignedDuration::from_secs(45) && wait >= wish.unwrap_or_default());
        prop_assert!(wait <= SignedDuration::from_hours(24).max(wish.unwrap_or_default()));
        // At the longest wait only the spread differs.
        prop_assert!(later >= next || wait >= SignedDuration::from_hours(18));
    }

    #[test]
    fn renewal_lies_between_two_thirds_and_the_end(from in 0..1000i64, life in 1..10_000i64, host in "[a-z]{1,8}", seed: u64) {
        let (start, end) = (at(from * 3600), at((from + life) * 3600));
        let due = renew_at(&host, start, end, seed);
        prop_assert!(due.duration_since(start) >= SignedDuration::from_secs(life * 2400) && due < end);
    }
}
