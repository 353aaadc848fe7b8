//! The API over TLS: with the certificate that was given, the one that replaces it, and nothing in the clear.

use std::path::Path;
use std::process::Output;

use crate::harness::{Daemon, free_port, univrs};

/// Writes a new certificate of this machine and its key, and answers the certificate.
fn certify(dir: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    // The key first: between the two the daemon sees a pair that does not match, and goes on with the one before.
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem().into_bytes()
}

/// A client that trusts this certificate and no other.
fn trusting(certificate: &[u8]) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(certificate).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap()
}

fn client(daemon: &Daemon, words: &[&str]) -> Output {
    univrs().args(["--server", &daemon.origin]).args(words).output().unwrap()
}

#[tokio::test]
async fn the_api_is_encrypted_with_the_certificate_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = certify(dir.path());
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (at("cert.pem"), at("key.pem"));
    let flags = ["--runtime", "simulated", "--api-cert", &cert, "--api-key", &key];
    let daemon = Daemon::start_encrypted(&flags, trusting(&certificate)).await;

    // Requests, and the WebSocket of `exec`.
    let ran = client(&daemon, &["--server-ca", &cert, "run", "web:1", "--name", "web"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let ran = client(&daemon, &["--server-ca", &cert, "exec", "web", "--", "echo", "through"]);
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "through");

    // Who does not know the certificate is told how to trust it, and in the clear there is nothing.
    let ran = client(&daemon, &["ls"]);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(1) && said.contains("--server-ca"), "{said}");
    let plain = daemon.origin.replace("https", "http");
    assert!(reqwest::get(format!("{plain}/healthz")).await.is_err());
    let ran = univrs().args(["--server", &plain, "ls"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(1) && said.contains("https://"), "{said}");

    // One that cannot be used changes nothing; one that can is served without a restart.
    std::fs::write(&cert, "no certificate").unwrap();
    let tell = async || {
        // The files are looked at when somebody comes.
        let served = trusting(&certificate).get(format!("{}/healthz", daemon.origin)).send().await;
        assert!(served.is_ok(), "{served:?}");
        daemon.log().contains("cannot be used")
    };
    daemon.until("it is told", tell).await;
    let renewed = trusting(&certify(dir.path()));
    daemon
        .until("the new one is served", async || {
            renewed.get(format!("{}/healthz", daemon.origin)).send().await.is_ok()
        })
        .await;
}

#[test]
fn a_certificate_of_the_api_that_cannot_be_used_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    std::fs::write(dir.path().join("broken.pem"), "no certificate").unwrap();
    let up = |flags: &[(&str, &str)]| {
        let mut command = univrs();
        command.args(["up", "--runtime", "simulated", "--api", &format!("127.0.0.1:{}", free_port())]);
        for (flag, file) in flags {
            command.arg(flag).arg(dir.path().join(file));
        }
        let output = command.arg("--data-dir").arg(dir.path().join("data")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = up(&[("--api-cert", "broken.pem"), ("--api-key", "key.pem")]);
    assert!(code == Some(1) && said.contains("broken.pem") && said.contains("hint:"), "{said}");
    let (code, said) = up(&[("--api-cert", "cert.pem"), ("--api-key", "nowhere.pem")]);
    assert!(code == Some(1) && said.contains("nowhere.pem"), "{said}");
    let (code, said) = up(&[("--api-cert", "cert.pem")]);
    assert!(code == Some(2) && said.contains("--api-key"), "{said}");
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}
