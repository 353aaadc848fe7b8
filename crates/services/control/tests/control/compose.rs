//! A compose file as a resource: what is said of it, what it is given, and that a bad one makes nothing.

use serde_json::json;
use univrs_control::{Error, WriteOptions};
use univrs_model::caller::Caller;
use univrs_model::operation::OperationStatus;
use univrs_model::resource::ResourceSpec;
use univrs_provider::simulated::Script;

use crate::resources::{ControlNode, nothing_is_left, world};

const FILE: &str = "
services:
  web:
    image: web:1
    ports: [\"8000:80\", \"9000:90\"]
    networks: [front]
    secrets: [api_key]
  db: { image: db:1 }
networks: { front: {} }
secrets: { api_key: { file: ./key } }
";

fn spec(file: &str) -> ResourceSpec {
    serde_json::from_value(json!({
        "name": "shop", "template": "compose", "provider": "simulated", "parameters": {"file": file},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_compose_file_is_a_resource_with_ports_secrets_and_what_differs() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    let begun = node.control.create_resource(&admin, &spec(FILE), &WriteOptions::default()).await.unwrap();
    let said = begun.resource.differences.unwrap();
    assert!(said.changed.iter().any(|one| one.field == "services.web.networks"), "{said:?}");
    assert!(said.taken.iter().any(|path| path == "services.db.image"), "{said:?}");
    assert_eq!(node.ended(&begun.operation.operation.id).await, OperationStatus::Succeeded);
    let view = node.control.get_resource(&admin, "shop").unwrap();
    let workloads: Vec<&str> = view.workloads.iter().map(|name| name.as_str()).collect();
    assert_eq!(workloads, ["shop-db", "shop-web"]);
    assert_eq!(view.endpoints.keys().collect::<Vec<_>>(), ["web-80", "web-90"]);
    let shown = node.control.resource_credentials(&admin, "shop").await.unwrap();
    let shown = shown.expose();
    assert_eq!(shown["secret.api-key"].as_str().unwrap().len(), 32);
    assert_eq!(shown["web-80"].as_str(), view.endpoints["web-80"].as_str().into());
    let removal = node.control.delete_resource(&admin, "shop").await.unwrap();
    assert_eq!(node.ended(&removal.operation.operation.id).await, OperationStatus::Succeeded);
    nothing_is_left(&node, &provider);
}

#[tokio::test]
async fn a_bad_compose_file_names_the_place_and_makes_nothing() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    let file = "services: {web: {image: web:1, privileged: true, volumes: [\"/etc:/etc\"]}}";
    let refused =
        node.control.create_resource(&Caller::local_admin(), &spec(file), &WriteOptions::default()).await;
    let Err(Error::Invalid(faults)) = refused else { panic!("{refused:?}") };
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(
        fields,
        ["parameters.file.services.web.privileged", "parameters.file.services.web.volumes[0]"]
    );
    assert!(node.control.mirror().state().resources.is_empty());
    nothing_is_left(&node, &provider);
}
