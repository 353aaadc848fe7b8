//! The lab itself: distance, cut lines in one direction, and what it refuses.

use std::time::{Duration, Instant};

use crate::harness::{Lab, possible};

/// How long a TCP handshake from one node to the node port of another takes; nothing when it fails.
fn handshake(lab: &Lab, from: &str, to: &str) -> Option<Duration> {
    let script = "import socket,sys,time\nt=time.time()\nsocket.create_connection((sys.argv[1],9443),1.5)\nprint(time.time()-t)";
    let output = lab.on(from, "python3", &["-c", script, to]);
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse::<f64>().ok().map(Duration::from_secs_f64)
}

#[tokio::test]
async fn regions_are_apart_and_lines_are_cut_and_mended() {
    if !possible() {
        return;
    }
    if std::process::Command::new("python3").arg("-V").output().is_err() {
        eprintln!("left out: python3 measures the distance");
        return;
    }
    // Nobody knows where these are, so they are 65 ms apart.
    let lab = Lab::up(3, "moon:a,mars:b", "simulated").await;
    let status = lab.status();
    assert_eq!((&status["delay"], &status["distances"][0]["rtt_ms"]), (&"relay".into(), &65.0.into()));
    let [n1, n2, n3] = ["10.90.1.10", "10.90.2.10", "10.90.1.11"];
    let far = handshake(&lab, "n1", n2).unwrap();
    assert!((Duration::from_millis(64)..Duration::from_millis(200)).contains(&far), "{far:?}");
    let near = handshake(&lab, "n1", n3).unwrap();
    assert!(near < Duration::from_millis(30), "{near:?}");

    lab.does(&["partition", "n3", "n1", "--one-way"]);
    // No answer comes back from n3, and n2 is still reached.
    assert_eq!(handshake(&lab, "n1", n3), None);
    assert!(handshake(&lab, "n2", n1).is_some());
    lab.does(&["heal"]);
    assert!(handshake(&lab, "n1", n3).is_some());

    lab.does(&["partition", "moon", "mars"]);
    assert_eq!(handshake(&lab, "n2", n1), None);
    assert!(handshake(&lab, "n1", n3).is_some());
    lab.does(&["heal", "--node", "n2"]);
    assert!(handshake(&lab, "n2", n1).is_some());
    assert_eq!(lab.status()["cuts"].as_array().map(Vec::len), Some(0));

    let begun = Instant::now();
    for (arguments, code, word) in [
        (&["kill"][..], 2, "--node"),
        (&["kill", "--node", "n9"], 2, "no node"),
        (&["partition", "n1", "moon"], 2, "both sides"),
        (&["up"], 4, "already"),
    ] {
        let output = lab.lab(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
}
