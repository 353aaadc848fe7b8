//! Images go from machine to machine: no registry is needed, and a machine without a way out runs what another has.

use serde_json::json;

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

#[tokio::test]
async fn a_machine_runs_what_another_has() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, "aws:us-east-1,azure:eastus,gcp:us-central1", "oci").await;
    lab.give_image_to("n1");
    let box_of = |cloud: &str| {
        json!({"name": format!("box-{cloud}"), "containers": [{"name": "app", "image": IMAGE,
            "args": ["sleep", "3600"], "resources": {"cpu": "50m", "memory": "16Mi"}}],
            "placement": {"constraints": [format!("cloud == {cloud}")]}})
    };
    // Asked of all while none runs it, and then of the machine that runs it.
    for cloud in ["gcp", "azure"] {
        lab.make("/api/workloads", &box_of(cloud)).await;
        let name = format!("box-{cloud}");
        lab.until(60, "it runs where the image was not", async || lab.running(&name).await.len() == 1).await;
    }
    let listed = |node: &str| {
        let arguments = ["--server", "http://127.0.0.1:8080", "image", "ls", "-o", "json"];
        let output = lab.on(node, env!("CARGO_BIN_EXE_univrs"), &arguments);
        let images: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let images = images["items"].as_array().cloned().unwrap_or_default();
        images.iter().find(|image| image["reference"] == IMAGE).map(|image| image["digest"].clone())
    };
    let look = async || [listed("n1"), listed("n2"), listed("n3")];
    lab.until_seen("all list it with the same name and content", look, |[one, two, three]| {
        one.is_some() && one == two && one == three
    })
    .await;
    // What nobody has is said to be nowhere.
    let nothing = json!({"name": "nothing", "image": "localhost:1/no/such:1", "placement": {"constraints": ["cloud == gcp"]}});
    lab.make("/api/workloads", &nothing).await;
    lab.until(60, "what is missing is named", async || {
        let instances = lab.get("/api/workloads/nothing/instances").await.unwrap_or_default();
        instances.to_string().contains("localhost:1")
    })
    .await;
}
