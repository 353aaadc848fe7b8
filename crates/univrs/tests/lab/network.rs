//! Containers of different machines reach each other by address and by name, and nobody between reads along.

use serde_json::json;

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

/// The ports of a node's machine at which anybody but itself could come in, with their protocols.
fn listening(lab: &Lab, node: &str) -> Vec<(&'static str, u16)> {
    let mut open = Vec::new();
    for (table, kind, listens) in
        [("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07")]
    {
        let read = lab.on(node, "cat", &[&format!("/proc/net/{table}")]);
        for line in String::from_utf8_lossy(&read.stdout).lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = words[1].split_once(':').unwrap();
            // The kernel writes addresses as the processor has them, last byte first.
            let loopback = address.len() == 8 && address.ends_with("7F")
                || address == "00000000000000000000000001000000"
                || address.len() == 32
                    && address.starts_with("0000000000000000FFFF0000")
                    && address.ends_with("7F");
            if words[3] == listens && !loopback {
                open.push((kind, u16::from_str_radix(port, 16).unwrap()));
            }
        }
    }
    assert!(!open.is_empty(), "{node} listens nowhere");
    open
}

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
    lab.make("/api/workloads", &web).await;
    lab.make("/api/workloads", &client).await;
    lab.until_running("client", 1).await;
    let address = lab.until_running("web", 1).await[0]["address"].as_str().unwrap().to_owned();
    let get = |host: &str| {
        let url = format!("http://{host}:8000/busybox");
        let output = lab.univrs(&[
            "exec",
            "client",
            "--",
            "/bin/busybox",
            "timeout",
            "20",
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
        let arguments = ["-fsS", "-m", "20", "-o", "/dev/null", "-H", "Host: web.localhost", url];
        lab.on("n1", "curl", &arguments).status.success()
    };
    lab.until(10, "the ingress of another cloud leads there", through).await;
    let look = async || {
        let doctor = lab.univrs(&["mesh", "doctor", "-o", "json"]);
        serde_json::from_slice::<serde_json::Value>(&doctor.stdout).unwrap_or_default()
    };
    lab.until_seen("it is well", look, |view| {
        view["mtu"] == json!(1420) && view["peers"].as_array().map(Vec::len) == Some(2)
    })
    .await;
    for node in ["n1", "n2", "n3"] {
        let open = listening(&lab, node);
        // Ingress, peers, nodes; node to node gossip, peers, WireGuard; name service on the bridge, mDNS.
        let tcp = open.iter().filter(|(kind, _)| *kind == "tcp").map(|(_, port)| *port);
        let udp = open.iter().filter(|(kind, _)| *kind == "udp").map(|(_, port)| *port);
        let strange: Vec<u16> = tcp
            .filter(|port| ![53, 80, 443, 9000, 9443].contains(port))
            // Above begin the ports of those who ask.
            .chain(udp.filter(|port| *port < 32_768 && ![53, 5353, 9000, 9443, 51_820].contains(port)))
            .collect();
        assert!(strange.is_empty(), "{node} listens on {strange:?} off loopback, of {open:?}");
    }
    // A name leads nowhere soon after the machine behind it died.
    lab.does(&["kill", "--cloud", "gcp"]);
    lab.until(20, "the name of what died is gone", async || {
        let lookup = lab.univrs(&["exec", "client", "--", "/bin/busybox", "nslookup", "web.internal"]);
        !String::from_utf8_lossy(&lookup.stdout).contains(&address)
    })
    .await;
}
