//! When certificates of the ingress are ordered, renewed, tried again and forgotten: a pure function over a picture.
//!
//! Promises, each with its property test below:
//! - **CER-1** A certificate that serves and is younger than two thirds of its life is never ordered again.
//! - **CER-2** One that reached that age is ordered, unless an attempt is under way or the time of the next has not come.
//! - **CER-3** Never more than [`AT_ONCE`] orders are under way, and never two for one host.
//! - **CER-4** The wait after a failure grows with each, is at most a day, and never ends before the authority wants.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use univrs_model::Timestamp;
use univrs_model::certificate::Certificate;
use univrs_model::name::Name;

/// How many orders may be under way at once.
pub const AT_ONCE: usize = 2;
/// How long an order may take; whoever began it is gone after that.
pub const LONGEST_ORDER: SignedDuration = SignedDuration::from_mins(10);
/// The wait after a first failure. Authorities refuse a host that fails five times within an hour.
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// Each further wait is so many times as long.
const FACTOR: i32 = 4;
/// The longest wait that is not the authority's own wish.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// What is wanted and what there is.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    /// Hosts that are to have a certificate, and whose they are.
    pub wanted: BTreeMap<String, Name>,
    /// What there is, by host.
    pub known: BTreeMap<String, &'a Certificate>,
    /// Who is asked for certificates; one of another authority is replaced.
    pub directory: &'a str,
    /// Spreads what would otherwise happen at once.
    pub seed: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask for a certificate.
    Order {
        /// For this host.
        host: String,
        /// Whose it is.
        org: Name,
    },
    /// Nobody wants it any more, and it has ended.
    Forget {
        /// The host.
        host: String,
    },
}

/// What is to be done now. The most urgent orders come first.
pub fn decide(picture: &Picture<'_>, now: Timestamp) -> Vec<Step> {
    let busy = picture.known.values().filter(|known| under_way(known, now)).count();
    let mut due: Vec<(Timestamp, &String, &Name)> = picture
        .wanted
        .iter()
        .filter_map(|(host, org)| {
            let known = picture.known.get(host).copied();
            let since = due_since(picture, host, org, known);
            let open = known.is_none_or(|known| !under_way(known, now) && may_try(known, now));
            (open && since <= now).then_some((since, host, org))
        })
        .collect();
    due.sort();
    let orders = due
        .into_iter()
        .take(AT_ONCE.saturating_sub(busy))
        .map(|(_, host, org)| Step::Order { host: host.clone(), org: org.clone() });
    let over = picture.known.iter().filter(|(host, known)| {
        let ended = known.issued.as_ref().is_none_or(|issued| issued.not_after <= now);
        !picture.wanted.contains_key(*host) && ended && !under_way(known, now)
    });
    orders.chain(over.map(|(host, _)| Step::Forget { host: host.clone() })).collect()
}

/// From when on a host needs a certificate that it does not have: at once, or at two thirds of the life of its own.
fn due_since(picture: &Picture<'_>, host: &str, org: &Name, known: Option<&Certificate>) -> Timestamp {
    let issued = known.filter(|known| known.org == *org).and_then(|known| known.issued.as_ref());
    match issued.filter(|issued| issued.directory == picture.directory) {
        Some(issued) => renew_at(host, issued.not_before, issued.not_after, picture.seed),
        None => Timestamp::MIN,
    }
}

/// When a certificate of this life is renewed: after two thirds, and up to a twenty-fourth of its life later.
pub fn renew_at(host: &str, not_before: Timestamp, not_after: Timestamp, seed: u64) -> Timestamp {
    let life = not_after.duration_since(not_before).max(SignedDuration::ZERO);
    let spread = life / 24;
    let later = part(spread, drawn(host, 0, seed));
    not_before.checked_add(life / 3 * 2).and_then(|at| at.checked_add(later)).unwrap_or(not_after)
}

fn under_way(known: &Certificate, now: Timestamp) -> bool {
    known.attempt.as_ref().is_some_and(|attempt| attempt.busy_until.is_some_and(|until| until > now))
}

fn may_try(known: &Certificate, now: Timestamp) -> bool {
    known.attempt.as_ref().is_none_or(|attempt| attempt.next_at <= now)
}

/// When a host is tried again that has failed so many times in a row. `wish` is how long the authority wants to be left
/// alone.
pub fn next_attempt(
    host: &str,
    failures: u32,
    wish: Option<SignedDuration>,
    seed: u64,
    now: Timestamp,
) -> Timestamp {
    let mut wait = FIRST_WAIT;
    for _ in 1..failures {
        wait = wait.saturating_mul(FACTOR).min(LONGEST_WAIT);
    }
    // A quarter less at the most, so that hosts that failed together do not come back together.
    let wait = wait - part(wait / 4, drawn(host, failures, seed));
    let wait = wait.max(wish.unwrap_or(SignedDuration::ZERO));
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// So many thousandths of a time.
fn part(of: SignedDuration, thousandths: i32) -> SignedDuration {
    of / 1000 * thousandths
}

/// A number below a thousand that is the same for the same arguments (FNV-1a).
fn drawn(host: &str, turn: u32, seed: u64) -> i32 {
    let bytes = host.bytes().chain(turn.to_le_bytes()).chain(seed.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i32::try_from(hash % 1000).unwrap_or_default()
}

#[cfg(test)]
mod tests;
