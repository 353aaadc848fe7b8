//! A real registry: Debian's `docker-registry`, started for each test and ended with it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use univrs_image::{Credentials, FileEntry, ImageStore, Options, Packing};
use univrs_ports::images::{ImageConfig, ImageError, Images, PullPolicy};

use crate::support::{PATIENCE, config, leftovers, options, program, small_image, store_with};

/// The password `secret`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "ann:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// An address of the loopback network that only registries of this process have, so that nobody takes a port of it
/// before they do.
fn host() -> String {
    let [_, _, third, fourth] = std::process::id().to_be_bytes();
    format!("127.100.{third}.{}", fourth.clamp(1, 254))
}

struct Registry {
    process: Child,
    address: String,
    dir: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// `None`, said visibly, where the program is not installed.
    fn start(what: &str, further: impl Fn(&Path) -> String) -> Option<Self> {
        let binary = program("docker-registry", what)?;
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind((host(), 0)).unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n{}",
            dir.path().join("data").display(),
            further(dir.path()).replace("@ADDRESS@", &address),
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let process = Command::new(binary)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut registry = Self { process, address, dir };
        let begun = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            let ended = registry.process.try_wait().unwrap();
            let log = || std::fs::read_to_string(registry.dir.path().join("log")).unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn plain(what: &str) -> Option<Self> {
        Self::start(what, |_| "http: {addr: \"@ADDRESS@\"}\n".to_owned())
    }
}

async fn round_trip(registry: &Registry, from: &ImageStore, to: &ImageStore) {
    let big =
        FileEntry::bytes("/big", 0o644, (0..9_u64 << 20).map(|at| (at * at / 3) as u8).collect::<Vec<u8>>());
    let made = from
        .build("app:1", vec![big, FileEntry::bytes("/etc/text", 0o644, "hello")], config())
        .await
        .unwrap();
    let remote = format!("{}/team/app:1", registry.address);
    let pushed = from.push("app:1", &remote).await.unwrap();
    assert_eq!((pushed.digest.as_str(), pushed.uploaded, pushed.present), (made.digest.as_str(), 2, 0));
    let again = from.push("app:1", &remote).await.unwrap();
    assert_eq!((again.uploaded, again.present), (0, 2));
    let pulled = to.prepare(&remote, PullPolicy::IfAbsent).await.unwrap();
    assert_eq!((pulled.digest, pulled.fetched, pulled.config), (made.digest, true, config()));
    assert_eq!(std::fs::read_to_string(pulled.layers[0].join("etc/text")).unwrap(), "hello");
    assert_eq!(pulled.layers[0].join("big").metadata().unwrap().len(), 9 << 20);
    assert!(!to.prepare(&remote, PullPolicy::IfAbsent).await.unwrap().fetched);
}

#[tokio::test]
async fn images_go_there_and_back() {
    let Some(registry) = Registry::plain("push and pull") else { return };
    let (from, from_dir) = store_with(options());
    let (to, to_dir) = store_with(options());
    round_trip(&registry, &from, &to).await;
    assert_eq!((leftovers(&from_dir), leftovers(&to_dir)), (0, 0));

    let missing =
        to.prepare(&format!("{}/team/none:1", registry.address), PullPolicy::IfAbsent).await.unwrap_err();
    assert!(
        matches!(&missing, ImageError::NotFound { place, .. } if place.contains(&registry.address)),
        "{missing:?}"
    );
    let missing =
        to.prepare(&format!("{}/team/app:none", registry.address), PullPolicy::IfAbsent).await.unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }), "{missing:?}");
    let missing = from.push("none:1", &format!("{}/team/none:1", registry.address)).await.unwrap_err();
    assert!(
        matches!(&missing, ImageError::NotFound { place, .. } if place == "on this machine"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_moved_tag_is_noticed_when_asked_always() {
    let Some(registry) = Registry::plain("moving a tag") else { return };
    let (from, _from_dir) = store_with(options());
    let (to, _to_dir) = store_with(options());
    let remote = format!("{}/app:latest", registry.address);
    let mut digests = Vec::new();
    for text in ["one", "two"] {
        small_image(&from, "app", text).await;
        from.push("app", &remote).await.unwrap();
        digests.push(to.prepare(&remote, PullPolicy::Always).await.unwrap().digest);
    }
    assert_ne!(digests[0], digests[1]);
    small_image(&from, "app", "three").await;
    from.push("app", &remote).await.unwrap();
    let kept = to.prepare(&remote, PullPolicy::IfAbsent).await.unwrap();
    assert_eq!((kept.digest, kept.fetched), (digests[1].clone(), false));
    assert_eq!(to.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_registry_with_passwords_lets_in_who_knows_one() {
    let registry = Registry::start("passwords", |dir| {
        let file = dir.join("passwords");
        std::fs::write(&file, PASSWORDS).unwrap();
        format!(
            "http: {{addr: \"@ADDRESS@\"}}\nauth:\n  htpasswd: {{realm: test, path: {}}}\n",
            file.display()
        )
    });
    let Some(registry) = registry else { return };
    let basic =
        |password: &str| Credentials::Basic { username: "ann".to_owned(), password: password.to_owned() };
    let known = Options { credentials: [(registry.address.clone(), basic("secret"))].into(), ..options() };
    let (from, _from_dir) = store_with(known.clone());
    let (to, _to_dir) = store_with(known);
    round_trip(&registry, &from, &to).await;

    let remote = format!("{}/team/app:1", registry.address);
    let file = registry.dir.path().join("auth.json");
    // ann:secret
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#, registry.address);
    std::fs::File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
    let (by_file, _dir) = store_with(Options { auth_file: Some(file), ..options() });
    assert!(by_file.prepare(&remote, PullPolicy::IfAbsent).await.unwrap().fetched);

    let (stranger, _dir) = store_with(options());
    for credentials in [None, Some(basic("wrong")), Some(Credentials::Bearer("nonsense".to_owned()))] {
        stranger.set_credentials(&registry.address, credentials);
        let refused = stranger.prepare(&remote, PullPolicy::IfAbsent).await.unwrap_err();
        assert!(matches!(refused, ImageError::Denied { .. }), "{refused:?}");
    }
    small_image(&stranger, "x", "x").await;
    let refused = stranger.push("x", &remote).await.unwrap_err();
    assert!(matches!(refused, ImageError::Denied { .. }), "{refused:?}");
    stranger.set_credentials(&registry.address, Some(basic("secret")));
    assert!(stranger.prepare(&remote, PullPolicy::IfAbsent).await.unwrap().fetched);
}

#[tokio::test]
async fn a_registry_with_tls_is_trusted_only_when_told() {
    let Some(openssl) = program("openssl", "TLS") else { return };
    let registry = Registry::start("TLS", |dir| {
        let made = Command::new(&openssl)
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=test", "-keyout", "key.pem", "-out", "cert.pem"])
            .args([
                "-addext",
                &format!("subjectAltName=IP:{}", host()),
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let path = |name: &str| dir.join(name).display().to_string();
        format!(
            "http:\n  addr: \"@ADDRESS@\"\n  tls: {{certificate: {}, key: {}}}\n",
            path("cert.pem"),
            path("key.pem")
        )
    });
    let Some(registry) = registry else { return };
    let secure = Options { loopback_tls: vec![registry.address.clone()], ..options() };
    let root = std::fs::read(registry.dir.path().join("cert.pem")).unwrap();
    let trusting = Options { extra_roots: vec![root], ..secure.clone() };
    let (from, _from_dir) = store_with(trusting.clone());
    let (to, _to_dir) = store_with(trusting);
    round_trip(&registry, &from, &to).await;
    let (distrusting, _dir) = store_with(secure);
    let remote = format!("{}/team/app:1", registry.address);
    let refused = distrusting.prepare(&remote, PullPolicy::IfAbsent).await.unwrap_err();
    assert!(
        matches!(&refused, ImageError::Registry { reason, .. } if reason.contains("certificate")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_packed_program_travels() {
    let Some(registry) = Registry::plain("the image of oneself") else { return };
    let (from, _from_dir) = store_with(options());
    let (to, _to_dir) = store_with(options());
    let binary = program("openssl", "the image of oneself");
    let Some(binary) = binary else { return };
    let (plain, _plain_dir) = store_with(Options { packing: Packing::Plain, ..options() });
    let large = plain.pack_program("tool:1", &binary, "/tool", ImageConfig::default()).await.unwrap();
    let small = from.pack_program("tool:1", &binary, "/tool", ImageConfig::default()).await.unwrap();
    assert!(small.size < large.size * 2 / 3, "{} {}", small.size, large.size);
    let mut unpacked = Vec::new();
    for store in [&from, &plain] {
        let remote = format!("{}/tool:1", registry.address);
        store.push("tool:1", &remote).await.unwrap();
        let pulled = to.prepare(&remote, PullPolicy::Always).await.unwrap();
        assert_eq!(std::fs::read(pulled.layers[0].join("tool")).unwrap(), std::fs::read(&binary).unwrap());
        unpacked.extend(pulled.layers);
    }
    assert_eq!(unpacked[0], unpacked[1], "packed differently, it is the same layer");
}
