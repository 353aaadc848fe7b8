//! Whole compose files: what becomes of them, and what each wrong one is told.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use univrs_compose::{Converted, Surroundings, convert, is_compose};
use univrs_model::field::FieldError;
use univrs_model::workload::{DependencyCondition, RestartWhen, WorkloadKind};

fn converted(text: &str) -> Result<Converted, Vec<FieldError>> {
    let env = BTreeMap::from([("TAG".to_owned(), "7".to_owned())]);
    let profiles = BTreeSet::from(["debug".to_owned()]);
    let read = |path: &str| match path {
        "web.env" => Ok("# settings\nexport A=1\nB=\"two words\"\nC=3 # three\n\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    convert(text, &Surroundings { env: &env, profiles: &profiles, read: &read, as_resource: false })
}

const SHOP: &str = r#"
name: shop
x-common: &common
  restart: unless-stopped
  labels: { team: shop }
services:
  web:
    <<: *common
    image: shop/web:${TAG:-1}
    command: serve --port "8080"
    env_file: web.env
    environment:
      - DB_URL=postgres://db.internal/shop
    ports: ["8080:80", "9000-9001:9000-9001/udp"]
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    deploy:
      replicas: 3
      resources:
        limits: { cpus: "0.50", memory: 256M }
        reservations: { cpus: "0.25", memory: 128M }
      update_config: { parallelism: 2, order: start-first, failure_action: rollback }
    secrets: [api_key]
  db:
    <<: *common
    image: postgres:16
    stop_grace_period: 1m30s
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U postgres"]
      interval: 5s
      timeout: 3s
      retries: 5
      start_period: 10s
    volumes:
      - db_data:/var/lib/postgresql/data
      - type: bind
        source: /etc/ssl
        target: /etc/ssl
        read_only: true
  migrate:
    image: shop/web:${TAG:-1}
    entrypoint: ["/migrate", "up"]
    depends_on: [db]
  tools:
    image: tools:1
    profiles: [never]
volumes:
  db_data: { x-size: 2g }
secrets:
  api_key: { file: ./api_key.txt }
"#;

#[test]
fn a_shop_becomes_three_workloads_in_the_order_of_their_needs() {
    let found = converted(SHOP).unwrap();
    let names: Vec<&str> = found.workloads.iter().map(|workload| workload.name.as_str()).collect();
    assert_eq!(names, ["db", "migrate", "web"]);
    let [db, migrate, web] = found.workloads.as_slice() else { unreachable!() };

    assert_eq!(migrate.kind, WorkloadKind::Job);
    assert_eq!(migrate.containers[0].command, ["/migrate", "up"]);
    assert_eq!(web.containers[0].image, "shop/web:7");
    assert_eq!(web.containers[0].args, ["serve", "--port", "8080"]);
    let env: Vec<(&str, &str)> =
        web.containers[0].env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(env, [("A", "1"), ("B", "two words"), ("C", "3"), ("DB_URL", "postgres://db.internal/shop")]);
    let ports: Vec<(&str, u16, Option<u16>)> =
        web.containers[0].ports.iter().map(|p| (p.name.as_str(), p.container_port, p.host_port)).collect();
    assert_eq!(
        ports,
        [("tcp-80", 80, Some(8080)), ("udp-9000", 9000, Some(9000)), ("udp-9001", 9001, Some(9001))]
    );
    assert_eq!(web.replicas, 3);
    assert_eq!((web.update.max_surge, web.update.max_unavailable, web.update.auto_revert), (2, 0, true));
    let resources = &web.containers[0].resources;
    assert_eq!((resources.cpu.as_millicores(), resources.cpu_limit.unwrap().as_millicores()), (250, 500));
    assert_eq!((resources.memory.get(), resources.memory_limit.unwrap().get()), (128 << 20, 256 << 20));
    let needs: Vec<(&str, DependencyCondition)> =
        web.depends_on.iter().map(|d| (d.workload.as_str(), d.condition)).collect();
    assert_eq!(needs, [("db", DependencyCondition::Healthy), ("migrate", DependencyCondition::Completed)]);
    assert_eq!(web.secrets[0].file.as_deref(), Some("/run/secrets/api_key"));
    assert_eq!(web.labels.get("team").map(String::as_str), Some("shop"));
    assert_eq!(web.restart.policy, RestartWhen::Always);

    let health = db.containers[0].health.as_ref().unwrap();
    assert_eq!(health.exec.as_ref().unwrap().command, ["/bin/sh", "-c", "pg_isready -U postgres"]);
    assert_eq!((health.interval.as_millis(), health.retries), (5000, 5));
    assert_eq!(db.containers[0].stop_grace.as_millis(), 90_000);
    assert_eq!(db.volumes[0].size.unwrap().get(), 2 << 30);
    assert_eq!(
        (db.volumes[0].name.as_str(), db.volumes[1].host_path.as_deref()),
        ("db-data", Some("/etc/ssl"))
    );
    assert!(db.containers[0].mounts[1].read_only);
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.detail.contains("univrs secret set api-key --from-file ./api_key.txt"))
    );
    assert!(
        is_compose(&serde_json::json!({"services": {}})) && !is_compose(&serde_json::json!({"name": "web"}))
    );
}

