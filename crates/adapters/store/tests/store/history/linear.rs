//! Whether what clients saw of one key could have come from one register that does one thing at a time.
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory of
//! configurations that led nowhere ("Testing for linearizability", 2017). A call whose outcome is unknown may take
//! effect at any time after it began, or never.

use std::collections::HashSet;

use univrs_ports::store::Revision;

/// What is under a key: nothing, or the number of the write that put it there. Numbers are unique in a history.
pub(crate) type Value = Option<u64>;

/// What a call did, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    /// Saw this.
    Read(Value),
    /// Set this, whatever was there.
    Write(Value),
    /// Found the first and set the second.
    Swap(Value, Value),
    /// Found something else than this, and changed nothing.
    Refused(Value),
}

impl Did {
    /// What is there afterwards, if the call can happen now.
    fn apply(self, now: Value) -> Option<Value> {
        match self {
            Did::Read(seen) => (seen == now).then_some(now),
            Did::Write(next) => Some(next),
            Did::Swap(expected, next) => (expected == now).then_some(next),
            Did::Refused(expected) => (expected != now).then_some(now),
        }
    }

    fn changes(self) -> bool {
        matches!(self, Did::Write(_) | Did::Swap(..))
    }

    fn mentions(self, value: Value) -> bool {
        match self {
            Did::Read(one) | Did::Write(one) | Did::Refused(one) => one == value,
            Did::Swap(one, other) => one == value || other == value,
        }
    }
}

/// One call of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) client: usize,
    pub(crate) did: Did,
    /// Microseconds since the run began.
    pub(crate) invoked: u64,
    /// When the client had its answer; `None` when it never had one.
    pub(crate) returned: Option<u64>,
    /// The revision that it was answered with.
    pub(crate) revision: Option<Revision>,
}

/// The calls that have happened, and what is under the key then.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration {
    done: Vec<u64>,
    value: Value,
}

impl Configuration {
    fn has(&self, call: usize) -> bool {
        self.done[call / 64] & (1 << (call % 64)) != 0
    }

    fn with(&self, call: usize, value: Value) -> Self {
        let mut done = self.done.clone();
        done[call / 64] |= 1 << (call % 64);
        Self { done, value }
    }
}

/// Whether there is an order of the calls, each at one instant between its beginning and its end, that a register
/// that begins empty could have answered so.
pub(crate) fn is_linearizable(calls: &[Call]) -> bool {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.invoked);
    let start = Configuration { done: vec![0; calls.len().div_ceil(64)], value: None };
    let mut tried = HashSet::new();
    let mut open = vec![start];
    while let Some(now) = open.pop() {
        let next = candidates(&calls, &now);
        if !calls.iter().enumerate().any(|(at, call)| call.returned.is_some() && !now.has(at)) {
            return true;
        }
        for at in next {
            let Some(value) = calls[at].did.apply(now.value) else { continue };
            let then = now.with(at, value);
            if tried.insert(then.clone()) {
                open.push(then);
            }
        }
    }
    false
}

/// The calls that may come next: those that began before any other that has not happened ended. The last one is tried
/// first: the one that ended first, and those without an end only when nothing else helps.
fn candidates(calls: &[Call], now: &Configuration) -> Vec<usize> {
    let missing = || (0..calls.len()).filter(|at| !now.has(*at));
    let first_end = missing().filter_map(|at| calls[at].returned).min().unwrap_or(u64::MAX);
    let mut next: Vec<usize> = missing().filter(|at| calls[*at].invoked <= first_end).collect();
    next.sort_by_key(|at| std::cmp::Reverse(calls[*at].returned.unwrap_or(u64::MAX)));
    next
}

/// The part of a history that shows that it is not linearizable: the shortest beginning of it that fails, without the
/// calls that do not matter for that.
pub(crate) fn smallest_failure(calls: &[Call]) -> Vec<Call> {
    let mut ends: Vec<u64> = calls.iter().filter_map(|call| call.returned).collect();
    ends.sort_unstable();
    // The beginning of a linearizable history is linearizable, so one look at the middle halves the search.
    let first = ends.partition_point(|end| is_linearizable(&beginning(calls, *end)));
    let mut part = ends.get(first).map_or_else(|| calls.to_vec(), |end| beginning(calls, *end));
    part.sort_by_key(|call| call.invoked);
    loop {
        let before = part.len();
        drop_what_does_not_matter(&mut part);
        if part.len() == before {
            return part;
        }
    }
}

/// Leaves out reads and refusals that are not needed for the failure, and writes that nobody mentions any more.
fn drop_what_does_not_matter(part: &mut Vec<Call>) {
    let mut at = 0;
    while at < part.len() {
        let call = part.remove(at);
        let written = match call.did {
            Did::Write(value) | Did::Swap(_, value) => value,
            Did::Read(_) | Did::Refused(_) => None,
        };
        let mentioned = written.is_none() || part.iter().any(|other| other.did.mentions(written));
        if (call.did.changes() && mentioned) || is_linearizable(part) {
            part.insert(at, call);
            at += 1;
        }
    }
}

/// What was known at `end`: calls without an answer by then may or may not have had an effect.
fn beginning(calls: &[Call], end: u64) -> Vec<Call> {
    let begun = calls.iter().filter(|call| call.invoked <= end);
    let known = begun.filter_map(|call| match call.returned {
        Some(returned) if returned <= end => Some(*call),
        _ if call.did.changes() => Some(Call { returned: None, revision: None, ..*call }),
        _ => None,
    });
    known.collect()
}

