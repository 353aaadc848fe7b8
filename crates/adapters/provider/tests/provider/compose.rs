//! A compose file as a resource in an engine: its services find each other by the names in the file, wait for each other
//! as it says, have the ports and secrets that the resource is given, and go without a trace.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use univrs_model::ids::{OperationId, ResourceId};
use univrs_model::resource::Deployment;
use univrs_model::secret::SecretValue;
use univrs_ports::provider::{Order, Provider, ResourceRef};
use univrs_template::{Context, builtin, compile};

use crate::docker::serves;
use crate::world::World;

/// `front` serves what `store` says once `fill` is done, which itself waits until `store` is well.
const FILE: &str = r#"
services:
  store:
    image: test/small:1
    user: "0"
    entrypoint: ["/bin/sh", "-c"]
    command: ["busybox sleep 1; echo stored >/data/index.html; exec busybox httpd -f -p 8080 -h /data"]
    healthcheck: { test: ["CMD", "/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"], interval: 200ms, retries: 50, start_period: 20s }
    volumes: ["data:/data"]
    stop_grace_period: 1s
  fill_once:
    image: test/small:1
    user: "0"
    entrypoint: ["/bin/sh", "-c", "busybox wget -q -O /dev/null http://store:8080/ && exec busybox sleep 1"]
    depends_on: { store: { condition: service_healthy } }
  front:
    image: test/small:1
    user: "0"
    entrypoint: ["/bin/sh", "-c"]
    command: ["busybox mkdir -p /tmp/w; { busybox wget -q -O - http://store:8080/; busybox wc -c </run/secrets/key; } >/tmp/w/index.html; exec busybox httpd -f -p 80 -h /tmp/w"]
    depends_on: { fill_once: { condition: service_completed_successfully } }
    ports: ["8000:80"]
    secrets: [key]
    stop_grace_period: 1s
volumes: { data: {} }
secrets: { key: { file: ./key } }
"#;

/// What such a file becomes as the resource `name`.
fn order(name: &str, number: u128) -> (Order, Deployment) {
    let template = builtin().into_iter().find(|template| template.id == "compose").unwrap();
    let (id, org) = (ResourceId::from_bits(number), "acme".parse().unwrap());
    let name = name.parse().unwrap();
    let here = BTreeSet::new();
    let context = Context { id: &id, org: &org, name: &name, here: &here };
    let given = json!({"file": FILE, "cpu": "200m", "memory": "32Mi"});
    let (made, _) = compile(&template, given.as_object().unwrap(), &context).unwrap();
    let mut workloads = made.workloads.clone();
    for port in workloads.iter_mut().flat_map(|spec| &mut spec.containers).flat_map(|one| &mut one.ports) {
        // As it would be given by the control plane.
        port.host_port = Some(19001 + u16::try_from(number).unwrap());
    }
    let secrets: BTreeMap<_, _> = made
        .secrets
        .iter()
        .map(|secret| {
            (secret.name.clone(), SecretValue::new(vec![b'x'; 20 + usize::try_from(number).unwrap()]))
        })
        .collect();
    let resource = ResourceRef {
        id: id.clone(),
        org,
        name,
        workloads: workloads.iter().map(|spec| spec.name.clone()).collect(),
    };
    (Order { resource, operation: OperationId::from_bits(number), workloads, secrets }, made)
}

/// The life of two such resources in one organisation, each with its own `store`.
pub(crate) async fn lives(world: &World, provider: &dyn Provider) {
    let orders = [order("one", 1), order("two", 2)];
    for (order, made) in &orders {
        assert_eq!(made.ports[0].name, "front-80");
        provider.deploy(order).await.unwrap();
    }
    for (number, (order, _)) in (1_u16..).zip(&orders) {
        serves(provider, &order.resource).await;
        let fetch = || {
            let mut client = world.engine.beside("busybox");
            let address = format!("http://127.0.0.1:{}/", 19001 + number);
            client.args(["timeout", "5", "busybox", "wget", "-q", "-O", "-", &address]);
            String::from_utf8_lossy(&client.output().unwrap().stdout)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let wanted = format!("stored {}", 20 + number);
        for _ in 0..600 {
            if fetch() == wanted {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(fetch(), wanted, "{}", order.resource.name);
        // The same again is the same: what ended is not done twice.
        let before = provider.owned(&order.resource).await.unwrap();
        provider.deploy(order).await.unwrap();
        serves(provider, &order.resource).await;
        assert_eq!(provider.owned(&order.resource).await.unwrap(), before);
    }
    for (order, _) in &orders {
        provider.destroy(&order.resource).await.unwrap();
    }
}
