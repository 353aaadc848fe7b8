//! Registries that lie, fail, stall, or are not there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};
use univrs_image::{ImageStore, Options};
use univrs_ports::images::{ImageError, Images, PullPolicy};

use crate::server::{Reply, Request, Server};
use crate::support::{PATIENCE, leftovers, options, store, store_with, until};

const GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn layer_tar(path: &str, length: usize) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_size(length as u64);
    header.set_mode(0o644);
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    // Content that does not shrink to nothing.
    let body: Vec<u8> = (0..length).map(|at| (at * at / 7 % 251) as u8).collect();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, body.as_slice()).unwrap();
    builder.into_inner().unwrap()
}

/// An image at a registry: what each path answers.
#[derive(Clone)]
struct Fixture {
    answers: BTreeMap<String, Vec<u8>>,
    manifest: Vec<u8>,
    config: String,
    layer: String,
}

fn fixture(tar: &[u8], packed: &[u8], media_type: &str, architecture: &str, diff_id: &str) -> Fixture {
    let config = json!({ "architecture": architecture, "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [if diff_id.is_empty() { digest(tar) } else { diff_id.to_owned() }] } });
    let config = config.to_string().into_bytes();
    let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest(&config), "size": config.len() },
        "layers": [{ "mediaType": media_type, "digest": digest(packed), "size": packed.len() }] });
    let manifest = manifest.to_string().into_bytes();
    let blob = |digest: &str| format!("/v2/app/blobs/{digest}");
    Fixture {
        config: blob(&digest(&config)),
        layer: blob(&digest(packed)),
        answers: [
            ("/v2/app/manifests/1".to_owned(), manifest.clone()),
            (blob(&digest(&config)), config),
            (blob(&digest(packed)), packed.to_vec()),
        ]
        .into(),
        manifest,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
    let mut packed = Vec::new();
    std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
    packed
}