/// Says a history line by line, in the order in which the calls began.
pub(crate) fn told(calls: &[Call]) -> String {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.invoked);
    let value = |value: Value| value.map_or_else(|| "nothing".to_owned(), |number| format!("#{number}"));
    let lines = calls.iter().map(|call| {
        let did = match call.did {
            Did::Read(seen) => format!("read {}", value(seen)),
            Did::Write(next) => format!("wrote {}", value(next)),
            Did::Swap(before, next) => format!("replaced {} by {}", value(before), value(next)),
            Did::Refused(expected) => format!("was refused: not {}", value(expected)),
        };
        let end = call.returned.map_or_else(|| "no answer".to_owned(), |at| format!("{at:>8}"));
        let revision = call.revision.map_or_else(String::new, |revision| format!(" (revision {revision})"));
        format!("  {:>8} .. {end} µs  client {}  {did}{revision}\n", call.invoked, call.client)
    });
    lines.collect()
}

mod tests {
    use proptest::prelude::*;

    use super::{Call, Did, Value, is_linearizable, smallest_failure};

    fn call(did: Did, invoked: u64, returned: Option<u64>) -> Call {
        Call { client: 0, did, invoked, returned, revision: None }
    }

    #[test]
    fn knows_right_from_wrong() {
        let (write, read) = (|n| Did::Write(Some(n)), |n| Did::Read(Some(n)));
        for (name, right, calls) in [
            ("in turn", true, vec![call(write(1), 0, Some(1)), call(read(1), 2, Some(3))]),
            ("stale", false, vec![call(write(1), 0, Some(1)), call(Did::Read(None), 2, Some(3))]),
            ("at once", true, vec![call(write(1), 0, Some(3)), call(Did::Read(None), 2, Some(4))]),
            (
                "back again",
                false,
                vec![
                    call(write(1), 0, Some(1)),
                    call(write(2), 2, Some(9)),
                    call(read(2), 3, Some(4)),
                    call(read(1), 5, Some(6)),
                ],
            ),
            ("unknown, later", true, vec![call(write(1), 0, None), call(read(1), 8, Some(9))]),
            ("unknown, never", true, vec![call(write(1), 0, None), call(Did::Read(None), 8, Some(9))]),
            (
                "unknown, and undone",
                false,
                vec![call(write(1), 0, None), call(read(1), 5, Some(6)), call(Did::Read(None), 8, Some(9))],
            ),
            (
                "two winners",
                false,
                vec![call(Did::Swap(None, Some(1)), 0, Some(9)), call(Did::Swap(None, Some(2)), 0, Some(9))],
            ),
            (
                "one winner",
                true,
                vec![call(Did::Swap(None, Some(1)), 0, Some(9)), call(Did::Refused(None), 0, Some(9))],
            ),
            ("refused for nothing", false, vec![call(Did::Refused(None), 0, Some(9))]),
        ] {
            assert_eq!(is_linearizable(&calls), right, "{name}");
        }
    }

    #[test]
    fn a_failure_is_told_without_what_does_not_matter() {
        let mut calls: Vec<Call> = (0..20)
            .flat_map(|n| {
                let at = n * 10;
                [call(Did::Write(Some(n)), at, Some(at + 1)), call(Did::Read(Some(n)), at + 2, Some(at + 3))]
            })
            .collect();
        calls.push(call(Did::Read(Some(7)), 105, Some(106)));
        let smallest = smallest_failure(&calls);
        let kinds: Vec<Did> = smallest.iter().map(|call| call.did).collect();
        assert_eq!(kinds, [Did::Write(Some(7)), Did::Write(Some(10)), Did::Read(Some(7))], "{smallest:?}");
    }

    /// Every order there is.
    fn by_force(calls: &[Call], left: &mut Vec<usize>, now: Value) -> bool {
        if left.iter().all(|at| calls[*at].returned.is_none()) {
            return true;
        }
        (0..left.len()).any(|position| {
            let at = left.remove(position);
            let early =
                left.iter().all(|other| calls[*other].returned.is_none_or(|end| end >= calls[at].invoked));
            let next = if early { calls[at].did.apply(now) } else { None };
            let found = next.is_some_and(|next| by_force(calls, left, next));
            left.insert(position, at);
            found
        })
    }

    fn any_call() -> impl Strategy<Value = Call> {
        let value = || prop::option::of(0_u64..3);
        let did = prop_oneof![
            3 => value().prop_map(Did::Read),
            2 => value().prop_map(Did::Write),
            2 => (value(), value()).prop_map(|(before, after)| Did::Swap(before, after)),
            1 => value().prop_map(Did::Refused),
        ];
        (did, 0_u64..20, 0_u64..8, prop::bool::weighted(0.8)).prop_map(|(did, invoked, length, answered)| {
            call(did, invoked, (answered || !did.changes()).then_some(invoked + length))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn finds_an_order_whenever_there_is_one(calls in prop::collection::vec(any_call(), 0..7)) {
            let mut all = (0..calls.len()).collect();
            let right = by_force(&calls, &mut all, None);
            prop_assert_eq!(is_linearizable(&calls), right);
            if !right {
                let smallest = smallest_failure(&calls);
                prop_assert!(!is_linearizable(&smallest));
                prop_assert!(smallest.len() <= calls.len());
            }
        }
    }
}
