//! `univrs node add`: a machine that has nothing but an SSH server becomes a node, or stays as it was.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

const SSHD: &str = "/usr/sbin/sshd";
const PROGRAM: &str = env!("CARGO_BIN_EXE_univrs");

/// A machine on the lab's wires with an SSH server: its own network, processes, name, `/run`, `/var/lib` and
/// `/usr/local/bin`.
struct Far {
    server: Child,
    namespace: String,
    around: TempDir,
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Far {
    fn start(lab: &Lab) -> Self {
        let around = tempfile::tempdir().unwrap();
        let file = |name: &str| around.path().join(name);
        let status = lab.status();
        let address = status["nodes"][0]["address"].as_str().unwrap().split(':').next().unwrap().to_owned();
        let (region, _) = address.rsplit_once('.').unwrap();
        let (own, gateway) = (format!("{region}.200"), format!("{region}.1"));
        let (namespace, router) = (lab.namespace("far"), lab.namespace("router"));
        run("ip", &["netns", "add", &namespace]);
        run(
            "ip",
            &[
                "-n", &router, "link", "add", "far", "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ],
        );
        run("ip", &["-n", &router, "link", "set", "dev", "far", "master", "r1", "up"]);
        run("ip", &["-n", &namespace, "link", "set", "dev", "lo", "up"]);
        run("ip", &["-n", &namespace, "addr", "add", &format!("{own}/24"), "dev", "eth0"]);
        run("ip", &["-n", &namespace, "link", "set", "dev", "eth0", "up"]);
        run("ip", &["-n", &namespace, "route", "add", "default", "via", &gateway]);
        for key in ["host_key", "other_host_key", "key", "other_key"] {
            let path = file(key);
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]);
        }
        std::fs::copy(file("key.pub"), file("authorized")).unwrap();
        for (name, line) in
            [("passwd", "operator:x:4242:4242::/tmp:/bin/sh\n"), ("shadow", "operator:*:1::::::\n")]
        {
            let before = std::fs::read_to_string(format!("/etc/{name}")).unwrap();
            std::fs::write(file(name), before + line).unwrap();
        }
        let dir = around.path().display();
        let server = format!(
            "Port 22\nListenAddress {own}\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        );
        std::fs::write(file("sshd_config"), server).unwrap();
        let client = format!(
            "Host far\n HostName {own}\n UserKnownHostsFile {dir}/known\n GlobalKnownHostsFile /dev/null\n\
             IdentityFile {dir}/key\n IdentitiesOnly yes\n ConnectionAttempts 20\n"
        );
        std::fs::write(file("config"), &client).unwrap();
        std::fs::write(file("config_other"), client.replace("/key\n", "/other_key\n")).unwrap();
        let script = format!(
            "set -e\nmount -t proc proc /proc\nfor d in /run /var/lib /usr/local/bin /srv; do mount -t tmpfs tmpfs $d; done\n\
             mkdir -p /run/sshd /srv/small\nmount -t tmpfs -o size=1m tmpfs /srv/small\n\
             mount --bind {dir}/passwd /etc/passwd\nmount --bind {dir}/shadow /etc/shadow\nhostname far\n\
             exec {SSHD} -D -e -f {dir}/sshd_config\n"
        );
        let log = std::fs::File::create(file("log")).unwrap();
        let server = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{namespace}"))
            .args([
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "--uts",
                "--pid",
                "--fork",
                "--kill-child",
            ])
            .args(["sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { server, namespace, around }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.around.path().join(name)
    }

    /// `univrs node add` from the lab's node.
    fn add(&self, lab: &Lab, target: &str, config: &str, arguments: &[&str]) -> Output {
        let config = self.file(config);
        let first = ["--server", "http://127.0.0.1:8080", "node", "add", target, "--ssh-config"];
        let arguments = [&first[..], &[config.to_str().unwrap()], arguments].concat();
        lab.on("n1", PROGRAM, &arguments)
    }

    /// What it is refused with, and how that is said.
    fn refused(&self, lab: &Lab, target: &str, config: &str, arguments: &[&str], code: i32, words: &str) {
        let output = self.add(lab, target, config, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(code) && said.contains(words),
            "{arguments:?}: {output:?}\n{}",
            self.log()
        );
        assert!(output.stdout.is_empty());
    }

    /// What a command answers there.
    fn shell(&self, lab: &Lab, line: &str) -> String {
        let config = self.file("config");
        let output =
            lab.on("n1", "ssh", &["-o", "BatchMode=yes", "-F", config.to_str().unwrap(), "root@far", line]);
        assert!(output.status.success(), "{line}: {output:?}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // The first process there is ended with it, and so are all others.
        drop(self.server.kill());
        drop(self.server.wait());
        drop(Command::new("ip").args(["netns", "del", &self.namespace]).output());
    }
}

const NOTHING: &str = "ls -A /usr/local/bin /var/lib; ps -eo comm= | grep -c '^univrs' || true";

#[tokio::test]
async fn a_machine_with_nothing_but_ssh_becomes_a_node() {
    if !possible() {
        return;
    }
    if !Path::new(SSHD).exists() {
        eprintln!("left out: adding a node over SSH needs {SSHD}");
        return;
    }
    let lab = Lab::up(1, "aws:us-east-1", "oci").await;
    lab.give_image();
    let far = Far::start(&lab);
    // It answers once its server is up; until then, and with a key nobody has seen, nothing is done.
    lab.until(60, "the SSH server answers", async || {
        String::from_utf8_lossy(&far.add(&lab, "root@far", "config", &["--check"]).stderr)
            .contains("not known here")
    })
    .await;
    far.refused(&lab, "root@far", "config", &["--no-systemd"], 5, "is not known here");
    far.refused(&lab, "root@far", "config_other", &["--accept-new-host-key"], 5, "does not let us in");
    far.refused(&lab, "operator@far", "config", &[], 11, "no `sudo` without a password");
    far.refused(&lab, "root@far", "config", &[], 11, "systemd does not run it: with --no-systemd");
    let small = ["--no-systemd", "--program", "/srv/small/univrs"];
    far.refused(&lab, "root@far", "config", &small, 11, "/srv/small/univrs needs");
    let nowhere = ["--no-systemd", "--join", "10.90.1.77:9443"];
    far.refused(&lab, "root@far", "config", &nowhere, 11, "it reaches no member at 10.90.1.77:9443");
    far.refused(
        &lab,
        "root@far",
        "config",
        &["--no-systemd", "--", "--name", "n1"],
        11,
        "has a node n1 already",
    );
    far.refused(
        &lab,
        "root@far",
        "config",
        &["--", "--join-token", "x"],
        2,
        "is given by this command itself",
    );
    let mut taken = Command::new("nsenter")
        .args([&format!("--net=/run/netns/{}", far.namespace), "busybox", "nc", "-l", "-p", "9443"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    lab.until(60, "a taken port is told", async || {
        let output = far.add(&lab, "root@far", "config", &["--no-systemd", "--check"]);
        output.status.code() == Some(11) && String::from_utf8_lossy(&output.stderr).contains("port 9443")
    })
    .await;
    taken.kill().unwrap();
    taken.wait().unwrap();
    // What fails later is taken back: this one joins, and then has no engine to run containers on.
    let docker = ["--no-systemd", "--", "--runtime", "docker"];
    far.refused(&lab, "root@far", "config", &docker, 7, "everything was taken back");
    assert_eq!(far.shell(&lab, NOTHING), "/usr/local/bin:\n\n/var/lib:\n0\n");
    let tokens = lab.get("/api/join-tokens").await.unwrap();
    assert!(tokens["items"].as_array().unwrap().iter().all(|token| token["usable"] == false), "{tokens}");

    let added = far.add(
        &lab,
        "root@far",
        "config",
        &["--no-systemd", "--", "--cloud", "elsewhere", "--role", "slim"],
    );
    let said = String::from_utf8_lossy(&added.stderr);
    assert!(added.status.success() && said.contains("is node far, and ready"), "{said}\n{}", far.log());
    let text = far.shell(&lab, "ls -A /var/lib/univrs /usr/local/bin; cat /proc/*/cmdline | tr '\\0' ' '");
    assert!(!text.contains("univrs1.") && !text.contains("before-add"), "{text}");
    assert!(!text.lines().any(|line| line == "join-token"), "{text}");
    let spec = json!({"name": "box", "containers": [{"name": "app", "image": IMAGE, "args": ["sleep", "3600"],
        "resources": {"cpu": "50m", "memory": "16Mi"}}], "placement": {"constraints": ["cloud == elsewhere"]}});
    lab.make("/api/workloads", &spec).await;
    lab.until(60, "a container runs there", async || lab.running("box").await.len() == 1).await;
    // Again: it is one, and nothing is changed.
    let again = far.add(&lab, "root@far", "config", &["--no-systemd"]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && said.contains("is node far already, and ready"), "{said}");
    assert_eq!(lab.get("/api/nodes").await.unwrap()["items"].as_array().map(Vec::len), Some(2));
    far.shell(&lab, "/usr/local/bin/univrs down");
    // Whose key is another than before is not spoken to, whatever flags say.
    let known = std::fs::read_to_string(far.file("known")).unwrap();
    let host = known.split(' ').next().unwrap();
    let other = std::fs::read_to_string(far.file("other_host_key.pub")).unwrap();
    std::fs::write(far.file("known"), format!("{host} {other}")).unwrap();
    far.refused(&lab, "root@far", "config", &["--accept-new-host-key"], 5, "another one than before");
}