#[test]
fn differences_are_said() {
    let found = converted(
        "services:\n  my_app:\n    image: a:1\n    container_name: x\n    networks: [front]\n    tty: false\n    \
         ports: ['80', '127.0.0.1:81:81']\n    environment: [HERE, TAG]\n    volumes: [/cache]\nnetworks:\n  front: {}\n",
    )
    .unwrap();
    let fields: Vec<&str> = found.notes.iter().map(|note| note.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "networks",
            "services.my_app",
            "services.my_app.container_name",
            "services.my_app.environment",
            "services.my_app.networks",
            "services.my_app.ports[0]",
            "services.my_app.ports[1]",
            "services.my_app.volumes[0]",
        ]
    );
    let app = &found.workloads[0];
    assert_eq!(app.name.as_str(), "my-app");
    assert_eq!(app.restart.policy, RestartWhen::Never, "as Docker does without a word");
    assert_eq!(app.containers[0].env.get("TAG").map(String::as_str), Some("7"));
    assert_eq!(app.containers[0].ports[0].host_port, None);
}

#[test]
fn wrong_files_name_the_field() {
    for (text, field, says) in [
        ("services: [", "", "did not find expected"),
        ("services: []", "services", "map of services"),
        ("- a", "", "map with `services`"),
        ("services:\n  a: {}", "services.a.image", "needs an image"),
        ("services:\n  a: {build: .}", "services.a.build", "not built here"),
        ("services:\n  a: {image: 'a:1', privileged: true}", "services.a.privileged", "cannot be had"),
        ("services:\n  a: {image: 'a:1', restart: maybe}", "services.a.restart", "not a restart policy"),
        ("services:\n  a: {image: 'a:1', imagge: x}", "services.a.imagge", "have no `imagge`"),
        ("services:\n  a: {image: 'a:1', ports: ['0:80']}", "services.a.ports[0]", "not a port"),
        ("services:\n  a: {image: 'a:1', ports: ['1-3:1-2']}", "services.a.ports[0]", "maps 3 ports to 2"),
        ("services:\n  a: {image: 'a:1', volumes: ['x:/x']}", "services.a.volumes[0]", "no volume `x`"),
        ("services:\n  a: {image: 'a:1', volumes: ['./x:/x']}", "services.a.volumes[0]", "relative"),
        ("services:\n  a: {image: 'a:1', depends_on: [b]}", "services.a.depends_on.b", "no such service"),
        ("services:\n  a: {image: 'a:1', secrets: [b]}", "services.a.secrets[0]", "no secret `b`"),
        ("services:\n  a: {image: 'a:1', env_file: gone}", "services.a.env_file[0]", "cannot be read"),
        ("services:\n  a: {image: '${X:?say which}'}", "services.a.image", "X is not set: say which"),
        ("services:\n  a: {image: 'a:1', mem_limit: much}", "services.a.mem_limit", "not a size"),
        ("services:\n  a: {image: 'a:1', command: \"'\"}", "services.a.command", "never closed"),
        ("services:\n  a_b: {image: 'a:1'}\n  a-b: {image: 'a:1'}", "services.a_b", "another service"),
        (
            "services:\n  a: {image: 'a:1', depends_on: [b]}\n  b: {image: 'b:1', depends_on: [a]}",
            "services",
            "a, b",
        ),
        ("include: [x]\nservices:\n  a: {image: 'a:1'}", "include", "not included"),
    ] {
        let errors = converted(text).unwrap_err();
        let found = errors.iter().find(|fault| fault.field == field && fault.detail.contains(says));
        assert!(found.is_some(), "{text}\n{errors:#?}");
    }
}

#[test]
fn all_faults_come_at_once() {
    let errors =
        converted("services:\n  a: {image: 'a:1', privileged: true, restart: x, pid: host}").unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:#?}");
}
