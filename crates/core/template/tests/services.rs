//! The template `compose` over real files: what becomes of them as one resource, what is said and what is refused.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, json};
use univrs_model::field::FieldError;
use univrs_model::ids::ResourceId;
use univrs_model::name::Name;
use univrs_model::resource::{Deployment, GROUP_LABEL, RESOURCE_LABEL};
use univrs_template::{Context, Template, builtin, compile};

const WORDPRESS: &str = include_str!("../../compose/tests/corpus/wordpress.yml");
const COUNTER: &str = include_str!("../../compose/tests/corpus/counter.yml");
const SIZED: &str = include_str!("../../compose/tests/corpus/sized.yml");
const STEPS: &str = include_str!("../../compose/tests/corpus/steps.yml");
const REFUSED: &str = include_str!("../../compose/tests/corpus/refused.yml");

fn template() -> Template {
    builtin().into_iter().find(|template| template.id == "compose").unwrap()
}

fn with(given: serde_json::Value) -> Result<Deployment, Vec<FieldError>> {
    let (id, org) = (ResourceId::from_bits(7), Name::default_org());
    let (name, here) = ("shop".parse().unwrap(), BTreeSet::new());
    let context = Context { id: &id, org: &org, name: &name, here: &here };
    compile(&template(), given.as_object().unwrap_or(&Map::new()), &context).map(|(made, _)| made)
}

fn made(file: &str) -> Deployment {
    with(json!({"file": file})).unwrap()
}

#[test]
fn services_are_named_after_the_resource_and_find_each_other_by_their_own_names() {
    let made = made(STEPS);
    let names: Vec<&str> = made.workloads.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["shop-db", "shop-migrate", "shop-app"]);
    for spec in &made.workloads {
        assert_eq!(spec.labels[GROUP_LABEL], "shop");
        assert!(spec.labels.contains_key(RESOURCE_LABEL));
    }
    let app = &made.workloads[2];
    assert_eq!(app.depends_on[0].workload.as_str(), "shop-migrate");
    assert_eq!(app.containers[0].env["DATABASE_URL"], "postgres://db/app", "as the file says it");
}

#[test]
fn what_states_no_size_has_that_of_the_parameters_and_a_quarter_is_set_aside() {
    let made = made(STEPS);
    let mebibytes = |bytes: univrs_model::quantity::Bytes| bytes.get() >> 20;
    assert_eq!(mebibytes(made.footprint.limits.memory), 3 * 256);
    assert_eq!(mebibytes(made.footprint.requests.memory), 3 * 64);
    assert_eq!(mebibytes(made.footprint.limits.storage), 2048, "`x-size`");
    let sized = self::made(SIZED);
    let limits = sized.footprint.limits;
    assert_eq!((limits.cpu.as_millicores(), mebibytes(limits.memory)), (3 * 500 + 500, 3 * 256 + 256));
    assert_eq!(mebibytes(limits.storage), 1024, "the parameter's");
}

#[test]
fn ports_become_endpoints_and_secrets_are_generated() {
    let made = made(WORDPRESS);
    let ports: Vec<(&str, &str)> =
        made.ports.iter().map(|port| (port.name.as_str(), port.workload.as_str())).collect();
    assert_eq!(ports, [("wordpress-80", "shop-wordpress")]);
    assert_eq!(made.secrets[0].name.as_str(), "shop-db-password");
    assert_eq!(made.credentials["wordpress-80"], "{{host.wordpress-80}}:{{port.wordpress-80}}");
    assert_eq!(made.credentials["secret.db-password"], "{{secret.db-password}}");
    for spec in &made.workloads {
        assert_eq!(spec.secrets[0].name.as_str(), "shop-db-password");
        assert_eq!(spec.secrets[0].file.as_deref(), Some("/run/secrets/db_password"));
        assert!(spec.containers[0].ports.iter().all(|port| port.host_port.is_none()));
    }
    let counter = self::made(COUNTER);
    let ports: Vec<&str> = counter.ports.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(ports, ["web-5000", "web-9000-udp"]);
}