fn good() -> Fixture {
    let tar = layer_tar("etc/text", 300_000);
    fixture(&tar, &gzip(&tar), GZIP, architecture(), "")
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Fixture {
    fn answer(&self, request: &Request) -> Reply {
        match self.answers.get(&request.path) {
            _ if request.path == "/v2/" => Reply::ok("{}"),
            Some(body) => Reply::ok(body.clone()),
            None => Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#),
        }
    }

    async fn serve(self, special: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
        Server::start(move |request| special(request, self.answer(request))).await
    }
}

/// Pulls from the server, and checks that a failure left nothing behind.
async fn pull(server: &Server) -> Result<String, ImageError> {
    let (store, dir) = store();
    let pulled = store.prepare(&format!("{}/app:1", server.address), PullPolicy::IfAbsent).await;
    assert_eq!(leftovers(&dir), 0);
    match pulled {
        Ok(prepared) => {
            assert!(prepared.fetched && prepared.layers[0].join("etc/text").exists());
            Ok(prepared.digest)
        }
        Err(error) => {
            assert!(store.list().await.unwrap().is_empty());
            assert_eq!(std::fs::read_dir(dir.path().join("images/layers")).unwrap().count(), 0);
            Err(error)
        }
    }
}

#[tokio::test]
async fn every_usual_kind_of_layer_is_taken() {
    let tar = layer_tar("etc/text", 1000);
    for (packed, media_type) in [
        (gzip(&tar), GZIP),
        (gzip(&tar), "application/vnd.oci.image.layer.v1.tar+gzip"),
        (zstd::encode_all(tar.as_slice(), 1).unwrap(), "application/vnd.oci.image.layer.v1.tar+zstd"),
        (tar.clone(), "application/vnd.oci.image.layer.v1.tar"),
        (tar.clone(), "application/vnd.docker.image.rootfs.diff.tar"),
    ] {
        let fixture = fixture(&tar, &packed, media_type, architecture(), "");
        let expected = digest(&fixture.manifest);
        let server = fixture.serve(|_, usual| usual).await;
        assert_eq!(pull(&server).await.unwrap(), expected, "{media_type}");
    }
}

type Expected = fn(&ImageError) -> bool;

#[tokio::test]
async fn what_is_not_what_it_claims_to_be_is_refused() {
    let tar = layer_tar("etc/text", 1000);
    let packed = gzip(&tar);
    let usual = |fixture: Fixture| fixture;
    let altered = |path: fn(&Fixture) -> String, change: fn(&mut Vec<u8>)| {
        let mut fixture = good();
        let path = path(&fixture);
        change(fixture.answers.get_mut(&path).unwrap());
        fixture
    };
    let escaping = layer_tar("../escaped", 10);
    let table: Vec<(&str, Fixture, Expected)> = vec![
        (
            "altered layer",
            altered(|f| f.layer.clone(), |b| b[500] ^= 1),
            |e| matches!(e, ImageError::DigestMismatch { what, .. } if what == "layer 1"),
        ),
        ("short layer", altered(|f| f.layer.clone(), |b| b.truncate(400)), |e| {
            matches!(e, ImageError::DigestMismatch { .. })
        }),
        ("long layer", altered(|f| f.layer.clone(), |b| b.extend([0; 9000])), |e| {
            matches!(e, ImageError::DigestMismatch { .. })
        }),
        (
            "altered configuration",
            altered(|f| f.config.clone(), |b| b[5] ^= 1),
            |e| matches!(e, ImageError::DigestMismatch { what, .. } if what == "configuration"),
        ),
        (
            "manifest that is none",
            altered(|_| "/v2/app/manifests/1".into(), |b| *b = b"<html>".to_vec()),
            |e| matches!(e, ImageError::Malformed { .. }),
        ),
        (
            "manifest of version 1",
            altered(|_| "/v2/app/manifests/1".into(), |b| *b = br#"{"schemaVersion":1}"#.to_vec()),
            |e| matches!(e, ImageError::Malformed { .. }),
        ),
        (
            "unknown layer type",
            usual(fixture(&tar, &packed, "application/x-thing", architecture(), "")),
            |e| matches!(e, ImageError::Malformed { reason, .. } if reason.contains("x-thing")),
        ),
        (
            "another uncompressed digest",
            fixture(&tar, &packed, GZIP, architecture(), &digest(b"other")),
            |e| matches!(e, ImageError::DigestMismatch { what, .. } if what.contains("uncompressed")),
        ),
        (
            "another machine",
            fixture(&tar, &packed, GZIP, "s390x", ""),
            |e| matches!(e, ImageError::WrongPlatform { available, .. } if available == "linux/s390x"),
        ),
        ("layer that escapes", fixture(&escaping, &gzip(&escaping), GZIP, architecture(), ""), |e| {
            matches!(e, ImageError::Malformed { .. })
        }),
        (
            "layer that ends early but has its digest",
            fixture(&tar, &packed[..packed.len() - 50], GZIP, architecture(), ""),
            |e| matches!(e, ImageError::Malformed { .. }),
        ),
    ];
    for (what, fixture, expected) in table {
        let server = fixture.serve(|_, usual| usual).await;
        let refused = pull(&server).await.unwrap_err();
        assert!(expected(&refused), "{what}: {refused:?}");
    }
}

#[tokio::test]
async fn a_manifest_asked_by_digest_must_have_it() {
    let mut fixture = good();
    let wrong = format!("sha256:{}", "0".repeat(64));
    fixture.answers.insert(format!("/v2/app/manifests/{wrong}"), fixture.manifest.clone());
    let right = digest(&fixture.manifest);
    fixture.answers.insert(format!("/v2/app/manifests/{right}"), fixture.manifest.clone());
    let server = fixture.serve(|_, usual| usual).await;
    let (store, _dir) = store();
    let refused =
        store.prepare(&format!("{}/app@{wrong}", server.address), PullPolicy::IfAbsent).await.unwrap_err();
    assert!(matches!(refused, ImageError::DigestMismatch { .. }), "{refused:?}");
    let by_digest = format!("{}/app@{right}", server.address);
    let pulled = store.prepare(&by_digest, PullPolicy::IfAbsent).await.unwrap();
    assert_eq!(pulled.digest, right);
    assert!(!store.prepare(&by_digest, PullPolicy::IfAbsent).await.unwrap().fetched);
}

#[tokio::test]
async fn the_entry_for_this_machine_is_chosen() {
    let mut fixture = good();
    let ours = digest(&fixture.manifest);
    fixture.answers.insert(format!("/v2/app/manifests/{ours}"), fixture.manifest.clone());
    let entry = |digest: &str, os: &str, architecture: &str, variant: &str| {
        json!({ "digest": digest, "size": 1, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "platform": { "os": os, "architecture": architecture, "variant": variant } })
    };
    let other = digest(b"other");
    let index = |entries: Vec<serde_json::Value>| {
        json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries })
            .to_string()
            .into_bytes()
    };
    let many = index(vec![
        entry(&other, "windows", architecture(), ""),
        entry(&other, "linux", architecture(), "v9"),
        entry(&ours, "linux", architecture(), ""),
        entry(&other, "unknown", "unknown", ""),
    ]);
    fixture.answers.insert("/v2/app/manifests/1".to_owned(), many);
    let server = fixture.clone().serve(|_, usual| usual).await;
    assert_eq!(pull(&server).await.unwrap(), ours);

    let few = index(vec![
        entry(&other, "linux", "s390x", ""),
        entry(&other, "linux", "arm", "v5"),
        entry(&other, "unknown", "unknown", ""),
    ]);
    fixture.answers.insert("/v2/app/manifests/1".to_owned(), few);
    let server = fixture.serve(|_, usual| usual).await;
    match pull(&server).await.unwrap_err() {
        ImageError::WrongPlatform { available, wanted, .. } => {
            assert_eq!(available, "linux/s390x, linux/arm/v5");
            assert_eq!(wanted, format!("linux/{}", architecture()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let fixture = good();
    let (layer, whole) = (fixture.layer.clone(), fixture.answers[&fixture.layer].clone());
    let offset = whole.len() / 2;
    let ranges: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&ranges);
    let server = fixture
        .serve(move |request, usual| {
            if request.path != layer {
                return usual;
            }
            let range = request
                .headers
                .lines()
                .find(|line| line.starts_with("range:"))
                .unwrap_or_default()
                .to_owned();
            seen.lock().unwrap().push(range);
            match request.before {
                0 => Reply { cut: Some(offset), ..usual },
                _ => Reply::new(206, &whole[offset..])
                    .header("content-range", format!("bytes {offset}-{}/{}", whole.len() - 1, whole.len())),
            }
        })
        .await;
    let (store, dir) = store();
    let mut progress = store.progress();
    store.prepare(&format!("{}/app:1", server.address), PullPolicy::IfAbsent).await.unwrap();
    let ranges = ranges.lock().unwrap().clone();
    assert_eq!(ranges, ["".to_owned(), format!("range: bytes={offset}-")]);
    let last = progress.recv().await.unwrap();
    assert_eq!(
        (last.done, last.reference.as_ref()),
        (last.total, format!("{}/app:1", server.address).as_str())
    );
    assert_eq!(leftovers(&dir), 0);
}

#[tokio::test]
async fn a_registry_that_ignores_ranges_is_read_from_the_start() {
    let fixture = good();
    let layer = fixture.layer.clone();
    let slow = layer.clone();
    let server = fixture
        .serve(move |request, usual| match request.before {
            0 if request.path == slow => Reply { cut: Some(1000), ..usual },
            _ => usual,
        })
        .await;
    pull(&server).await.unwrap();
}

#[tokio::test]
async fn a_layer_that_always_breaks_off_is_a_failing_registry() {
    let fixture = good();
    let layer = fixture.layer.clone();
    let server = fixture
        .serve(
            move |request, usual| {
                if request.path == layer { Reply { cut: Some(100), ..usual } } else { usual }
            },
        )
        .await;
    let refused = pull(&server).await.unwrap_err();
    assert!(
        matches!(&refused, ImageError::Registry { reason, .. } if reason.contains("layer 1")),
        "{refused:?}"
    );
    assert!(refused.is_temporary());
    assert_eq!(server.times("/manifests/1"), 1);
}

#[tokio::test]
async fn passing_failures_are_ridden_out_and_lasting_ones_told() {
    for (status, expected) in [(500, true), (503, true), (429, true), (400, false)] {
        let server = good()
            .serve(move |request, usual| match request.before {
                0 | 1 if request.path.contains("/manifests/") => Reply::new(status, "not now"),
                _ => usual,
            })
            .await;
        assert_eq!(pull(&server).await.is_ok(), expected, "{status}");
    }
    let server = good().serve(|_, _| Reply::new(500, "broken")).await;
    let refused = pull(&server).await.unwrap_err();
    assert!(matches!(&refused, ImageError::Registry { reason, .. } if reason.contains("500")), "{refused:?}");
    assert_eq!(server.times("/manifests/1"), 3);
}

#[tokio::test]
async fn refusals_and_absences_are_told_apart() {
    for (status, body) in [(401, ""), (403, ""), (401, r#"{"errors":[{"code":"DENIED","message":"no"}]}"#)] {
        let server = good()
            .serve(
                move |request, usual| if request.path == "/v2/" { usual } else { Reply::new(status, body) },
            )
            .await;
        let refused = pull(&server).await.unwrap_err();
        assert!(matches!(refused, ImageError::Denied { .. }), "{status}: {refused:?}");
        assert!(!refused.is_temporary());
    }
    let server = Server::start(|_| Reply::new(404, "nothing here")).await;
    let address = server.address.clone();
    let refused = pull(&server).await.unwrap_err();
    assert!(
        matches!(&refused, ImageError::NotFound { place, .. } if *place == format!("at {address}")),
        "{refused:?}"
    );
    // The image is there, a part of it is not.
    let mut fixture = good();
    fixture.answers.remove(&fixture.layer.clone());
    let refused = pull(&fixture.serve(|_, usual| usual).await).await.unwrap_err();
    assert!(
        matches!(&refused, ImageError::Registry { reason, .. } if reason.contains("layer 1")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_told() {
    let (store, _dir) = store();
    // A port that is given to nobody.
    let reference = "127.0.0.1:1/app:1".to_owned();
    let refused = store.prepare(&reference, PullPolicy::IfAbsent).await.unwrap_err();
    assert!(
        matches!(&refused, ImageError::Registry { reason, .. } if reason.contains("refused")),
        "{refused:?}"
    );
    let absent = store.prepare(&reference, PullPolicy::Never).await.unwrap_err();
    assert!(
        matches!(&absent, ImageError::NotFound { place, .. } if place == "on this machine"),
        "{absent:?}"
    );
}

#[tokio::test]
async fn a_silent_registry_is_given_up() {
    let server = Server::start(|_| Reply { silence: Duration::from_secs(3600), ..Reply::ok("") }).await;
    let (store, _dir) = store_with(Options { read_timeout: Duration::from_millis(200), ..options() });
    let reference = format!("{}/app:1", server.address);
    let given_up = tokio::time::timeout(PATIENCE, store.prepare(&reference, PullPolicy::IfAbsent)).await;
    let refused = given_up.unwrap().unwrap_err();
    assert!(matches!(refused, ImageError::Registry { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says() {
    let fixture = good();
    let place: Arc<Mutex<String>> = Arc::default();
    let realm = Arc::clone(&place);
    let server = fixture
        .serve(move |request, usual| {
            if request.path.starts_with("/token") {
                assert!(request.path.contains("scope=repository%3Aapp%3Apull"), "{}", request.path);
                return Reply::ok(r#"{"token":"abc"}"#);
            }
            if request.headers.contains("authorization: bearer abc") {
                return usual;
            }
            let challenge = format!("Bearer realm=\"http://{}/token\",service=\"x\"", realm.lock().unwrap());
            Reply::new(401, "").header("www-authenticate", challenge)
        })
        .await;
    place.lock().unwrap().clone_from(&server.address);
    pull(&server).await.unwrap();
}

#[tokio::test]
async fn many_who_want_the_same_image_fetch_it_once() {
    let fixture = good();
    let layer = fixture.layer.clone();
    let server = fixture.serve(|_, usual| Reply { silence: Duration::from_millis(20), ..usual }).await;
    let (store, _dir) = store();
    let reference = format!("{}/app:1", server.address);
    let pulls = (0..8).map(|_| store.prepare(&reference, PullPolicy::IfAbsent));
    let fetched: Vec<bool> =
        futures::future::join_all(pulls).await.into_iter().map(|pulled| pulled.unwrap().fetched).collect();
    assert_eq!(fetched.iter().filter(|fetched| **fetched).count(), 1);
    assert_eq!(server.times(&layer), 1);
    // Asked again always, nothing is fetched as long as the tag stays.
    let again = store.prepare(&reference, PullPolicy::Always).await.unwrap();
    assert!(!again.fetched);
    assert_eq!(server.times(&layer), 1);
}

#[tokio::test]
async fn a_pull_given_up_in_the_middle_leaves_nothing_and_can_be_repeated() {
    let fixture = good();
    let layer = fixture.layer.clone();
    let slow = layer.clone();
    let server = fixture
        .serve(move |request, usual| match request.before {
            0 if request.path == slow => Reply { silence: Duration::from_secs(3600), ..usual },
            _ => usual,
        })
        .await;
    let (store, dir) = store();
    let reference = format!("{}/app:1", server.address);
    let pull = |store: ImageStore, reference: String| async move {
        store.prepare(&reference, PullPolicy::IfAbsent).await
    };
    tokio::select! {
        ended = pull(store.clone(), reference.clone()) => panic!("it was not in the middle: {ended:?}"),
        () = until("the layer is asked for", async || server.times(&layer) > 0) => {}
    }
    until("nothing is left", async || leftovers(&dir) == 0).await;
    assert!(pull(store, reference).await.unwrap().fetched);
}
