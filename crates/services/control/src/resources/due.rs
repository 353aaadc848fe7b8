//! What is due by itself with a resource, decided from its record and the time alone: a backup by its schedule, new
//! credentials by their age.

use univrs_model::Timestamp;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_model::span::Span;
use univrs_rollout::next_runs;

/// How long after a try the next one is made, when it failed.
const AGAIN_AFTER: Span = Span::seconds(600);

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A backup.
    Backup,
    /// New credentials.
    Rotation,
}

/// When things were tried, as far as is known: a control node that has just begun to lead knows of none, and tries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    pub(super) backup: Option<Timestamp>,
    pub(super) rotation: Option<Timestamp>,
}

/// What is due with `resource` now, the more urgent first. Whether something is under way with it is for the caller.
/// What was missed while nobody looked is made up for once.
pub(super) fn due(resource: &Resource, tried: Tried, now: Timestamp) -> Option<Due> {
    // What does not serve cannot be copied, and is not to be changed besides.
    if resource.status != ResourceStatus::Active {
        return None;
    }
    let rested =
        |at: Option<Timestamp>| at.is_none_or(|at| after(at, AGAIN_AFTER).is_some_and(|at| at <= now));
    if rested(tried.backup) && backup_due(resource, now) {
        return Some(Due::Backup);
    }
    let changed = resource.rotated_at.unwrap_or(resource.created_at);
    let aged = resource.deployment.rotate_after.and_then(|age| after(changed, age));
    (rested(tried.rotation) && aged.is_some_and(|at| at <= now)).then_some(Due::Rotation)
}

fn backup_due(resource: &Resource, now: Timestamp) -> bool {
    let Some(schedule) = resource.deployment.backup.as_ref().and_then(|jobs| jobs.schedule.as_ref()) else {
        return false;
    };
    let last = resource.backups.last().map_or(resource.created_at, |backup| backup.created_at);
    next_runs(schedule, last, 1).first().is_some_and(|at| *at <= now)
}

fn after(at: Timestamp, span: Span) -> Option<Timestamp> {
    at.checked_add(jiff::SignedDuration::from(span)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use univrs_model::Timestamp;
    use univrs_model::ids::{OperationId, ResourceId};
    use univrs_model::resource::Resource;

    use super::{Due, Tried, due};

    fn at(text: &str) -> Timestamp {
        format!("2026-01-{text}:00Z").parse().unwrap()
    }

    /// Made on the first of January at noon.
    fn resource(more: Value) -> Resource {
        let mut document = json!({
            "id": ResourceId::from_bits(1), "org": "default", "name": "db", "template": "t", "template_version": 1,
            "provider": "mesh", "status": "ACTIVE", "operation": OperationId::from_bits(1),
            "created_at": at("01T12:00"), "updated_at": at("01T12:00"),
            "deployment": {
                "workloads": [], "rotate_after": "30d",
                "footprint": {"limits": {"cpu": "1", "memory": "1", "storage": "1"}, "requests": {"cpu": "1", "memory": "1", "storage": "1"}},
                "backup": {"keep": 7, "schedule": {"cron": "30 3 * * *"}, "backup": {}, "restore": {}},
            },
        });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(document).unwrap()
    }

    fn backed_up(when: &str) -> Value {
        json!([{"id": "b", "created_at": at(when), "bytes": 1, "sha256": ""}])
    }

    #[test]
    fn a_backup_is_due_when_its_time_has_passed_since_the_last() {
        let never = Tried::default();
        for (more, now, expected) in [
            (json!({}), "02T03:29", None),
            (json!({}), "02T03:30", Some(Due::Backup)),
            (json!({"backups": backed_up("02T03:31")}), "03T03:29", None),
            (json!({"backups": backed_up("02T03:31")}), "03T03:30", Some(Due::Backup)),
            // One by hand counts; days that were missed count once.
            (json!({"backups": backed_up("03T03:00")}), "03T03:31", Some(Due::Backup)),
            (json!({"backups": backed_up("02T03:31")}), "20T01:00", Some(Due::Backup)),
            (json!({"backups": backed_up("20T01:00")}), "20T01:01", None),
            (json!({"status": "DEGRADED"}), "03T03:30", None),
        ] {
            assert_eq!(due(&resource(more.clone()), never, at(now)), expected, "{more} {now}");
        }
    }

    #[test]
    fn what_failed_is_tried_again_after_a_while() {
        let resource = resource(json!({}));
        let tried = Tried { backup: Some(at("02T03:31")), rotation: None };
        assert_eq!(due(&resource, tried, at("02T03:40")), None);
        assert_eq!(due(&resource, tried, at("02T03:41")), Some(Due::Backup));
    }

    #[test]
    fn credentials_are_replaced_by_age() {
        let saved = |when: &str| json!({"backups": backed_up(when)});
        assert_eq!(due(&resource(saved("31T11:58")), Tried::default(), at("31T11:59")), None);
        assert_eq!(due(&resource(saved("31T11:58")), Tried::default(), at("31T12:00")), Some(Due::Rotation));
        let mut rotated = saved("31T11:58");
        rotated["rotated_at"] = json!(at("10T12:00"));
        assert_eq!(due(&resource(rotated), Tried::default(), at("31T12:00")), None);
        let tried = Tried { backup: None, rotation: Some(at("31T12:00")) };
        assert_eq!(due(&resource(saved("31T11:58")), tried, at("31T12:01")), None);
    }

    #[test]
    fn nothing_is_due_without_a_rule() {
        let mut plain = resource(json!({}));
        plain.deployment.rotate_after = None;
        plain.deployment.backup.as_mut().unwrap().schedule = None;
        assert_eq!(due(&plain, Tried::default(), at("31T23:00")), None);
    }
}