#[test]
fn every_difference_is_said_with_its_path() {
    let said = made(COUNTER).differences.unwrap();
    let changed: Vec<&str> = said.changed.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        changed,
        [
            "networks",
            "services.redis",
            "services.redis.container_name",
            "services.redis.logging",
            "services.redis.networks",
            "services.web",
            "services.web.networks",
            "services.web.ports[0]",
            "services.web.ports[1]",
            "services.web.ports[1]",
        ]
    );
    for path in ["services.web.image", "services.web.depends_on", "services.redis.healthcheck"] {
        assert!(said.taken.iter().any(|taken| taken == path), "{path}");
    }
    assert!(!said.taken.iter().any(|taken| taken.ends_with(".ports")));
    let sized = made(SIZED).differences.unwrap();
    for path in [
        "services.api.deploy.labels",
        "services.api.deploy.placement.max_replicas_per_node",
        "services.api.deploy.restart_policy.window",
        "services.api.deploy.resources.reservations",
        "services.worker.init",
        "services.worker.tmpfs",
    ] {
        assert!(sized.changed.iter().any(|one| one.field == path), "{path}: {:#?}", sized.changed);
    }
}

#[test]
fn what_cannot_be_had_is_refused_all_at_once() {
    let faults = with(json!({"file": REFUSED})).unwrap_err();
    let mut fields: Vec<&str> =
        faults.iter().map(|fault| fault.field.strip_prefix("parameters.file.").unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "services.agent.cap_add",
            "services.agent.network_mode",
            "services.agent.pid",
            "services.agent.privileged",
            "services.agent.ulimits",
            "services.agent.volumes[0]",
            "services.agent.volumes[1]",
            "services.built.build",
            "services.other.deploy.mode",
            "services.other.env_file[0]",
            "services.other.volumes",
            "volumes.shared.driver_opts",
        ]
    );
    assert!(
        faults.iter().filter(|fault| !fault.field.ends_with("env_file[0]")).all(|fault| fault.hint.is_some())
    );
}

#[test]
fn bad_files_name_the_parameter() {
    let many: String = (0..33)
        .map(|number| format!("  s{number}: {{image: a:1}}\n"))
        .fold("services:\n".into(), |all, one| all + &one);
    let long = "x".repeat(60);
    for (given, field, words) in [
        (json!({}), "parameters.file", "has to be given"),
        (json!({"file": ""}), "parameters.file", "a map with `services`"),
        (json!({"file": "services: ["}), "parameters.file", "did not find expected"),
        (json!({"file": "services: {}"}), "parameters.file.services", "no service takes part"),
        (
            json!({"file": "services: {a: {image: a, profiles: [x]}}"}),
            "parameters.file.services",
            "no service takes part",
        ),
        (json!({"file": many}), "parameters.file.services", "more than 32"),
        (
            json!({"file": format!("services: {{{long}: {{image: a}}}}")}),
            "parameters.file.services",
            "longer than 63",
        ),
        (
            json!({"file": "services: {a: {image: '${TAG:?which}'}}"}),
            "parameters.file.services.a.image",
            "which",
        ),
        (
            json!({"file": "services: {a: {image: a, labels: {dev.univrs.org: b}}}"}),
            "parameters.file.services.a.labels",
            "not the file's",
        ),
        (json!({"file": "a".repeat((32 << 10) + 1)}), "parameters.file", "at most 32768 bytes"),
        (json!({"file": "a\u{1}"}), "parameters.file", "control characters"),
    ] {
        let faults = with(given.clone()).unwrap_err();
        let shown = given.to_string().chars().take(90).collect::<String>();
        assert!(
            faults.iter().any(|fault| fault.field.starts_with(field) && fault.detail.contains(words)),
            "{shown}: {faults:?}"
        );
    }
    let file = "services: {a: {image: 'web:${TAG}', profiles: [x]}}";
    let known = with(json!({"file": file, "variables": "TAG=7\n", "profiles": "y, x"})).unwrap();
    assert_eq!(known.workloads[0].containers[0].image, "web:7");
    // Braces of the file are no placeholders.
    let braces = with(json!({"file": "services: {a: {image: a, environment: {X: '{{name}}'}}}"})).unwrap();
    assert_eq!(braces.workloads[0].containers[0].env["X"], "{{name}}");
}

proptest! {
    /// Whatever a file is, it is a deployment or faults of the parameter.
    #[test]
    fn any_file_is_compiled_or_refused(
        key in "[a-z_]{1,12}|volumes|ports|deploy|healthcheck|secrets|environment|depends_on|tmpfs|scale",
        value in "[a-z0-9:/. \\[\\]{},'\"$-]{0,40}",
    ) {
        let file = format!("services:\n  a:\n    image: a:1\n    {key}: {value}\n");
        match with(json!({"file": file})) {
            Ok(made) => prop_assert_eq!(made.workloads.len(), 1),
            Err(faults) => for fault in faults {
                prop_assert!(fault.field.starts_with("parameters.file"), "{}: {:?}", file, fault);
            },
        }
    }
}
