//! Which alerts a picture of the state calls for.
//!
//! Every rule has a level at which it begins and a lower one at which it ends, and a time for which either must hold,
//! so that what swings around a limit is told once.

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::Timestamp;
use univrs_model::alert::{Alert, AlertRule, AlertState};
use univrs_model::event::Severity;
use univrs_model::ids::ResourceId;
use univrs_model::name::Name;

use crate::price::Money;

/// A volume this full (in percent) is a warning, and one so full an error; each ends 5 below.
const STORAGE: [(u64, Severity); 2] = [(95, Severity::Error), (80, Severity::Warning)];
/// A cluster this full (in percent) is a warning; it ends 5 below.
const CAPACITY: [(u64, Severity); 1] = [(90, Severity::Warning)];
/// By how much a share must fall below where an alert began until it ends.
const BACK: u64 = 5;

/// What alerts are made from, of one organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its resources.
    pub resources: Vec<ResourceFacts>,
    /// How full the cluster is, by what there is of it, in percent; for the organisation that is told of it.
    pub capacity: Vec<(&'static str, u64)>,
    /// What this month has cost so far, and from what cost on someone is told.
    pub cost: Option<(Money, Money)>,
}

/// A resource as alerts see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFacts {
    /// Its id.
    pub id: ResourceId,
    /// Its name.
    pub name: Name,
    /// Whether it serves; absent while it is being made, changed or removed.
    pub serves: Option<bool>,
    /// Why not, for people.
    pub message: String,
    /// How full its fullest volume is: bytes used and bytes that fit.
    pub storage: Option<(u64, u64)>,
    /// By when the next backup should have been there.
    pub backup_due: Option<Timestamp>,
}

/// What is wanted by now and not for long enough yet, by alert. Lost with its process: times then begin anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending(BTreeMap<String, (Option<Severity>, Timestamp)>);

/// One thing that may be wrong.
struct Condition {
    rule: AlertRule,
    subject: String,
    level: Option<Severity>,
    message: String,
}

/// The alerts that change, as they are then. `known` are those that were there, by id.
pub fn evaluate(
    facts: &Facts,
    known: &BTreeMap<String, Alert>,
    pending: &mut Pending,
    now: Timestamp,
) -> Vec<Alert> {
    let conditions = conditions(facts, known, now);
    let named: BTreeSet<&String> = conditions.keys().collect();
    // What nobody speaks of any more is over: the resource is gone.
    let gone = known
        .iter()
        .filter(|(id, alert)| alert.state == AlertState::Firing && !named.contains(id))
        .map(|(id, alert)| {
            let over = Condition {
                rule: alert.rule,
                subject: alert.subject.clone(),
                level: None,
                message: "it is gone".to_owned(),
            };
            (id.clone(), over)
        });
    let all: Vec<(String, Condition)> = gone.collect();
    pending.0.retain(|id, _| conditions.contains_key(id) || known.contains_key(id));
    let mut changed = Vec::new();
    for (id, condition) in conditions.into_iter().chain(all) {
        let before = known.get(&id);
        let firing = before.filter(|alert| alert.state == AlertState::Firing).map(|alert| alert.severity);
        if condition.level == firing {
            pending.0.remove(&id);
            continue;
        }
        let since = match pending.0.get(&id) {
            Some((level, since)) if *level == condition.level => *since,
            _ => {
                pending.0.insert(id.clone(), (condition.level, now));
                now
            }
        };
        if now.as_second() - since.as_second() < holds(condition.rule) {
            continue;
        }
        pending.0.remove(&id);
        changed.push(Alert {
            id,
            rule: condition.rule,
            subject: condition.subject,
            severity: condition.level.or(firing).unwrap_or_default(),
            state: if condition.level.is_some() { AlertState::Firing } else { AlertState::Resolved },
            message: condition.message,
            since: match before {
                Some(alert) if firing.is_some() => alert.since,
                _ => since,
            },
            changed_at: now,
            number: before.map_or(1, |alert| alert.number + 1),
            silenced_until: before.and_then(|alert| alert.silenced_until).filter(|until| *until > now),
        });
    }
    changed
}

/// For how many seconds a change must hold before it is one.
const fn holds(rule: AlertRule) -> i64 {
    match rule {
        AlertRule::ResourceDown => 30,
        AlertRule::StorageFull | AlertRule::Capacity => 60,
        AlertRule::Cost | AlertRule::BackupOld => 0,
    }
}

fn conditions(facts: &Facts, known: &BTreeMap<String, Alert>, now: Timestamp) -> BTreeMap<String, Condition> {
    let firing = |id: &str| {
        known.get(id).filter(|alert| alert.state == AlertState::Firing).map(|alert| alert.severity)
    };
    let mut found = BTreeMap::new();
    for resource in &facts.resources {
        let subject = format!("resource/{}", resource.name);
        let id = |rule: AlertRule| format!("{}-{}", rule.as_str(), resource.id);
        let down = id(AlertRule::ResourceDown);
        let level = match resource.serves {
            Some(serves) => (!serves).then_some(Severity::Error),
            // A change is neither.
            None => firing(&down),
        };
        let message = match level {
            Some(_) => format!("{} does not serve: {}", resource.name, resource.message),
            None => format!("{} serves", resource.name),
        };
        found.insert(
            down,
            Condition { rule: AlertRule::ResourceDown, subject: subject.clone(), level, message },
        );
        if let Some((used, fits)) = resource.storage.filter(|(_, fits)| *fits > 0) {
            let full = id(AlertRule::StorageFull);
            let share = percent(used, fits);
            let level = level_of(&STORAGE, share, firing(&full));
            let message = format!("a volume of {} is {share} % full ({used} of {fits} bytes)", resource.name);
            found.insert(
                full,
                Condition { rule: AlertRule::StorageFull, subject: subject.clone(), level, message },
            );
        }
        if let Some(due) = resource.backup_due {
            let level = (due < now).then_some(Severity::Warning);
            let message = match level {
                Some(_) => format!("{} should have been backed up by {due}", resource.name),
                None => format!("{} is backed up", resource.name),
            };
            found.insert(
                id(AlertRule::BackupOld),
                Condition { rule: AlertRule::BackupOld, subject, level, message },
            );
        }
    }
    for (what, share) in &facts.capacity {
        let id = format!("{}-{what}", AlertRule::Capacity.as_str());
        let level = level_of(&CAPACITY, *share, firing(&id));
        let message = format!("{share} % of the cluster's {what} is set aside");
        found.insert(
            id,
            Condition { rule: AlertRule::Capacity, subject: format!("cluster/{what}"), level, message },
        );
    }
    if let Some((cost, from)) = facts.cost {
        let level = (cost >= from).then_some(Severity::Warning);
        let message = format!("this month has cost {}; {} was said", cost.rounded(), from.rounded());
        found.insert(
            AlertRule::Cost.as_str().to_owned(),
            Condition { rule: AlertRule::Cost, subject: "org/cost".to_owned(), level, message },
        );
    }
    found
}

/// The level that a share has, where a level that is held ends later than it begins.
fn level_of(levels: &[(u64, Severity)], share: u64, held: Option<Severity>) -> Option<Severity> {
    let reached = |(from, severity): &&(u64, Severity)| {
        let from = if held.is_some_and(|held| held >= *severity) { from.saturating_sub(BACK) } else { *from };
        share >= from
    };
    levels.iter().find(reached).map(|(_, severity)| *severity)
}

/// How much of the whole a part is, in whole percent.
pub fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(u64::MAX)
}
