//! TPL-1 to TPL-3 over every built-in template.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use univrs_model::field::FieldError;
use univrs_model::ids::ResourceId;
use univrs_model::name::Name;
use univrs_model::resource::{Deployment, RESOURCE_LABEL};
use univrs_template::{Context, Template, builtin, compile};

fn here() -> BTreeSet<String> {
    builtin()
        .iter()
        .flat_map(|template| template.images.values())
        .filter_map(|image| image.local.clone())
        .collect()
}

fn compiled(
    template: &Template,
    given: &Map<String, Value>,
    here: &BTreeSet<String>,
) -> Result<(Deployment, Map<String, Value>), Vec<FieldError>> {
    let (id, org) = (ResourceId::from_bits(7), Name::default_org());
    let name = "db".parse().unwrap();
    compile(template, given, &Context { id: &id, org: &org, name: &name, here })
}

fn named(id: &str) -> Template {
    builtin().into_iter().find(|template| template.id == id).unwrap()
}

/// What has to be given.
fn least(template: &Template) -> Map<String, Value> {
    let file = "services: {web: {image: web:1, volumes: [\"data:/data\"]}}\nvolumes: {data: }";
    match template.id.as_str() {
        "compose" => object(json!({"file": file})),
        _ => Map::new(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn every_template_compiles_with_its_defaults() {
    for template in builtin() {
        let (made, _) = compiled(&template, &least(&template), &here())
            .unwrap_or_else(|faults| panic!("{}: {faults:?}", template.id));
        for spec in &made.workloads {
            assert!(spec.name.as_str().starts_with("db"), "{}", template.id);
            assert!(spec.labels.contains_key(RESOURCE_LABEL), "{}", template.id);
            let (mut requests, mut limits) = (0, 0);
            for container in spec.containers() {
                let resources = container.resources;
                let (request, limit) = (resources.memory.get(), resources.memory_limit.unwrap().get());
                assert!(request.abs_diff(limit.div_ceil(4)) <= 1, "{}", template.id);
                requests += request;
                limits += limit;
            }
            assert_eq!(requests, u64::div_ceil(limits, 4), "{}", template.id);
        }
        let text = serde_json::to_string(&made).unwrap();
        for line in made.credentials.values() {
            assert!(!line.contains("{{name}}"), "{}: {line}", template.id);
        }
        assert!(text.contains("db"), "{}", template.id);
    }
}

#[test]
fn a_database_has_the_size_it_states() {
    let (made, parameters) = compiled(&named("postgres-small"), &Map::new(), &here()).unwrap();
    let (limits, requests) = (made.footprint.limits, made.footprint.requests);
    assert_eq!(limits.cpu.as_millicores(), 2000);
    assert_eq!(limits.storage.get(), 10 << 30);
    assert_eq!(limits.memory.get(), 4 << 30);
    assert_eq!(requests.memory.get(), 1 << 30);
    assert_eq!(requests.cpu.as_millicores(), 500);
    assert_eq!(requests.storage.get(), 10 << 28);
    assert_eq!(parameters["database"], "maindb");
    assert_eq!(made.workloads[0].containers()[0].env["MEMORY_MIB"], "4096");
}

#[test]
fn what_is_wrong_with_a_parameter_is_told_by_its_name() {
    let template = named("postgres-small");
    for (given, field, words) in [
        (json!({"memry": "1Gi"}), "parameters.memry", "no such parameter"),
        (json!({"memory": "64Mi"}), "parameters.memory", "less than 256Mi"),
        (json!({"memory": "5Gi"}), "parameters.memory", "more than 4Gi"),
        (json!({"memory": true}), "parameters.memory", "true"),
        (json!({"memory": null}), "parameters.memory", "neither text nor a number"),
        (json!({"database": "Main-DB"}), "parameters.database", "is not a name"),
        (json!({"database": "a; drop table x"}), "parameters.database", "is not a name"),
        (json!({"connections": 10.5}), "parameters.connections", "whole number"),
        (json!({"connections": 5}), "parameters.connections", "less than 10"),
    ] {
        let faults = compiled(&template, &object(given), &here()).unwrap_err();
        assert_eq!(faults[0].field, field);
        assert!(faults[0].detail.contains(words), "{}", faults[0]);
    }
    let two = compiled(&template, &object(json!({"a": 1, "cpu": "x"})), &here()).unwrap_err();
    assert_eq!(two.len(), 2);
}

#[test]
fn an_image_that_is_not_here_is_refused_before_anything_is_made() {
    let faults = compiled(&named("postgres-small"), &Map::new(), &BTreeSet::new()).unwrap_err();
    assert_eq!(faults[0].field, "template");
    assert!(faults[0].hint.as_ref().unwrap().contains("make images"));
    let (made, _) = compiled(&named("object-storage-small"), &Map::new(), &BTreeSet::new()).unwrap();
    assert_eq!(made.workloads[0].containers()[0].image, "docker.io/versity/versitygw:v1.8.0");
}

#[test]
fn a_faulty_file_is_told_with_the_place() {
    for (text, place) in [
        ("id = 5", "id"),
        (
            "id = \"a\"\nname = \"a\"\nkind = \"OTHER\"\nversion = 1\ndescription = \"\"\nworkloads = []",
            "workloads",
        ),
        (
            "id = \"a\"\nname = \"a\"\nkind = \"OTHER\"\nversion = 1\ndescription = \"\"\nworkloads = [{}]\n[parameters]\nx = { type = \"bytes\", default = \"a\", description = \"\" }",
            "parameters.x",
        ),
    ] {
        assert_eq!(Template::read(text).unwrap_err().field, place);
    }
}

#[test]
fn a_replica_and_its_promotion_follow_from_one_parameter() {
    let template = named("postgres-medium");
    let compiled = |primary: &str| {
        compiled(&template, &object(json!({"primary": primary, "apart": true})), &here()).unwrap().0
    };
    let (first, second) = (compiled("a"), compiled("b"));
    for (made, leader, follower, next) in [(&first, "db", "db-b", "b"), (&second, "db-b", "db", "a")] {
        let of_port =
            |name: &str| made.ports.iter().find(|port| port.name == name).unwrap().workload.to_string();
        assert_eq!((of_port("pooler").as_str(), of_port("replica").as_str()), (leader, follower));
        let promotion = made.promote.as_ref().unwrap();
        assert_eq!((promotion.parameter.as_str(), promotion.becomes.as_str()), ("primary", next));
        let environment = &promotion.job["containers"][0]["env"];
        assert_eq!(environment["LEADER_HOST"], format!("{leader}.default.internal"));
        let restore = &made.backup.as_ref().unwrap().restore;
        // The target's own leader, which is known when it runs.
        assert_eq!(restore["containers"][0]["env"]["TARGET_HOST"], "{{target.leader}}.default.internal");
        assert_eq!(made.values["leader"], leader);
    }
    let rivals = |made: &Deployment| made.workloads[1].placement.anti_affinity.clone();
    assert_eq!(rivals(&first), ["db"]);
}

#[test]
fn schedules_and_ages_are_checked_and_spread() {
    let template = named("postgres-small");
    let with = |key: &str, value: &str| compiled(&template, &object(json!({key: value})), &here());
    let cron = |value: &str| {
        with("backup_schedule", value).unwrap().0.backup.unwrap().schedule.map(|known| known.cron)
    };
    assert_eq!(cron("manual"), None);
    assert_eq!(cron("30 3 * * 1-5").as_deref(), Some("30 3 * * 1-5"));
    for (word, stars) in [("hourly", 4), ("daily", 3), ("weekly", 2)] {
        assert_eq!(cron(word).unwrap().matches('*').count(), stars, "{word}");
    }
    for (key, value, words) in [
        ("backup_schedule", "sometimes", "is no schedule"),
        ("rotate_after", "soon", "is not a duration"),
        ("rotate_after", "5s", "less than a minute"),
    ] {
        let faults = with(key, value).unwrap_err();
        assert_eq!(faults[0].field, format!("parameters.{key}"));
        assert!(faults[0].detail.contains(words), "{}", faults[0]);
    }
    let age = |value: &str| with("rotate_after", value).unwrap().0.rotate_after;
    assert_eq!((age("never"), age("90d").unwrap().duration().as_secs()), (None, 90 * 24 * 3600));
}

#[test]
fn parameters_have_a_schema() {
    let schema = named("postgres-small").schema();
    assert_eq!(schema["properties"]["connections"]["minimum"], 10);
    assert_eq!(schema["additionalProperties"], false);
}

proptest! {
    /// TPL-2
    #[test]
    fn whatever_is_given_is_compiled_or_named(
        name in "[a-z_]{1,12}|memory|cpu|database|connections|storage",
        value in prop_oneof![
            any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from), any::<bool>().prop_map(Value::from),
            ".{0,40}".prop_map(Value::from), "[0-9]{1,3}(Mi|Gi|m|)".prop_map(Value::from), Just(Value::Null),
        ],
    ) {
        for template in builtin() {
            let mut given = least(&template);
            given.insert(name.clone(), value.clone());
            match compiled(&template, &given, &here()) {
                Ok((made, _)) => prop_assert!(!made.workloads.is_empty()),
                Err(faults) => for fault in faults {
                    prop_assert_eq!(fault.field, format!("parameters.{}", name));
                },
            }
        }
    }
}
