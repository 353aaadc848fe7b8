//! Containers of different machines reach each other by address and by name, and nobody between reads along.

use serde_json::json;

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

#[tokio::test]
async fn containers_of_different_clouds_reach_each_other() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, "aws:us-east-1,azure:eastus,gcp:us-central1", "oci").await;
    lab.give_image();
    let web = json!({"name": "web", "containers": [{"name": "app", "image": IMAGE,
        "args": ["httpd", "-f", "-p", "8000", "-h", "/bin"], "ports": [{"name": "http", "container_port": 8000}],
        "resources": {"cpu": "50m", "memory": "16Mi"}}],
        "placement": {"constraints": ["cloud == gcp"]}, "ingress": [{"host": "web.localhost", "port": "http"}]});
    let client = json!({"name": "client", "containers": [{"name": "app", "image": IMAGE, "args": ["sleep", "3600"],
        "resources": {"cpu": "50m", "memory": "16Mi"}}], "placement": {"constraints": ["cloud == azure"]}});
    assert!(lab.post("/api/workloads", &web).await && lab.post("/api/workloads", &client).await);
    let runs = async |name: &str| lab.running(name).await.len() == 1;
    lab.until(30, "both run", async || runs("web").await && runs("client").await).await;
    let address = lab.running("web").await[0]["address"].as_str().unwrap().to_owned();
    let get = |host: &str| {
        let url = format!("http://{host}:8000/busybox");
        let output = lab.univrs(&[
            "exec",
            "client",
            "--",
            "/bin/busybox",
            "timeout",
            "3",
            "/bin/busybox",
            "wget",
            "-q",
            "-O",
            "/dev/null",
            &url,
        ]);
        output.status.success()
    };
    lab.until(15, "the address answers across clouds", async || get(&address)).await;
    lab.until(5, "the name answers across clouds", async || get("web.internal")).await;
    // The ingress of a machine in a third cloud leads there too.
    let through = async || {
        let url = "http://127.0.0.1/busybox";
        let arguments = ["-fsS", "-m", "3", "-o", "/dev/null", "-H", "Host: web.localhost", url];
        lab.on("n1", "curl", &arguments).status.success()
    };
    lab.until(10, "the ingress of another cloud leads there", through).await;
    let doctor = lab.univrs(&["mesh", "doctor", "-o", "json"]);
    let view: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert_eq!((&view["mtu"], view["peers"].as_array().map(Vec::len)), (&json!(1420), Some(2)), "{view}");
    // A name leads nowhere soon after the machine behind it died.
    lab.does(&["kill", "--cloud", "gcp"]);
    lab.until(20, "the name of what died is gone", async || {
        let lookup = lab.univrs(&["exec", "client", "--", "/bin/busybox", "nslookup", "web.internal"]);
        !String::from_utf8_lossy(&lookup.stdout).contains(&address)
    })
    .await;
}
