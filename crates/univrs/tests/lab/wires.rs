//! The lab itself: distance, cut lines in one direction, and what it refuses.

use std::time::Duration;

use crate::harness::{Lab, possible};

/// How long a TCP handshake from one node to the node port of another takes; nothing when it fails.
fn handshake(lab: &Lab, from: &str, to: &str) -> Option<Duration> {
    let script = "import socket,sys,time\nt=time.time()\nsocket.create_connection((sys.argv[1],9443),5)\nprint(time.time()-t)";
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
    // Never sooner than the distance lets; on a busy machine not always as soon.
    let far = async || handshake(&lab, "n1", n2);
    let far = lab
        .until_seen("the far one answers", far, |took| {
            took.is_some_and(|took| took < Duration::from_millis(200))
        })
        .await;
    assert!(far.unwrap() >= Duration::from_millis(64), "{far:?}");
    let near = async || handshake(&lab, "n1", n3);
    lab.until_seen("the near one answers at once", near, |took| {
        took.is_some_and(|took| took < Duration::from_millis(50))
    })
    .await;

    let reached = async |from: &str, to: &str| {
        let what = format!("{from} reaches {to}");
        lab.until(10, &what, async || handshake(&lab, from, to).is_some()).await;
    };
    lab.does(&["partition", "n3", "n1", "--one-way"]);
    // No answer comes back from n3, and n2 is still reached.
    assert_eq!(handshake(&lab, "n1", n3), None);
    reached("n2", n1).await;
    lab.does(&["heal"]);
    reached("n1", n3).await;

    lab.does(&["partition", "moon", "mars"]);
    assert_eq!(handshake(&lab, "n2", n1), None);
    reached("n1", n3).await;
    lab.does(&["heal", "--node", "n2"]);
    reached("n2", n1).await;
    assert_eq!(lab.status()["cuts"].as_array().map(Vec::len), Some(0));

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
}
